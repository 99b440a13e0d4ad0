"""The classic breaker, state by state."""

import math
import random
import threading

import pytest

from resilience.core.breaker import MIN_PAUSE_S, Breaker, Permit, Refusal
from tests.core.policies import breaker, middle


class Probed:
    """A breaker with a clock, for short tests."""

    def __init__(self, rng=middle, **changes) -> None:
        self.made = Breaker(breaker(**changes), "app:target=rates")
        self.rng = rng
        self.now = 0.0

    def admit(self, deadline=None):
        return self.made.admit(self.now, self.rng, deadline)

    def end(self, permit, evidence, elapsed_s=0.1, **more) -> None:
        self.made.done(permit, evidence, elapsed_s, self.now, self.rng, **more)

    def call(self, evidence="success", elapsed_s=0.1, **more) -> bool:
        """One attempt; was it admitted?"""
        permit = self.admit()
        if isinstance(permit, Refusal):
            return False
        self.end(permit, evidence, elapsed_s, **more)
        return True

    def trip(self) -> "Probed":
        for _ in range(4):
            assert self.call("failure")
        assert self.made.state == "open"
        return self

    @property
    def state(self) -> str:
        return self.made.state

    @property
    def open_for(self) -> float:
        assert self.made.until is not None
        return self.made.until - self.now


# Closed


def test_it_starts_closed_and_lets_all_through() -> None:
    """A healthy target is never refused."""
    probed = Probed()

    assert all(probed.call() for _ in range(100))
    assert probed.state == "closed"


def test_ratios_are_undefined_below_min_calls() -> None:
    """Three failures of three say nothing where four calls are asked for."""
    probed = Probed()
    for _ in range(3):
        probed.call("failure")

    assert probed.state == "closed"

    probed.call("failure")

    assert probed.state == "open"


def test_the_failure_ratio_is_inclusive() -> None:
    """Exactly half failed is half failed."""
    probed = Probed()
    for shown in ("success", "success", "failure", "failure"):
        probed.call(shown)

    assert probed.state == "open"


