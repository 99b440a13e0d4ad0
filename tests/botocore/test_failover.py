"""Which calls another region answers, and what their callers see."""

import contextlib
import gc
import io

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
)

import resilience
from resilience.botocore import failover_calls as failover
from resilience.botocore import failover_clients
from resilience.botocore.failover import MARK
from resilience.botocore.failover_calls import Asked
from resilience.botocore.failover_clients import NoSibling, has_own_endpoint, make
from resilience.botocore.guard import guard_of
from resilience.botocore.rejected import BotocoreRejected
from resilience.core.policy import FailoverRegion
from resilience.core.target import Target
from tests.botocore.conftest import Wire


AT = {"Bucket": "orders", "Key": "1"}
THERE = (200, {"x-amz-request-id": "there"}, b"")
ONE = {"max_attempts": 1}
INTERNAL = (500, {}, b"<Error><Code>InternalError</Code></Error>")
SLOW_DOWN = (503, {}, b"<Error><Code>SlowDown</Code></Error>")


@pytest.fixture
def away():
    """A second region's server."""
    server = Wire()
    server.default = THERE
    yield server
    server.close()


@pytest.fixture
def rule(away):
    """The failover to it, with one attempt in each region."""
    place = {"region": "eu-west-1", "endpoint_url": away.url}
    place["rename"] = {"Bucket": {"orders": "orders-eu"}}
    return {"failover": [place], "retry": ONE}


@pytest.fixture
def s3_of(connect, make_engine, rule):
    """Return a function that makes an S3 client whose reads fail over."""

    def make(operations=None, *, mode="enforce", service="s3", **more):
        rules = {f"{service}.*": {**rule, **more}, **(operations or {})}
        return connect(service, make_engine(operations=rules, mode=mode))

    return make


def shut(s3, operation="HeadObject"):
    """Hold the breaker of the first region open."""
    engine = engine_of(s3)
    engine.bind(s3_target(operation))
    engine.breaker("aws:service=s3,region=us-east-1").force_open()


def engine_of(s3):
    return type(s3)._resilience_registration.engine


def s3_target(operation):
    labels = (("region", "us-east-1"),)
    return Target(
        protocol="aws", name="s3", service="s3", method=operation, labels=labels
    )


def marked(answer):
    return answer["ResponseMetadata"].get(MARK)


@pytest.mark.parametrize("plan", ["drop", INTERNAL, SLOW_DOWN, 503])
def test_a_read_that_was_lost(wire, away, s3_of, plan):
    """A read that its region did not answer is answered by the next one."""
    s3 = s3_of()
    wire.plans = [plan]
    answer = s3.head_object(**AT)

    found = marked(answer)
    assert ("eu-west-1", "us-east-1") == (found["region"], found["instead_of"])
    assert "attempts-exhausted" == found["reason"]
    assert [("HEAD", "/orders-eu/1")] == [seen[:2] for seen in away.seen]
    assert 1 == wire.count


def test_a_healthy_read(wire, away, s3_of):
    """A call that its region answers is as it was, in all it returns."""
    s3 = s3_of()
    wire.plans = [THERE]
    answer = s3.head_object(**AT)

    assert marked(answer) is None
    assert 0 == away.count


@pytest.mark.parametrize("status", [403, 404, 412, 304])
def test_an_answer_is_an_answer(wire, away, s3_of, status):
    """What the first region says no to is not asked for anywhere else."""
    s3 = s3_of()
    wire.plans = [status]
    with pytest.raises(ClientError, match=str(status)):
        s3.head_object(**AT)

    assert 0 == away.count


def test_parameters_that_are_wrong(wire, away, s3_of):
    """A fault on this side is nobody's to answer."""
    s3 = s3_of()
    with pytest.raises(BotoCoreError, match="Parameter validation"):
        s3.head_object(Bucket="orders")

    assert 0 == away.count + wire.count


def test_an_open_breaker(wire, away, s3_of):
    """A call that the first region's breaker refuses goes to the next at once."""
    s3 = s3_of()
    shut(s3)
    answer = s3.head_object(**AT)

    assert "breaker-open" == marked(answer)["reason"]
    assert (0, 1) == (wire.count, away.count)


