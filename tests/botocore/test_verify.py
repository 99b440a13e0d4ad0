"""Looking for a write: when it is not allowed, too late, or does not help."""

import asyncio
import itertools

import botocore
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

import resilience
from resilience.botocore.verify import Ask, Finding, arun, run
from resilience.botocore.verify_hints import HINTS, how_to_find_out


KEYED = {"idempotency": "keyed"}
AT = {"Bucket": "orders", "Key": "1"}


def test_a_look_that_is_refused(wire, connect, make_engine):
    """Where nobody may look the real error is raised, and says so."""
    s3 = connect("s3", make_engine(operations={"s3.PutObject": KEYED}))
    wire.plans = ["drop", (403, {}, b"")]
    with pytest.raises(ConnectionClosedError) as caught:
        s3.put_object(**AT, Body=b"x")

    report = resilience.report(caught.value)
    assert ["PUT", "HEAD"] == [seen[0] for seen in wire.seen]
    assert report.ambiguous
    assert "HeadObject ended in 403" in report.hint
    assert "its intent is " in report.hint


def test_a_look_that_fails(wire, connect, make_engine):
    """What is no answer of DynamoDB's does not hide the real error."""
    engine = make_engine({"retry": "off"}, operations={"dynamodb.*": KEYED})
    dynamodb = connect("dynamodb", engine)
    wire.plans = ["drop", (200, {}, b"{}")]
    with pytest.raises(ConnectionClosedError) as caught:
        dynamodb.put_item(TableName="t", Item={"k": {"S": "a"}})

    assert "looking failed: KeyError" in resilience.report(caught.value).hint


def test_a_refusal_that_nobody_may_look_behind(wire, connect, make_engine):
    """412 after a lost answer is raised as it is, marked as ambiguous."""
    s3 = connect("s3", make_engine(operations={"s3.PutObject": KEYED}))
    wire.plans = ["drop", (412, {}, b""), (403, {}, b"")]
    with pytest.raises(ClientError, match="412") as caught:
        s3.put_object(**AT, Body=b"x", IfNoneMatch="*")

    assert resilience.report(caught.value).ambiguous
    assert "HeadObject ended in 403" in resilience.report(caught.value).hint


def test_a_server_that_knows_no_if_match(wire, connect, make_engine):
    """A condition of ours that is not implemented is dropped, not the write."""
    s3 = connect("s3", make_engine({"breaker": "off"}, operations={"s3.*": KEYED}))
    head = (200, {"etag": '"e"'}, b"")
    wire.plans = ["drop", head, (501, {}, b""), head, (200, {"etag": '"f"'}, b"")]

    answer = s3.put_object(**AT, Body=b"x")

    assert '"f"' == answer["ETag"]
    assert [None, None, '"e"', None, None] == wire.header("if-match")


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_server_that_refuses_what_is_true(method, wire, connect, make_engine):
    """A condition of ours that is refused although it holds is dropped, too."""
    s3 = connect("s3", make_engine({"breaker": "off"}, operations={"s3.*": KEYED}))
    head = (200, {"etag": '"e"'}, b"")
    wire.plans = ["drop", head, (412, {}, b""), head, head, 200]

    if method == "PUT":
        s3.put_object(**AT, Body=b"x")
    else:
        s3.delete_object(**AT)

    assert [method, "HEAD", method, "HEAD", "HEAD", method] == [
        seen[0] for seen in wire.seen
    ]
    assert [None, None, '"e"', None, None, None] == wire.header("if-match")


def test_the_deadline_holds_for_looking_too(wire, connect, make_engine, clock):
    """When no time is left, nothing is looked at."""
    s3 = connect("s3", make_engine(operations={"s3.*": KEYED}))

    def late(handler):
        clock.skipped += 9
        return "drop"

    wire.plans = [late]
    with (
        resilience.deadline(5),
        pytest.raises((ConnectionClosedError, ReadTimeoutError)) as caught,
    ):
        s3.put_object(**AT, Body=b"x", IfNoneMatch="*")

    assert 1 == wire.count
    assert resilience.report(caught.value).ambiguous


