"""Which reads another region answers, and what their callers see."""

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
)

import resilience
from resilience.botocore.rejected import BotocoreRejected
from tests.botocore.regions import (
    AT,
    INTERNAL,
    SLOW_DOWN,
    THERE,
    marked,
    shut,
)


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
