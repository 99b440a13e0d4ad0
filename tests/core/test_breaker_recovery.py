"""Half-open and ramp: how a breaker closes again."""

import random

import pytest

from resilience.core.breaker import Permit, Refusal
from tests.core.probed import Probed


# Half-open


def test_after_its_wait_it_probes() -> None:
    """Half-open lets `concurrent` probes through at a time, not 1000 of 1000."""
    probed = Probed(probes=3, concurrent_probes=2).trip()
    probed.now = 10
    answers = [probed.admit() for _ in range(1000)]
    admitted = [a for a in answers if isinstance(a, Permit)]

    assert probed.state == "half-open"
    assert len(admitted) == 2
    assert all(a.retry_at > 10 for a in answers if isinstance(a, Refusal))

    probed.end(admitted[0], "success")

    assert sum(probed.call() for _ in range(1000)) == 1000
    assert probed.state == "closed"


def test_no_more_probes_than_asked_for() -> None:
    """A round is `probes` calls: more wait for its verdict."""
    probed = Probed(probes=4, concurrent_probes=9, early_decision=False).trip()
    probed.now = 10
    answers = [probed.admit() for _ in range(9)]

    assert sum(isinstance(a, Permit) for a in answers) == 4


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ("S", "half-open"),
        ("SS", "half-open"),
        ("SSS", "closed"),
        ("F", "half-open"),
        ("FF", "open"),
        ("FSF", "open"),
        ("FSS", "half-open"),
        ("FSSS", "closed"),
    ],
)
def test_it_decides_as_soon_as_the_verdict_is_sure(results, state) -> None:
    """At a ratio of .5 of 4: two failures open it, three successes close it."""
    probed = Probed(probes=4).trip()
    probed.now = 10
    for letter in results:
        probed.call("failure" if letter == "F" else "success")

    assert probed.state == state


@pytest.mark.parametrize(
    ("results", "state"), [("FFF", "half-open"), ("FFSS", "open"), ("FSSS", "closed")]
)
def test_without_early_decision_it_hears_all_probes(results, state) -> None:
    """The other rule, for those who know it: judge a full round."""
    probed = Probed(probes=4, early_decision=False).trip()
    probed.now = 10
    for letter in results:
        probed.call("failure" if letter == "F" else "success")

    assert probed.state == state


def test_slow_probes_reopen_it() -> None:
    """A target that answers too slowly has not recovered."""
    probed = Probed(slow_call_s=1.0).trip()
    probed.now = 10
    probed.call("success", 2.0)

    assert probed.state == "open"


def test_ten_failing_probes_are_not_needed() -> None:
    """One failed probe re-opens it where one failure already decides."""
    probed = Probed(probes=10, failure_ratio=0.1).trip()
    probed.now = 10
    probed.call("failure")

    assert probed.state == "open"


@pytest.mark.parametrize(
    ("ratio", "probes"), [(0.07, 100), (0.29, 100), (0.57, 100), (0.7, 10)]
)
def test_rounding_does_not_move_the_threshold(ratio, probes) -> None:
    """7 of 100 is a ratio of .07, though .07 * 100 is a little above 7."""
    failures = round(ratio * probes)
    probed = Probed(probes=probes, failure_ratio=ratio).trip()
    probed.now = 10
    for _ in range(failures - 1):
        probed.call("failure")

    assert probed.state == "half-open"

    probed.call("failure")

    assert probed.state == "open"


def test_a_probe_that_shows_nothing_makes_room_for_another() -> None:
    """A cancelled probe is given back, and the round goes on."""
    probed = Probed().trip()
    probed.now = 10
    for _ in range(50):
        assert probed.call("neutral")

    assert probed.state == "half-open"
    assert probed.call()
    assert probed.call()
    assert probed.state == "closed"