def test_an_absolute_number_of_failures_never_trips() -> None:
    """Five failures of 600 000 calls are noise, whatever their number."""
    probed = Probed(min_calls=5, failure_ratio=0.5)
    for n in range(600_000 // 100):
        probed.now = n * 0.001
        probed.call("failure" if n % 1200 == 1199 else "success")

    assert probed.state == "closed"


def test_every_result_is_judged() -> None:
    """A success that completes the number trips as well as a failure."""
    probed = Probed()
    for shown in ("failure", "failure", "failure", "success"):
        probed.call(shown)

    assert probed.state == "open"


def test_old_successes_leave_the_window() -> None:
    """After a silence the failures that are left are judged with the next result."""
    probed = Probed(window_s=10)
    for _ in range(10):
        probed.call("success")
    probed.now = 9
    for _ in range(4):
        probed.call("failure")

    assert probed.state == "closed"

    probed.now = 12
    probed.call("success")

    assert probed.state == "open"


def test_a_count_window_smaller_than_min_calls_is_enough() -> None:
    """`min(min_calls, N)`: a window of three can be judged when it is full."""
    probed = Probed(window_calls=3, min_calls=100)
    for _ in range(3):
        probed.call("failure")

    assert probed.state == "open"


def test_slow_answers_trip_too() -> None:
    """Slow means strictly slower than `slow_call`."""
    probed = Probed(slow_call_s=1.0)
    for _ in range(8):
        probed.call("success", 1.0)

    assert probed.state == "closed"

    for _ in range(8):
        probed.call("success", 1.01)

    assert probed.state == "open"
    assert "8 slow" in probed.made.admit(0, middle).message


def test_long_calls_are_never_slow() -> None:
    """A long poll takes what it asked for."""
    probed = Probed(slow_call_s=1.0)
    for _ in range(8):
        probed.call("success", 20.0, long=True)

    assert probed.state == "closed"


@pytest.mark.parametrize("shown", ["neutral", "own"])
def test_what_says_nothing_about_the_target_leaves_no_sample(shown) -> None:
    """Throttling, cancellation and a broken client do not look like a dead server."""
    probed = Probed()
    for _ in range(100):
        probed.call(shown)

    assert probed.state == "closed"
    assert probed.made.totals(0).calls == 0
    assert probed.made.own_faults == (100 if shown == "own" else 0)


# Open


def test_open_refuses_at_once_until_its_time() -> None:
    """A refusal says the scope, the evidence and when to ask again."""
    probed = Probed().trip()
    answer = probed.admit()

    assert answer == Refusal(
        "open", 10.0, "breaker open for app:target=rates (4 of 4 failed)"
    )
    assert probed.made.rejected == 1

    probed.now = 9.999

    assert not probed.call()


def test_a_late_success_does_not_close_it() -> None:
    """Results of an older generation are counted and change nothing."""
    probed = Probed()
    early = [probed.admit() for _ in range(3)]
    probed.trip()
    for permit in early:
        probed.end(permit, "success")

    assert probed.state == "open"
    assert probed.made.late == 3


def test_a_late_failure_does_not_reopen_it() -> None:
    """Calls of the outage that end after the recovery do not undo it."""
    probed = Probed()
    early = [probed.admit() for _ in range(10)]
    probed.trip()
    probed.now = 10
    probed.call()
    probed.call()
    for permit in early:
        probed.end(permit, "failure")

    assert probed.state == "closed"
    assert probed.made.totals(10).calls == 0


def test_the_wait_grows_with_each_opening_in_a_row() -> None:
    """10, 20, 40, 40 s: doubled up to `max_open_for`, and reset by a recovery."""
    probed = Probed(growing=True).trip()
    waits = [probed.open_for]
    for _ in range(3):
        probed.now = probed.made.until
        probed.call("failure")
        waits.append(probed.open_for)

    assert waits == [10, 20, 40, 40]

    probed.now = probed.made.until
    probed.call()
    probed.call()

    assert probed.state == "closed"
    assert probed.trip().open_for == 10


@pytest.mark.parametrize(("draw", "wait"), [(0.0, 5.0), (0.5, 7.5), (1.0, 10.0)])
def test_the_wait_is_drawn_from_its_upper_half(draw, wait) -> None:
    """Clients that opened together do not probe together: w/2 + U*w/2."""
    assert Probed(lambda: draw, jitter=True).trip().open_for == wait


@pytest.mark.parametrize(
    ("hint", "wait"), [(3.0, 10.0), (25.0, 25.0), (999.0, 40.0), (-1.0, 10.0)]
)
def test_a_servers_hint_lengthens_the_wait(hint, wait) -> None:
    """It replaces a shorter wait, up to `max_open_for`."""
    probed = Probed()
    for _ in range(4):
        probed.call("failure", hint_s=hint)

    assert probed.open_for == wait


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


# By hand


def test_forced_open_stays_open() -> None:
    """No time and no result moves it; it does not say when to ask again."""
    probed = Probed()
    permit = probed.admit()
    probed.made.move("forced-open", 0)
    probed.end(permit, "success")
    probed.now = 1e6
    answer = probed.admit()

    assert isinstance(answer, Refusal)
    assert (answer.state, answer.retry_at) == ("forced-open", None)


def test_disabled_lets_all_through_and_counts_nothing() -> None:
    """The breaker is out of the way."""
    probed = Probed()
    probed.made.move("disabled", 0)

    assert all(probed.call("failure") for _ in range(100))
    assert probed.made.totals(0).calls == 0


def test_shadow_counts_and_never_rejects() -> None:
    """What it would see is seen; nothing follows."""
    probed = Probed()
    probed.made.move("shadow", 0)

    assert all(probed.call("failure") for _ in range(100))
    assert probed.state == "shadow"
    assert probed.made.totals(0).failed == 100


@pytest.mark.parametrize(
    ("forced", "state"), [("open", "forced-open"), ("disabled", "disabled")]
)
def test_a_policy_can_force_it(forced, state) -> None:
    """`force: open` in the policy holds from the first call."""
    assert Probed(forced=forced).state == state


def test_open_by_hand_recovers_by_itself() -> None:
    """A plain `open` waits `open_for`, or until the moment given."""
    probed = Probed()
    probed.made.move("open", 0)

    assert probed.made.until == 10

    probed.made.move("open", 0, until=3.0)
    probed.now = 3
    probed.call()
    probed.call()

    assert probed.state == "closed"


def test_reset_forgets_what_was_counted() -> None:
    """Closed by hand, with nothing in the window."""
    probed = Probed().trip()
    probed.made.move("closed", 0)

    assert probed.call()
    assert probed.made.totals(0).calls == 1


# Records, sharing, odd parameters


def test_changes_are_given_out_once() -> None:
    """Each change names old, new, evidence and until when."""
    probed = Probed().trip()
    (change,) = probed.made.drain()

    assert (change.old, change.new, change.evidence, change.until) == (
        "closed",
        "open",
        "4 of 4 failed",
        10.0,
    )
    assert probed.made.drain() == ()


def test_a_snapshot_is_plain_data() -> None:
    """State, evidence and counts, for the operator."""
    probed = Probed().trip()
    probed.admit()
    probed.now = 4.0
    found = probed.made.snapshot(4.0)

    assert found["state"] == "open"
    assert found["until_s"] == 6.0
    assert found["rejected"] == 1
    assert found["evidence"] == "4 of 4 failed"
    assert Probed().made.snapshot(0)["since_s"] is None
    assert Probed().made.snapshot(0)["until_s"] is None

    probed.now = 10
    probed.admit()
    half_open = probed.made.snapshot(10.5)

    assert half_open["probes_in_flight"] == 1
    assert half_open["since_s"] == 0.5


def test_nobody_is_told_to_ask_again_at_once() -> None:
    """With an `open_for` of 0 waiting callers still pause: no spinning."""
    probed = Probed(open_for_s=0.0, probe_timeout_s=1.0).trip()
    probed.admit()
    answer = probed.admit()

    assert isinstance(answer, Refusal)
    assert answer.retry_at == MIN_PAUSE_S


def test_the_healthy_path_takes_no_lock() -> None:
    """A lock that somebody holds does not stop admission while closed."""
    probed = Probed()
    probed.made._lock.acquire()

    assert isinstance(probed.admit(), Permit)


def test_no_lock_is_held_while_calls_run() -> None:
    """Ten calls under way at once are ten calls under way at once."""
    probed = Probed()
    permits = [probed.admit() for _ in range(10)]

    assert not probed.made._lock.locked()
    assert len(permits) == 10


def test_threads_share_it() -> None:
    """No result is lost between threads, and one change is one change."""
    made = Breaker(breaker(min_calls=4001, window_calls=4001), "s")

    def work() -> None:
        for _ in range(1000):
            permit = made.admit(0, middle)
            assert isinstance(permit, Permit)
            made.done(permit, "failure", 0.1, 0, middle)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert made.totals(0).failed == 4000
    assert made.state == "closed"


def test_a_fork_gives_the_child_room_for_probes() -> None:
    """The parent's probes are not the child's: their leases end, their room is free."""
    probed = Probed(probes=2, concurrent_probes=1).trip()
    probed.now = 10
    probed.admit()
    probed.made._lock.acquire()
    probed.made.renew()

    assert isinstance(probed.admit(), Permit)
    assert probed.made._admitted == 1


def test_growth_has_no_overflow() -> None:
    """After thousands of openings in a row the wait is still `max_open_for`."""
    probed = Probed(growing=True)
    probed.made.openings = 100_000
    probed.trip()

    assert math.isclose(probed.open_for, 40)
