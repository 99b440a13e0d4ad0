"""The classic breaker, state by state."""

import pytest

from resilience.core.breaker import Refusal
from tests.core.policies import middle
from tests.core.probed import Probed


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
