"""Places: taken, waited for, given back, and lost with who held them."""

import pytest

from resilience.core.limiter import LEASE_S, Full, shown_by
from resilience.core.limiter_queue import Waiter
from tests.core.limiting import limiter
from tests.core.policies import (
    INTERNAL,
    NOT_FOUND,
    REFUSED,
    THROTTLED,
    TIMEOUT,
    UNPROCESSED,
)


CRITICAL, SHEDDABLE = 2, 0


def stand(made, now=0.0, rank=CRITICAL, deadline=None, expected_s=0.0):
    """Stand in line; whom it wakes is written down."""
    found = made.wait(now, rank, deadline, expected_s)
    assert isinstance(found, Waiter), found
    found.heard = []
    found.watch(lambda: found.heard.append(found.place))
    return found


def fill(made, now=0.0):
    return [made.take(now) for _ in range(made.limit)]


# -- places -------------------------------------------------------------------------


def test_no_more_places_than_the_limit():
    """What is beyond the limit gets no place until one is given back."""
    made = limiter()
    first, second = fill(made)

    assert made.take(0.0) == 0
    made.give(first, "nothing", 0.1)
    third = made.take(0.2)
    assert third not in {0, first, second}
    assert made.take(0.2) == 0


def test_a_place_is_given_back_once():
    """A second return frees nobody else's place."""
    made = limiter()
    first, _ = fill(made)
    made.give(first, "nothing", 0.1)
    made.give(first, "nothing", 0.1)

    assert made.in_flight == 1
    assert made.late == 1


def test_a_place_is_a_lease():
    """One that is never given back is counted for LEASE_S, then others pass."""
    made = limiter()
    fill(made)

    assert made.take(LEASE_S - 0.1) == 0
    assert made.take(LEASE_S) != 0
    assert made.in_flight == 1


@pytest.mark.parametrize("lost", [1, 2])
def test_a_lease_ends_under_a_queue_too(lost):
    """Places that nobody gives back go to who waits first, then to who comes."""
    made = limiter()
    for number in range(2):
        made.take(0.0 if number < lost else 5.0)
    early = stand(made, LEASE_S - 0.5)
    assert made.take(LEASE_S) == 0  # who comes does not pass who waits
    late = stand(made, LEASE_S)

    assert [early.place > 0, late.place > 0] == [True, lost == 2]
    assert early.heard == [early.place]
    assert made.waiting == 2 - lost


def test_a_fork_forgets_the_parents_calls():
    """A child begins with nobody in flight and nobody waiting."""
    made = limiter()
    held = fill(made)
    stand(made)
    made.renew()
    made.give(held[0], "answered", 0.1)

    assert (made.in_flight, made.waiting) == (0, 0)
    assert made.take(0.1)


# -- the queue ----------------------------------------------------------------------


def test_who_waits_goes_before_who_comes():
    """A place that comes free is the first waiter's, not the next caller's."""
    made = limiter()
    first, _ = fill(made)
    waiter = stand(made)
    made.give(first, "nothing", 0.1)

    assert made.take(0.1) == 0
    assert waiter.heard == [waiter.place] != [0]
    assert made.ask(waiter, 0.1) is True


def test_in_turn():
    """Among equals, first come is first served."""
    made = limiter()
    held = fill(made)
    waiters = [stand(made) for _ in range(3)]
    for place in held:
        made.give(place, "nothing", 0.1)

    assert [bool(waiter.place) for waiter in waiters] == [True, True, False]


def test_the_critical_first():
    """The critical pass those who came before them."""
    made = limiter()
    first, _ = fill(made)
    low, high = stand(made, rank=SHEDDABLE), stand(made, rank=CRITICAL)
    made.give(first, "nothing", 0.1)

    assert (low.place, bool(high.place)) == (0, True)


def test_a_full_queue_sheds_the_least_critical():
    """The newest of them leaves for one who matters more, and is told at once."""
    made = limiter()
    fill(made)
    older, _, newer = (stand(made, rank=SHEDDABLE) for _ in range(3))
    stand(made, rank=CRITICAL)

    assert newer.heard == [0]
    assert made.ask(newer, 0.0) is False
    assert made.ask(older, 0.0) is None


def test_a_full_queue_refuses_an_equal():
    """The queue is bounded: one more of the same rank is refused, and told why."""
    made = limiter()
    fill(made)
    for _ in range(3):
        stand(made)
    found = made.wait(0.0, CRITICAL, None, 0.25)

    assert isinstance(found, Full)
    assert found.message == (
        "limit of 2 for app:target=rates reached (2 in flight, 3 wait)"
    )
    assert found.retry_after_s == pytest.approx(4 * 0.25 / 2)
    assert made.waiting == 3