def test_a_breaker_of_its_own(wire, away, s3_of):
    """The next region has a breaker of its own, even where the scope is wider."""
    breaker = {"scope": ["target"], "min_calls": 2, "window": "10 calls"}
    s3 = s3_of(breaker=breaker)
    wire.default = 503
    for _ in range(6):
        s3.head_object(**AT)

    assert (2, 6) == (wire.count, away.count)


def test_the_first_region_is_asked_first(wire, away, s3_of, clock):
    """Once its breaker lets calls through again the first region gets them."""
    breaker = {"min_calls": 2, "window": "10 calls", "open_for": "1s", "probes": 1}
    s3 = s3_of(breaker=breaker)
    wire.plans = [503, 503]
    before = [marked(s3.head_object(**AT)) is None for _ in range(3)]
    clock.sleep(2.0)
    after = [marked(s3.head_object(**AT)) is None for _ in range(2)]

    assert [False, False, False] == before
    assert [True, True] == after


def test_both_regions_dead(wire, away, s3_of):
    """The first region's real error is raised, and says who was asked, too."""
    s3 = s3_of()
    wire.plans, away.default = ["drop"], 503
    with pytest.raises(ConnectionClosedError) as caught:
        s3.head_object(**AT)

    assert ("eu-west-1 was asked, too: 503",) == resilience.report(
        caught.value
    ).elsewhere
    assert "eu-west-1 was asked, too" in caught.value.__notes__[0]


def test_a_dead_second_region_does_not_multiply(wire, away, s3_of):
    """Its own breaker opens: then nothing is sent anywhere."""
    s3 = s3_of(breaker={"min_calls": 2, "window": "10 calls"})
    wire.default = away.default = 503
    for _ in range(2):
        with pytest.raises(ClientError):
            s3.head_object(**AT)
    for _ in range(3):
        with pytest.raises(BotocoreRejected):
            s3.head_object(**AT)

    assert (2, 2) == (wire.count, away.count)


def test_a_refusal_does_not_hide_an_error(wire, away, s3_of):
    """Where nothing was sent to the first region the second one's error is real."""
    s3 = s3_of(breaker={"scope": ["bucket"], "forced": "open"})
    with pytest.raises(BotocoreRejected) as caught:
        s3.head_object(**AT)

    # Both are held open here: the first refusal is raised.
    assert "us-east-1" in resilience.report(caught.value).target.dimension("region")


@pytest.mark.parametrize("code", ["NoSuchKey", "PreconditionFailed"])
def test_what_the_second_region_answers(wire, away, s3_of, code):
    """An error that the second region answers is the call's, with its history."""
    s3 = s3_of()
    wire.plans = ["drop"]
    away.default = (404, {}, f"<Error><Code>{code}</Code></Error>".encode())
    with pytest.raises(ClientError, match=code) as caught:
        s3.get_object(**AT)

    assert "us-east-1 had ended in ConnectionClosedError" in caught.value.__notes__[0]


@pytest.mark.parametrize("code", ["NoSuchBucket", "AccessDenied"])
def test_a_second_region_that_is_not_set_up(wire, away, s3_of, code):
    """A region that lacks the bucket, or the rights, does not hide what happened."""
    s3 = s3_of()
    wire.plans = ["drop"]
    away.default = (404, {}, f"<Error><Code>{code}</Code></Error>".encode())
    with pytest.raises(ConnectionClosedError) as caught:
        s3.get_object(**AT)

    assert f"eu-west-1 was asked, too: {code}" in caught.value.__notes__[0]


# -- writes ----------------------------------------------------------------------


def test_a_write_under_a_pattern(wire, away, s3_of):
    """A write is not failed over where only a pattern says so."""
    s3 = s3_of()
    shut(s3, "PutObject")
    with pytest.raises(BotocoreRejected) as caught:
        s3.put_object(**AT, Body=b"x")

    found = resilience.report(caught.value).elsewhere
    assert "not written for s3.PutObject itself" in found[0]
    assert 0 == away.count


