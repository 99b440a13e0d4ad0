"""The rules of failover as tables: who is asked, with which parameters."""

from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.botocore.failover import (
    MARK,
    MISPLACED,
    Ask,
    Home,
    Reply,
    elsewhere,
    mark,
    names_region,
    renamed,
    said,
)
from resilience.botocore.failover_reads import only_reads
from resilience.core.outcome import Outcome
from resilience.core.policy import FailoverPolicy, FailoverRegion
from resilience.core.record import AttemptEnded, CallEnded
from resilience.core.target import Target
from resilience.report import AttemptReport, Report


TARGET = Target(protocol="aws", name="s3", service="s3", method="PutObject")
LOST = ValueError("lost")


def place(region="eu-west-1", **more):
    fields = {"endpoint_url": None, "rename": {}, "repeats_ambiguous": False, **more}
    return FailoverRegion(region=region, **fields)


def ended(outcome, reason, attempts):
    return CallEnded(
        *("c", TARGET, outcome, reason, attempts, 0, outcome.code, 1.0, 0.0),
        *(outcome.reached != "no", "enforce", "none", None, 0.0),
    )


def home(*reached, kind="transport", reason="attempts-exhausted", **more):
    history = tuple(
        AttemptEnded(
            *("c", TARGET, number, Outcome("X", kind, word), 0.1),
            *("fail", "not-retryable", 0.0, None, "enforce", 0.0),
        )
        for number, word in enumerate(reached, 1)
    )
    last = Outcome("X", kind, reached[-1] if reached else "no")
    fields = {"reads": False, "region": "us-east-1", **more}
    return Home(ended(last, reason, len(reached)), history, LOST, **fields)


def play(home, policy, replies, params=None):
    """Who was asked, and the end."""
    steps = elsewhere(home, policy, params or {})
    asked = []
    try:
        wanted = next(steps)
        while True:
            asked.append(wanted.region.region)
            assert isinstance(wanted, Ask)
            wanted = steps.send(replies.pop(0))
    except StopIteration as done:
        return asked, done.value


def policy(*places, writes=True):
    return FailoverPolicy(regions=places or (place(),), covers_writes=writes)


def failed(code="X", *, ambiguous=False, is_answer=False, attempts=1):
    one = AttemptReport(
        number=1,
        code=code,
        kind="transport",
        reached="maybe" if ambiguous else "no",
        elapsed_s=0.1,
        decision="fail",
        reason="not-retryable",
        wait_s=0.0,
        message="",
        ids=(),
    )
    found = Report(
        call_id="c",
        target=TARGET,
        reason="not-retryable",
        attempts=(one,) * attempts,
        elapsed_s=1.0,
        ambiguous=ambiguous,
        idempotency="none",
        retry_after_s=None,
        ids=(),
    )
    return Reply(error=KeyError(code), code=code, is_answer=is_answer, report=found)


@pytest.mark.parametrize(
    ("found", "writes", "expected"),
    [
        (home("no"), True, ["eu-west-1"]),
        (home("no", "no"), True, ["eu-west-1"]),
        (home("no"), False, []),
        (home("maybe"), True, []),
        (home("maybe", "no"), True, []),
        (home(kind="local", reason="breaker-open"), True, []),
        (home("maybe", reads=True), False, ["eu-west-1"]),
        (home("no", kind="overload", reads=True), False, ["eu-west-1"]),
        (home("yes", kind="application", reads=True), True, []),
        (home("no", kind="permanent", reads=True), True, []),
        (home("no", reason="cancelled", reads=True), True, []),
        (home("no", reads=True, names=("NextToken",)), True, []),
        (home("no", reads=True, is_spent=True), True, []),
        (home("no", reads=True, region="eu-west-1"), True, []),
    ],
)
def test_who_is_asked(found, writes, expected):
    """Reads that were lost; marked writes that were certainly not executed."""
    if found.ended.attempts == 0:  # refused unsent: as the engine says it
        outcome = Outcome("UNAVAILABLE", "local", "no")
        found = found._replace(ended=ended(outcome, "breaker-open", 0))
        expected = ["eu-west-1"]
    asked, end = play(found, policy(writes=writes), [Reply(answer={})] * 9)

    assert expected == asked
    assert (end.place is not None) == bool(expected)
    assert (end.error is LOST) != bool(expected)


def test_both_may_have_it():
    """By the policy's word a write that may be there is repeated elsewhere."""
    found = policy(place(repeats_ambiguous=True))

    assert ["eu-west-1"] == play(home("maybe"), found, [Reply(answer={})])[0]


@pytest.mark.parametrize(
    ("replies", "asked", "raised"),
    [
        ([failed(), failed()], 2, "lost"),
        ([failed(ambiguous=True)], 1, "'X'"),
        ([failed("NoSuchKey", is_answer=True)], 1, "'NoSuchKey'"),
        ([failed("AccessDenied", is_answer=True), failed()], 2, "lost"),
        ([failed(attempts=0), failed(attempts=0)], 2, "lost"),
    ],
)
def test_what_is_raised(replies, asked, raised):
    """An answer and an ambiguous write count; else the first region's error does."""
    found = policy(place("eu-west-1"), place("eu-central-1"))
    places, end = play(home("no"), found, replies)

    assert asked == len(places)
    assert raised == str(end.error)


