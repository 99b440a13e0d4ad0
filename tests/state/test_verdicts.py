"""Processes that begin, or come back, while the others know something they do not."""

import pytest

from resilience.core.verdict import Verdict
from resilience.state.layout import ADMITTED, CUT, JUDGED, MILLION, PAUSE


def outage(processes, begins, ends, now=100.0):
    """*processes* call in turns; the target is dead from *begins* to *ends*."""
    for number in range(round((ends - now) * 100)):
        at = now + number / 100 + 0.001
        is_dead = at >= begins
        processes[number % len(processes)].calls(at, good=not is_dead, bad=is_dead)


def test_who_begins_knows_what_the_others_know(process):
    """The first call of a new process to a dead target is refused."""
    others = [process(), process()]
    outage(others, 103.0, 110.0)
    new = process()

    assert new.calls(110.03, bad=1) == 0
    assert new.breaker().state == others[0].breaker().state == "open"
    assert new.breaker().openings == 1
    assert new.breaker().snapshot(110.03)["evidence"]


@pytest.mark.parametrize("away_s", [5.5, 9.0, 60.0])
def test_who_was_away_knows_what_the_others_know(process, away_s):
    """So is the next call of one that was away while they found out."""
    others, seldom = [process(), process()], process()
    begins = 104.0
    outage([*others, seldom], begins, 103.0)
    outage(others, begins, 103.0 + away_s, now=103.0)

    assert seldom.calls(103.03 + away_s, bad=1) == 0


def test_who_was_away_in_an_outage_knows_that_it_is_over(process):
    """One that left in an outage lets calls pass when the others do."""
    others, seldom = [process(), process()], process()
    outage([*others, seldom], 103.0, 106.0)
    left = seldom.breaker().state
    for number in range(1500):
        others[number % 2].calls(106.0 + number / 100, good=1)

    assert left == "open"
    assert others[0].breaker().state == "closed"
    assert [seldom.calls(121.0 + n / 1000, good=1) for n in range(20)] == [1] * 20


def test_a_verdict_of_long_ago_says_nothing(process):
    """When all were away nobody knows: the next one's calls pass."""
    others, seldom = [process(), process()], process()
    seldom.calls(100.0, good=1)
    outage(others, 103.0, 106.0)
    for other in others:
        other.host.pulse(140.0)  # they live, and call something else

    assert seldom.calls(140.0, good=1) == 1
    assert seldom.breaker().state == "closed"


def test_the_rate_of_probes_does_not_depend_on_the_number_of_processes(process):
    """A hundred that call seldom try a dead target as often as one that calls often."""

    def sent_by(many, key):
        where = {"scope": f"grpc:target={key}"}
        for number in range(2000):
            at = 100.001 + number / 10
            is_dead = at >= 110
            if number % 10 == 0:
                for each in many:  # all call other targets, too
                    each.host.pulse(at)
            one = many[number * 7919 % len(many)]
            sent = one.calls(at, good=not is_dead, bad=is_dead, **where)
            if at >= 120:
                yield sent

    few = sum(sent_by([process()], "few"))
    many = sum(sent_by([process() for _ in range(100)], "many"))

    assert 0 < many <= 1.5 * few


def test_the_verdict_of_one_that_is_alone_is_its_own(process):
    """A process with a broken network does not tell others to shed."""
    lost, well = process(), process()
    for number in range(1000):
        at = 100.001 + number / 100
        lost.calls(at, good=at < 103, bad=at >= 103)
        well.calls(at, good=1)
    new = process()

    assert lost.breaker().state != "closed"
    assert [new.calls(110.0 + n / 10, good=1) for n in range(20)] == [1] * 20


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (ADMITTED, -1),
        (ADMITTED, MILLION + 1),
        (PAUSE, -1),
        (PAUSE, 2**62),
        (CUT, 2**62),
        (JUDGED, 2**62),
        (JUDGED, -5),
        (JUDGED, 0),
    ],
)
def test_what_cannot_be_true_is_not_believed(process, cell, value):
    """A scribbled verdict is none; the right one is read as it was told."""
    first, second = process(), process()
    rows = [one.host.rows("grpc:target=cart") for one in (first, second)]
    for one in rows:
        one.turn(100.0, 1000, 0.1, 1.0)
        one.alarm(1000)
    for one in rows:
        one.turn(100.3, 1003, 0.1, 1.0)
    said = Verdict(1002, 0.25, 1001, 0.5, is_open=True)
    rows[0].tell(said)

    assert rows[1].told(1000) == said
    assert rows[1].told(1003) is None
    rows[0]._row[cell] = value
    assert rows[1].told(1000) is None
