"""Which writes another region is given, and which it never is."""

import contextlib
import io

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
)

import resilience
from resilience.botocore.failover_calls import Asked
from resilience.botocore.rejected import BotocoreRejected
from tests.botocore.conftest import Wire
from tests.botocore.regions import (
    AT,
    INTERNAL,
    ONE,
    SLOW_DOWN,
    THERE,
    engine_of,
    marked,
    shut,
)


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