def test_a_hung_probe_holds_nothing_for_ever() -> None:
    """Its permit is a lease: after `probe_timeout` it counts as a failed probe."""
    probed = Probed(probe_timeout_s=5).trip()
    probed.now = 10
    hung = probed.admit()
    probed.now = 14.9

    assert not probed.call()
    assert probed.state == "half-open"

    probed.now = 15
    answer = probed.admit()

    assert isinstance(answer, Refusal)
    assert (probed.state, answer.retry_at) == ("open", 25)

    probed.end(hung, "success")

    assert (probed.state, probed.made.late) == ("open", 1)


def test_a_lease_that_expired_in_the_same_round_is_late() -> None:
    """The failed probe is counted once: its late success is not a second result."""
    probed = Probed(probes=4, probe_timeout_s=5).trip()
    probed.now = 10
    hung = probed.admit()
    probed.now = 15
    second = probed.admit()
    probed.end(hung, "success")

    assert isinstance(second, Permit)
    assert probed.made.late == 1
    assert probed.made.totals(15).calls == 1


def test_a_lease_never_outlives_its_call() -> None:
    """A probe with a deadline in 1 s is a failed probe after 1 s."""
    probed = Probed(probe_timeout_s=5).trip()
    probed.now = 10
    probed.admit(deadline=11.0)
    probed.now = 11
    probed.admit()

    assert probed.state == "open"


def test_a_permit_is_given_back_once() -> None:
    """A second return of the same probe is late, not another result."""
    probed = Probed(probes=4).trip()
    probed.now = 10
    permit = probed.admit()
    probed.end(permit, "success")
    probed.end(permit, "failure")

    assert probed.made.totals(10).calls == 1
    assert probed.made.late == 1


# Ramp


def test_recovery_ramps_up() -> None:
    """Envoy's slow start: a tenth at first, then in proportion to the time."""
    draws = random.Random(3).random
    probed = Probed(draws, ramp_s=10.0).trip()
    probed.now = probed.made.until
    probed.call()
    probed.call()

    assert probed.state == "ramp"
    assert not probed.made.allows_retries

    start = probed.now
    shares = []
    for after in (0.0, 5.0):
        probed.now = start + after
        answers = [probed.admit() for _ in range(1000)]
        shares.append(sum(isinstance(a, Permit) for a in answers) / 1000)

    assert shares == pytest.approx([0.1, 0.5], abs=0.05)

    probed.now = start + 10

    assert all(probed.call() for _ in range(100))
    assert probed.state == "closed"
    assert probed.made.allows_retries


def test_a_refusal_of_the_ramp_says_when_to_ask_again() -> None:
    """Those that wait are let go one after the other."""
    probed = Probed(lambda: 0.99, ramp_s=10.0).trip()
    probed.now = 10
    probed.call()
    probed.call()
    answer = probed.admit()

    assert isinstance(answer, Refusal)
    assert 10.5 < answer.retry_at < 11.5


def test_a_failure_while_ramping_reopens_it_sooner_and_longer() -> None:
    """Half of `min_calls` is enough, and the next wait is the doubled one."""
    probed = Probed(lambda: 0.0, ramp_s=10.0, growing=True).trip()
    probed.now = 10
    probed.call()
    probed.call()
    probed.call("failure")

    assert probed.state == "ramp"

    probed.call("failure")

    assert probed.state == "open"
    assert probed.open_for == 20


def test_only_a_full_ramp_forgets_the_openings() -> None:
    """A recovery that does not last is no recovery."""
    probed = Probed(lambda: 0.0, ramp_s=10.0).trip()
    probed.now = 10
    probed.call()
    probed.call()

    assert probed.made.openings == 1

    probed.now = 20
    probed.call()

    assert probed.made.openings == 0


def test_a_ramp_of_no_length_is_over_at_once() -> None:
    """Put there by hand, a breaker without a ramp closes with the next call."""
    probed = Probed(ramp_s=0.0)
    probed.made.move("ramp", 0)

    assert probed.call()
    assert probed.state == "closed"
