"""A wrong clock and expired credentials are said, and nothing is tried blindly."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from botocore.exceptions import ClientError

import resilience
from resilience.botocore import skew
from resilience.botocore.codes import CLOCK_SKEW, EXPIRED
from tests.botocore.answers import js, xml


def http_date(hours):
    return format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)


def stamp(minutes=0):
    return f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y%m%dT%H%M%SZ}"


def refused(wire, client, answer):
    """Return the report of a call that got *answer*, and how often it was sent."""
    wire.seen, wire.plans = [], [answer] * 5
    with pytest.raises(ClientError) as caught:
        client.list_queues()
    assert resilience.report(caught.value).hint in caught.value.__notes__[0]
    return resilience.report(caught.value), wire.count


@pytest.mark.parametrize("code", sorted(CLOCK_SKEW))
@pytest.mark.parametrize(("hours", "side"), [(1, "behind"), (-1, "ahead of")])
def test_a_wrong_clock_is_named(*, code, hours, side, wire, connect, make_engine):
    """The note says by how much, which way and what to do; nothing is repeated."""
    client = connect("sqs", make_engine())
    report, count = refused(
        wire, client, js(403, code, headers={"date": http_date(hours)})
    )

    assert 1 == count
    assert report.hint.startswith("this host's clock is 3")
    assert report.hint.endswith(f"s {side} the server's: set it")


@pytest.mark.parametrize("code", sorted(CLOCK_SKEW))
def test_a_right_clock_is_not_blamed(code, wire, connect, make_engine):
    """A wrong key with clocks that agree gets no remedy of ours."""
    client = connect("sqs", make_engine())
    report, count = refused(wire, client, js(403, code, headers={"date": http_date(0)}))

    assert (1, "") == (count, report.hint)


def test_a_request_that_was_held_up(wire, connect, make_engine):
    """Clocks agree and the signature is old: the way was long, and that is said."""
    message = (
        f"Signature expired: {stamp(-9)} is now earlier than {stamp(-5)} "
        f"({stamp()} - 5 min.)"
    )
    client = connect("sqs", make_engine())
    answer = js(
        403, "InvalidSignatureException", {"date": http_date(0)}, message=message
    )
    report, count = refused(wire, client, answer)

    assert 1 == count
    assert "540s after it was signed" in report.hint


def test_the_servers_time_in_the_body(wire, connect, make_engine, sink):
    """S3 says its time in the error, which helps where a proxy took `Date` away."""
    client = connect("s3", make_engine())
    later = datetime.now(UTC) + timedelta(hours=1)
    inside = f"<ServerTime>{later:%Y-%m-%dT%H:%M:%SZ}</ServerTime>"
    wire.plans = [xml(403, "RequestTimeTooSkewed", inside=inside)]
    with pytest.raises(ClientError):
        client.list_buckets()
    (end,) = sink.of("CallEnded")

    assert "s behind the server's" in end.outcome.message
    assert end.outcome.message.endswith("; m")


def test_nothing_to_measure():
    """The code alone says that clocks differ; other codes say nothing."""
    assert "differs" in skew.note("RequestTimeTooSkewed", {}, {})
    assert not skew.note("SignatureDoesNotMatch", {}, {})
    assert not skew.note("AuthFailure", {"ServerTime": "x"}, {"date": "y"})
    odd = {"Message": "expired 99999999T999999Z 99999999T999999Z"}
    assert not skew.note("AuthFailure", odd, {"date": http_date(0)})


@pytest.mark.parametrize("code", sorted(EXPIRED))
def test_an_expired_token_is_said(code, wire, connect, make_engine):
    """The note says what to do about it; the call is not repeated."""
    report, count = refused(wire, connect("sqs", make_engine()), js(403, code))

    assert 1 == count
    assert "session token has expired" in report.hint