def test_a_marked_write_that_was_not_sent(wire, away, s3_of, rule):
    """A marked write that was refused unsent is made in the other region."""
    s3 = s3_of({"s3.PutObject": rule})
    shut(s3, "PutObject")
    answer = s3.put_object(**AT, Body=b"x")

    assert "eu-west-1" == marked(answer)["region"]
    assert [("PUT", "/orders-eu/1")] == [seen[:2] for seen in away.seen]
    assert b"x" in away.seen[0][3]


def test_a_marked_write_that_nobody_took(away, session, make_engine, rule):
    """A connection that is refused is certain: the write is made elsewhere."""
    engine = make_engine(operations={"s3.PutObject": rule})
    resilience.botocore.register(session, engine)
    closed = Wire()
    closed.close()
    s3 = session.client("s3", endpoint_url=closed.url)
    answer = s3.put_object(**AT, Body=io.BytesIO(b"whole"))

    assert "eu-west-1" == marked(answer)["region"]
    assert b"whole" in away.seen[0][3]


def test_a_marked_write_that_was_throttled(wire, away, s3_of, rule):
    """What was throttled was not executed: the write is made elsewhere."""
    s3 = s3_of({"s3.PutObject": rule})
    wire.plans = [SLOW_DOWN]
    answer = s3.put_object(**AT, Body=b"x")

    assert "SlowDown" == marked(answer)["code"]


@pytest.mark.parametrize("plan", ["drop", INTERNAL])
@pytest.mark.parametrize("idempotency", ["auto", "keyed", "accept_duplicates"])
def test_a_marked_write_that_may_be_there(
    wire, away, s3_of, rule, *, plan, idempotency
):
    """A write that the first region may have executed is not made in the second."""
    s3 = s3_of({"s3.PutObject": {**rule, "idempotency": idempotency}})
    wire.plans, wire.default = [plan], 404
    with pytest.raises((ClientError, ConnectionClosedError)) as caught:
        s3.put_object(**AT, Body=b"x")

    found = resilience.report(caught.value)
    assert found.ambiguous
    assert "us-east-1 may have executed it" in found.elsewhere[0]
    assert 0 == away.count


def test_a_write_that_may_be_in_both(wire, away, s3_of, rule):
    """By the policy's own word even such a write is repeated elsewhere."""
    place = {**rule["failover"][0], "ambiguous_writes": "repeat"}
    s3 = s3_of({"s3.PutObject": {"failover": [place], "retry": ONE}})
    wire.plans = ["drop"]
    answer = s3.put_object(**AT, Body=b"x")

    assert "eu-west-1" == marked(answer)["region"]


def test_an_ambiguous_write_of_the_second_region(wire, away, s3_of, rule):
    """A write that the second region may have executed is said to be ambiguous."""
    breaker = {"scope": ["region"], "min_calls": 1, "window": "1 calls"}
    s3 = s3_of({"s3.PutObject": {**rule, "idempotency": "none", "breaker": breaker}})
    wire.plans, away.default = ["drop"], "drop"
    with pytest.raises(ConnectionClosedError):
        s3.put_object(**AT, Body=b"x")
    with pytest.raises(ConnectionClosedError) as caught:
        s3.put_object(**AT, Body=b"x")

    assert resilience.report(caught.value).ambiguous
    assert (1, 1) == (wire.count, away.count)


@pytest.mark.parametrize("first", ["drop", (200, {}, b"")])
def test_a_key_that_the_first_region_knows(wire, away, s3_of, rule, first):
    """A write is not made elsewhere when the same intent may be in the first region."""
    s3 = s3_of({"s3.PutObject": rule})
    wire.plans = [first]
    with resilience.idempotency_key("one"):
        with contextlib.suppress(ConnectionClosedError):
            s3.put_object(**AT, Body=b"x")
        shut(s3, "PutObject")
        with pytest.raises(BotocoreRejected) as caught:
            s3.put_object(**AT, Body=b"x")

    found = resilience.report(caught.value).elsewhere
    assert "us-east-1 may have executed an earlier call with this key" in found[0]
    assert 0 == away.count