def test_the_mark():
    """An answer says where it came from; what has no place for that stays."""
    answer = {"ResponseMetadata": {"RequestId": "1"}}
    mark(answer, place(), home("no"))
    mark("text", place(), home("no"))

    found = answer["ResponseMetadata"]
    assert "1" == found["RequestId"]
    assert ("eu-west-1", "us-east-1") == (
        found[MARK]["region"],
        found[MARK]["instead_of"],
    )


# -- parameters ------------------------------------------------------------------

NAMES = {"Bucket": {"a": "b"}, "TableName": {"t": "u"}, "RequestItems": {"t": "u"}}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"Bucket": "a", "Key": "a"}, {"Bucket": "b", "Key": "a"}),
        ({"Bucket": "c"}, {"Bucket": "c"}),
        ({"CopySource": "a/k"}, {"CopySource": "b/k"}),
        ({"CopySource": "/a/k"}, {"CopySource": "b/k"}),
        ({"CopySource": "c/k"}, {"CopySource": "c/k"}),
        ({"CopySource": {"Bucket": "a"}}, {"CopySource": {"Bucket": "b"}}),
        ({"RequestItems": {"t": {"Keys": []}}}, {"RequestItems": {"u": {"Keys": []}}}),
        (
            {"TransactItems": [{"Put": {"TableName": "t"}}]},
            {"TransactItems": [{"Put": {"TableName": "u"}}]},
        ),
        ({"Bucket": ["a", "c"]}, {"Bucket": ["b", "c"]}),
        ({"Bucket": 7}, {"Bucket": 7}),
    ],
)
def test_renaming(params, expected):
    """Names are replaced wherever their parameter stands, and nothing else is."""
    assert expected == renamed(params, NAMES)


@given(
    st.recursive(
        st.text(max_size=3) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["Bucket", "Key", "x"]), inner, max_size=3
            )
        ),
        max_leaves=10,
    )
)
def test_renaming_nothing_changes_nothing(value):
    """Without names to replace, parameters arrive as they were given."""
    params = {"Outer": value}

    assert params == renamed(params, MappingProxyType({}))
    assert params == renamed(params, {"Bucket": {}})


@pytest.mark.parametrize(
    ("value", "is_found"),
    [
        ("arn:aws:sns:us-east-1:1:t", True),
        ("arn:aws:sns:eu-west-1:1:t", False),
        ("https://sqs.us-east-1.amazonaws.com/1/q", True),
        ("https://sqs.eu-west-1.amazonaws.com/1/q", False),
        ("us-east-1", False),
        (7, False),
    ],
)
def test_addresses(value, is_found):
    """An address of the first region is not sent to the second."""
    assert is_found == bool(names_region({"X": value}, "us-east-1"))


def test_an_address_that_is_not_renamed():
    """Then nobody is asked, and the error says what to write."""
    params = {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/1/q"}
    asked, end = play(home("no", reads=True), policy(), [], params)

    assert [] == asked
    assert "QueueUrl names us-east-1: rename it" in end.notes[0]


def test_what_a_region_said():
    """An error with a code is an answer unless it is one that is tried again."""
    answered = said(_client_error("NoSuchKey"), None)
    broken = said(OSError("x"), None)

    assert ("NoSuchKey", True) == (answered.code, answered.is_answer)
    assert ("OSError", False) == (broken.code, broken.is_answer)
    assert "NoSuchBucket" in MISPLACED


def _client_error(code):
    from botocore.exceptions import ClientError

    return ClientError({"Error": {"Code": code}}, "GetObject")


@pytest.mark.parametrize(
    ("service", "operation", "expected"),
    [
        ("s3", "GetObject", True),
        ("s3", "HeadBucket", True),
        ("s3", "ListObjectsV2", True),
        ("s3", "PutObject", False),
        ("s3", "DeleteObject", False),
        ("s3", "CreateSession", False),
        ("dynamodb", "Query", True),
        ("dynamodb", "TransactGetItems", True),
        ("dynamodb", "PutItem", False),
        ("dynamodb", "UpdateItem", False),
        ("sqs", "GetQueueUrl", True),
        ("sqs", "ReceiveMessage", False),
        ("sqs", "SendMessage", False),
        ("sts", "AssumeRole", False),
        ("cognito-identity", "GetId", False),
        ("lambda", "Invoke", False),
        ("ec2", "DescribeInstances", True),
        ("ec2", "RunInstances", False),
    ],
)
def test_what_only_reads(service, operation, expected):
    """Harmless to repeat is not enough: a read changes nothing."""
    assert expected == only_reads(service, operation)
