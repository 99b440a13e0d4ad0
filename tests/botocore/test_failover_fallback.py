"""Fallbacks of AWS calls: alone, and after other regions."""

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError

import resilience
from resilience.fallback import FailedCall
from tests.botocore.conftest import Wire


AT = {"Bucket": "orders", "Key": "1"}
RULE = {"fallback": "cached", "retry": {"max_attempts": 1}}
OLD = {"ContentLength": 0, "ResponseMetadata": {}}


@pytest.fixture
def s3(connect, make_engine):
    keyed = {"idempotency": "keyed"}
    return connect("s3", make_engine(operations={"s3.*": RULE, "s3.PutObject": keyed}))


@pytest.fixture
def engine(s3):
    return type(s3)._resilience_registration.engine


def test_a_lost_call(wire, s3, engine, sink):
    """The fallback is given the parameters and the error, and answers."""
    seen = []
    engine.fallback("cached", lambda failed: seen.append(failed) or OLD)
    wire.plans = ["drop"]

    assert s3.head_object(**AT) is OLD
    (failed,) = seen
    assert isinstance(failed, FailedCall)
    assert ("s3.HeadObject", AT) == (failed.name, failed.request)
    assert isinstance(failed.error, ConnectionClosedError)
    assert "us-east-1" == failed.target.dimension("region")
    assert ["cached"] == [record.place for record in sink.of("Diverted")]


@pytest.mark.parametrize("status", [403, 404, 409, 412])
def test_an_answer_is_not_replaced(wire, s3, engine, status):
    """What the service answers is the caller's to see."""
    engine.fallback("cached", lambda _: OLD)
    wire.plans = [status]
    with pytest.raises(ClientError, match=str(status)):
        s3.head_object(**AT)


def test_a_fault_of_this_side(s3, engine):
    """Parameters that are wrong are not answered either."""
    engine.fallback("cached", lambda _: OLD)
    with pytest.raises(BotoCoreError, match="Parameter validation"):
        s3.head_object(Bucket="orders")


def test_a_key_that_was_used(wire, s3, engine):
    """A refusal of the key is the caller's fault, and is told."""
    engine.fallback("cached", lambda _: OLD)
    with resilience.idempotency_key("one"):
        s3.put_object(**AT, Body=b"a")
        with pytest.raises(resilience.Rejected, match="other parameters"):
            s3.put_object(**AT, Body=b"b")


def test_a_name_that_nobody_registered(wire, s3, sink):
    """The real error is raised, and one notice is given."""
    wire.default = 503
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            s3.head_object(**AT)

    assert "no fallback 'cached' is registered" in caught.value.__notes__[0]
    codes = [notice.code for notice in sink.of("Notice")]
    assert 1 == codes.count("fallback-unknown")


def test_a_fallback_that_fails(wire, s3, engine):
    """The call's own error is raised, with a note."""
    engine.fallback("cached", lambda failed: failed.request["Nothing"])
    wire.plans = ["drop"]
    with pytest.raises(ConnectionClosedError) as caught:
        s3.head_object(**AT)

    assert "fallback cached failed: KeyError" in caught.value.__notes__[0]


def test_observing(wire, connect, make_engine, sink):
    """In mode observe the fallback is never called."""
    engine = make_engine(operations={"s3.*": RULE}, mode="observe")
    engine.fallback("cached", lambda _: OLD)
    s3 = connect("s3", engine)
    wire.default = 503
    with pytest.raises(ClientError):
        s3.head_object(**AT)

    would = [(r.mechanism, r.message) for r in sink.of("Decided")]
    assert ("fallback", "cached") in would


def test_after_the_other_regions(wire, connect, make_engine):
    """The fallback comes last: when no region answered."""
    away = Wire()
    place = {"region": "eu-west-1", "endpoint_url": away.url}
    engine = make_engine(operations={"s3.*": {**RULE, "failover": [place]}})
    engine.fallback("cached", lambda failed: {"Notes": failed.report.elsewhere})
    s3 = connect("s3", engine)
    wire.default, away.default = "drop", (200, {}, b"")
    answered = s3.head_object(**AT)
    away.default = 503
    fallen = s3.head_object(**AT)
    away.close()

    assert "ResilienceFailover" in answered["ResponseMetadata"]
    assert ("eu-west-1 was asked, too: 503",) == fallen["Notes"]


def test_what_another_region_answered_no_to(wire, connect, make_engine):
    """Its answer is the call's: no fallback replaces it."""
    away = Wire()
    away.default = 404
    place = {"region": "eu-west-1", "endpoint_url": away.url}
    engine = make_engine(operations={"s3.*": {**RULE, "failover": [place]}})
    engine.fallback("cached", lambda _: OLD)
    s3 = connect("s3", engine)
    wire.default = "drop"
    with pytest.raises(ClientError, match="404"):
        s3.head_object(**AT)
    away.close()