def test_nobody_waits_longer_than_max_wait():
    """When its time is over a waiter leaves, refused."""
    made = limiter()
    fill(made)
    waiter = stand(made, 5.0)

    assert waiter.until == 6.0
    assert made.ask(waiter, 5.999) is None
    assert made.ask(waiter, 6.0) is False
    assert (made.waiting, made.refused) == (0, 1)


def test_a_place_is_not_given_to_who_is_late():
    """A waiter whose time is over does not get one, the next does."""
    made = limiter()
    first, _ = fill(made)
    late, timely = stand(made, 0.0), stand(made, 0.5)
    made.give(first, "nothing", 1.2)

    assert (late.place, late.heard) == (0, [0])
    assert timely.place > 0


@pytest.mark.parametrize(
    ("deadline", "expected_s", "waits"),
    [(2.0, 0.5, True), (0.6, 0.5, False), (0.4, 0.5, False), (None, 3.0, False)],
)
def test_a_wait_that_cannot_end_in_time_is_not_begun(deadline, expected_s, waits):
    """The turn, and the attempt after it, must fit: else it is refused at once."""
    made = limiter()
    fill(made)
    found = made.wait(0.0, CRITICAL, deadline, expected_s)

    assert isinstance(found, Waiter) is waits


def test_only_who_goes_before_counts_for_the_turn():
    """The critical need not wait for the turns of those below them."""
    made = limiter()
    fill(made)
    stand(made, rank=SHEDDABLE)
    stand(made, rank=SHEDDABLE)

    assert isinstance(made.wait(0.0, SHEDDABLE, None, 0.7), Full)
    assert isinstance(made.wait(0.0, CRITICAL, None, 0.7), Waiter)


def test_without_a_wait_there_is_no_queue():
    """`max_wait: off` refuses at once what finds no place."""
    made = limiter(max_wait_s=0.0)
    fill(made)

    assert isinstance(made.wait(0.0, CRITICAL, None, 0.0), Full)


def test_a_place_that_came_free_meanwhile():
    """Between asking and standing in line a place may come free: it is taken."""
    made = limiter()
    first, _ = fill(made)
    assert made.take(0.0) == 0
    made.give(first, "nothing", 0.0)

    assert made.wait(0.0, CRITICAL, None, 0.0).place > 0


def test_who_leaves_the_queue_takes_nothing_with_it():
    """A waiter that is gone gets no place; one that had it gives it on."""
    made = limiter()
    first, second = fill(made)
    gone, placed, last = (stand(made) for _ in range(3))
    made.leave(gone, 0.1)
    made.give(first, "nothing", 0.1)
    made.leave(placed, 0.2)

    assert gone.place == 0
    assert last.place > 0
    made.give(second, "nothing", 0.3)
    made.give(last.place, "nothing", 0.3)
    assert (made.in_flight, made.waiting) == (0, 0)


def test_a_driver_that_listens_late_is_told():
    """What was decided before it listens is not lost."""
    made = limiter()
    first, _ = fill(made)
    waiter = made.wait(0.0, CRITICAL, None, 0.0)
    made.give(first, "nothing", 0.1)
    heard = []
    waiter.watch(lambda: heard.append(1))

    assert heard == [1]


def test_a_driver_that_is_gone_harms_nobody():
    """What waking it raises stays there: who gave the place up goes on."""
    made = limiter()
    first, second = fill(made)
    broken, sound = made.wait(0.0, CRITICAL, None, 0.0), stand(made)
    broken.watch([].pop)
    made.give(first, "nothing", 0.1)
    made.give(second, "nothing", 0.1)

    assert sound.heard == [sound.place]


# -- observing ----------------------------------------------------------------------


def test_an_observing_limiter_counts_and_holds_nobody():
    """It says who would have waited and who would have been refused."""
    made = limiter()
    said = [made.force(0.0)[1] for _ in range(6)]

    assert said[:5] == [None, None, 1.0, 1.0, 1.0]
    assert isinstance(said[5], Full)
    assert made.in_flight == 6


# -- evidence -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        (TIMEOUT, "dropped"),
        (THROTTLED, "dropped"),
        (NOT_FOUND._replace(code="RESOURCE_EXHAUSTED"), "dropped"),
        (NOT_FOUND, "answered"),
        (REFUSED, "nothing"),
        (INTERNAL, "nothing"),
        (UNPROCESSED, "nothing"),
    ],
    ids=["late", "throttled", "full", "missing", "refused", "reset", "unprocessed"],
)
def test_what_a_failure_shows(outcome, shown):
    """Too slow and too much are loss; refused and reset are the breaker's."""
    assert shown_by(outcome) == shown


def test_snapshot():
    """Limit and use, as plain data."""
    made = limiter()
    fill(made)
    stand(made)
    made.wait(0.0, CRITICAL, 0.0, 0.0)

    assert made.snapshot() == {
        "kind": "loss",
        "limit": 2,
        "in_flight": 2,
        "waiting": 1,
        "waited": 1,
        "refused": 1,
        "cuts": 0,
    }