@pytest.mark.parametrize("policy", ["honour-client-config", "aws-standard-2.1"])
@pytest.mark.parametrize("mode", ["legacy", "standard"])
def test_whoever_owns_the_retries(policy, mode, wire, connect, make_engine):
    """The write is found whether the engine or botocore repeats."""
    rules = {"profile": policy, "breaker": "off"}
    engine = make_engine(rules, operations={"s3.*": KEYED})
    s3 = connect("s3", engine, mode=mode)
    sent = {}

    def remember(handler):
        sent.update(handler.headers.items())
        return "drop"

    def head(_):
        name = "x-amz-meta-resilience-intent"
        return (200, {name: sent[name], "etag": '"e"'}, b"")

    wire.plans = [remember, (412, {}, b""), head]

    assert '"e"' == s3.put_object(**AT, Body=b"x", IfNoneMatch="*")["ETag"]
    assert ["PUT", "PUT", "HEAD"] == [seen[0] for seen in wire.seen]


def test_worker_threads(session, wire, make_engine):
    """Calls in threads that can be left behind look just the same."""
    engine = make_engine({"breaker": "off"}, operations={"s3.*": KEYED})
    resilience.botocore.register(session, engine, worker_threads=True)
    s3 = session.client("s3", endpoint_url=wire.url)
    wire.plans = ["drop", (404, {}, b""), 200]
    with resilience.deadline(30):
        s3.put_object(**AT, Body=b"x")
    s3.close()

    assert [None, None, "*"] == wire.header("if-none-match")


@pytest.mark.parametrize("retry", ["off", {"max_attempts": 3}])
def test_an_upload_that_cannot_be_sent_again(retry, wire, connect, make_engine):
    """A body that is used up is not repeated, whatever could be looked up."""
    s3 = connect(
        "s3",
        make_engine({"retry": retry}, operations={"s3.*": KEYED}),
        signature_version=botocore.UNSIGNED,
        request_checksum_calculation="when_required",
    )
    wire.plans = ["drop"]

    class Once:
        def __init__(self):
            self.data = [b"x"]

        def read(self, size=-1):
            return self.data.pop() if self.data else b""

        def __len__(self):
            return 1

    with pytest.raises(ConnectionClosedError) as caught:
        s3.put_object(**AT, Body=Once())

    assert 1 == wire.count
    assert resilience.report(caught.value).ambiguous


# -- how steps are driven ------------------------------------------------------------


def steps(log):
    try:
        log.append((yield Ask("A", {})))
    except ClientError as error:
        log.append(error.response["Error"]["Code"])
    log.append((yield Ask("B", {"n": 1})))
    return Finding(note="end")


def error(code):
    return ClientError({"Error": {"Code": code}}, "A")


@pytest.mark.parametrize("drive", ["run", "arun"])
@pytest.mark.parametrize("first", [1, error("404")])
def test_steps(drive, first):
    """Answers and errors of reads reach the steps, in a thread or a task."""
    log, answers = [], iter([first, 2])

    def call(name, params):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def acall(name, params):
        return call(name, params)

    if drive == "run":
        found = run(steps(log), call)
    else:
        found = asyncio.run(arun(steps(log), acall))

    assert "end" == found.note
    assert ["404" if isinstance(first, Exception) else 1, 2] == log


@pytest.mark.parametrize("drive", ["run", "arun"])
def test_a_read_that_fails(drive):
    """What the steps do not expect makes the finding unknown, with its reason."""
    answers = itertools.chain([1], itertools.repeat(error("Slow")))

    def call(name, params):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def acall(name, params):
        return call(name, params)

    if drive == "run":
        found = run(steps([]), call)
    else:
        found = asyncio.run(arun(steps([]), acall))

    assert (False, "B ended in Slow") == (found.is_known, found.note)


def test_every_hint_is_a_sentence():
    """What the table does not name gets a general one."""
    assert all(text and not text.endswith(".") for text in HINTS.values())
    assert "Describe" in how_to_find_out("x", "MakeThing")