@pytest.mark.parametrize("first", ["drop", THERE])
def test_a_key_that_the_second_region_knows(wire, away, s3_of, rule, first):
    """A repeated intent goes where it may be, though the first region is back."""
    s3 = s3_of({"s3.PutObject": rule})
    shut(s3, "PutObject")
    away.plans = [first]
    with resilience.idempotency_key("one"):
        with contextlib.suppress(ConnectionClosedError):
            s3.put_object(**AT, Body=b"x")
        engine_of(s3).breaker("aws:service=s3,region=us-east-1").reset()
        answer = s3.put_object(**AT, Body=b"x")

    assert "begun-there" == marked(answer)["reason"]
    assert (0, 2) == (wire.count, away.count)


def test_a_body_that_was_read():
    """A stream that cannot be sought is not sent twice, nor half."""
    stream = _Pipe(b"once")
    asked = Asked("PutObject", {}, stream, 0)
    file = io.BytesIO(b"twice")
    found = Asked("PutObject", {}, file, 2)
    file.read()

    assert not asked.rewind()
    assert found.rewind()
    assert 2 == file.tell()


class _Pipe(io.BytesIO):
    """A stream that can only be read."""

    def seekable(self):
        return False


# -- modes -----------------------------------------------------------------------


def test_observing(wire, away, s3_of, sink):
    """In mode observe nothing is asked elsewhere; what would be is written down."""
    s3 = s3_of(mode="observe")
    wire.default = 503
    with pytest.raises(ClientError):
        s3.head_object(**AT)

    would = [r for r in sink.of("Decided") if r.mechanism == "failover"]
    assert [("retry", "to eu-west-1")] == [(r.decision, r.message) for r in would]
    assert 0 == away.count


def test_bypass(wire, away, s3_of):
    """In mode bypass there is no failover."""
    s3 = s3_of(mode="bypass")
    wire.default = 503
    with pytest.raises(ClientError):
        s3.head_object(**AT)

    assert 0 == away.count


def test_the_record(wire, away, s3_of, sink):
    """Each time somebody was asked leaves a record: who, why, and how it ended."""
    s3 = s3_of()
    wire.plans = ["drop"]
    s3.head_object(**AT)

    (found,) = sink.of("Diverted")
    assert ("failover", "eu-west-1", "OK") == found[2:5]
    assert "attempts-exhausted" == found.reason


# -- time ------------------------------------------------------------------------


def test_what_is_left_of_the_deadline(wire, away, s3_of, clock):
    """The other region has what is left of the call's own time, and no more."""
    s3 = s3_of(timeout="30s", attempt_timeout="20s")

    def late(handler):
        clock.skipped += 12
        return 503

    wire.plans = [late]
    with resilience.deadline(25):
        s3.head_object(**AT)

    assert 1 == away.count


def test_no_time_left(wire, away, s3_of, clock):
    """When the deadline has passed nobody is asked any more."""
    s3 = s3_of(timeout="5s")

    def late(handler):
        clock.skipped += 6
        return 503

    wire.plans = [late]
    with pytest.raises((BotoCoreError, ClientError)) as caught:
        s3.head_object(**AT)

    assert "no time was left" in caught.value.__notes__[0]
    assert 0 == away.count


def test_boto3_sessions_of_their_own(wire, away, make_engine, rule, session):
    """A client that was registered alone fails over with its own credentials."""
    s3 = session.client("s3", endpoint_url=wire.url)
    resilience.botocore.register(s3, make_engine(operations={"s3.*": rule}))
    wire.plans = ["drop"]
    s3.head_object(**AT)

    (authorization,) = away.header("authorization")
    assert "Credential=key/" in authorization
    assert "/eu-west-1/s3/" in authorization


def test_explicit_credentials(wire, away, make_engine, rule, session):
    """Keys that were given to the client itself are the sibling's, too."""
    resilience.botocore.register(session, make_engine(operations={"s3.*": rule}))
    s3 = session.client(
        "s3",
        endpoint_url=wire.url,
        aws_access_key_id="other",
        aws_secret_access_key="secret",
        aws_session_token="token",
    )
    wire.plans = ["drop"]
    s3.head_object(**AT)

    assert "Credential=other/" in away.header("authorization")[0]
    assert ["token"] == away.header("x-amz-security-token")


