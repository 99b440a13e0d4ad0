"""A breaker moved by hand, its records, and how it is shared."""

import math
import threading

import pytest

from resilience.core.breaker import Permit, Refusal
from resilience.core.classic import MIN_PAUSE_S
from resilience.core.classic import ClassicBreaker as Breaker
from tests.core.policies import breaker, middle
from tests.core.probed import Probed


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