def test_a_session_that_is_gone(wire, away, make_engine, rule, loader):
    """A client outlives its session, and fails over all the same."""
    made = boto3.Session("gone", "secret", region_name="us-east-1")
    resilience.botocore.register(made, make_engine(operations={"s3.*": rule}))
    s3 = made.client("s3", endpoint_url=wire.url)
    del made
    gc.collect()
    wire.plans = ["drop"]
    s3.head_object(**AT)

    assert "Credential=gone/" in away.header("authorization")[0]


def test_a_client_with_an_endpoint_of_its_own(wire, connect, make_engine):
    """Without an address in the policy such a client does not go to AWS itself."""
    rules = {"s3.*": {"failover": [{"region": "eu-west-1"}], "retry": ONE}}
    s3 = connect("s3", make_engine(operations=rules))
    wire.plans = ["drop"]
    with pytest.raises(ConnectionClosedError) as caught:
        s3.head_object(**AT)

    assert "write `endpoint_url` for eu-west-1" in caught.value.__notes__[0]


def test_a_service_with_one_endpoint(connect, make_engine, session):
    """A service that is the same in all regions has nowhere to go."""
    rules = {"iam.*": {"failover": [{"region": "eu-west-1"}], "retry": ONE}}
    resilience.botocore.register(session, make_engine(operations=rules))
    iam = session.client("iam")
    guard = guard_of(iam, type(iam)._resilience_registration)

    with pytest.raises(NoSibling, match="one endpoint for both regions"):
        make(guard, guard_place("eu-west-1"))


def test_where_aws_is(session, make_engine):
    """A client without an endpoint of its own is asked where AWS has the region."""
    resilience.botocore.register(session, make_engine())
    s3 = session.client("s3", config=Config(read_timeout=7, user_agent_extra="mine"))
    guard = guard_of(s3, type(s3)._resilience_registration)
    made = make(guard, guard_place("eu-west-1"))

    assert "https://s3.eu-west-1.amazonaws.com" == made.meta.endpoint_url
    assert 7 == made.meta.config.read_timeout
    assert "mine" in made.meta.config.user_agent
    assert guard_of(made, guard.registration).is_sibling
    assert not has_own_endpoint(s3)


def test_a_client_that_cannot_be_made(wire, away, s3_of, monkeypatch):
    """What goes wrong there is told with the error, and not tried at each call."""
    tries = []

    def broken(*_):
        tries.append(1)
        raise OSError(24, "no files left")

    monkeypatch.setattr(failover_clients, "make", broken)
    s3 = s3_of()
    wire.default = 503
    for _ in range(3):
        with pytest.raises(ClientError) as caught:
            s3.head_object(**AT)

    assert 1 == len(tries)
    assert "OSError: [Errno 24] no files left" in caught.value.__notes__[0]


def test_another_engine(wire, away, session, make_engine, rule):
    """A client that gets another engine takes the clients that answer for it along."""
    s3 = session.client("s3", endpoint_url=wire.url)
    resilience.botocore.register(s3, make_engine(operations={"s3.*": rule}))
    wire.default = 503
    s3.head_object(**AT)
    other = make_engine(operations={"s3.*": rule})
    resilience.botocore.register(s3, other)
    s3.head_object(**AT)

    scopes = {scope["scope"] for scope in other.snapshot()["scopes"]}
    assert "aws:service=s3,region=eu-west-1" in scopes


def test_unregistering(wire, away, s3_of, session):
    """A client that is given back fails over no more."""
    s3 = s3_of()
    wire.default = 503
    s3.head_object(**AT)
    resilience.botocore.unregister(session)
    with pytest.raises(ClientError):
        s3.head_object(**AT)

    assert 1 == away.count


def test_a_fault_of_ours(wire, away, s3_of, sink, monkeypatch):
    """Whatever breaks in a failover, the caller gets the call's own error."""
    monkeypatch.setattr(failover.Elsewhere, "members", lambda *_: 1 / 0)
    s3 = s3_of()
    wire.plans = ["drop"]
    with pytest.raises(ConnectionClosedError):
        s3.head_object(**AT)

    assert any("ZeroDivisionError" in notice.message for notice in sink.of("Notice"))


def guard_place(region):
    return FailoverRegion(
        region=region, endpoint_url=None, rename={}, repeats_ambiguous=False
    )
