"""How the limit moves by loss."""

from itertools import pairwise

import pytest

from resilience.core.limiter_loss import (
    ENOUGH,
    FIRST_HOLD_S,
    LONGEST_HOLD_S,
    WINDOW_S,
    LossLimit,
)
from tests.core.limiting import limiting


class Target:
    """Ends attempts at a limit, window by window."""

    def __init__(self, **changes):
        self.limit = LossLimit(limiting(**{"initial_limit": 20, **changes}))
        self.now = 100.0
        # The first result ends the time before it.
        self.limit.add("nothing", self.now, 0.0, 0, self.now)

    def window(self, answered=20, dropped=0, in_flight=20, took_s=0.02, lost_s=0.02):
        """One window, sent after all that was before."""
        since, self.now = self.now, self.now + WINDOW_S + 0.001
        for _ in range(answered):
            self.limit.add("answered", since, took_s, in_flight, since + 0.0001)
        for _ in range(dropped):
            self.limit.add("dropped", since, lost_s, in_flight, since + 0.0001)
        self.limit.add("nothing", since, 0.0, in_flight, self.now)
        return self.limit.limit


def test_up_by_one_while_it_is_used():
    """Each window that used half of the limit and lost nothing adds one."""
    target = Target()

    assert [target.window(in_flight=12) for _ in range(3)] == [21, 22, 23]


def test_not_up_while_it_is_not_used():
    """A limit that nobody reaches says nothing about more."""
    target = Target()

    assert [target.window(in_flight=9) for _ in range(3)] == [20, 20, 20]


def test_never_beyond_its_bounds():
    """From `min_limit` to `max_limit`, whatever comes."""
    up, down = Target(max_limit=21), Target(min_limit=7)
    for _ in range(5):
        up.window(in_flight=21)
        down.window(answered=0, dropped=20)

    assert (up.limit.limit, down.limit.limit) == (21, 7)


def test_a_cut_leaves_what_was_answered():
    """Fourteen answers of 50 ms in 51 ms: so many were in flight and got one."""
    target = Target()

    assert target.window(14, 6, took_s=0.05) == 13


@pytest.mark.parametrize(
    ("answered", "left"), [(100, 18), (2, 10), (0, 10)], ids=["most", "least", "none"]
)
def test_a_cut_is_bounded(answered, left):
    """By a tenth at least and by half at most, whatever a short window shows."""
    assert Target().window(answered, 20) == left


def test_a_cut_begins_from_what_was_used():
    """A limit far above what is in flight would be cut without effect."""
    assert Target().window(5, 5, in_flight=10, lost_s=0.02) == 5


@pytest.mark.parametrize(("answered", "dropped"), [(19, 1), (200, 20), (0, 1)])
def test_noise_does_not_cut(answered, dropped):
    """Single losses, and one in eleven, are no overload."""
    target = Target()
    target.now += 1.0  # a second is judged whatever there is of it

    assert target.window(answered, dropped, in_flight=5) == 20


def test_what_was_sent_before_a_cut_does_not_cut_again():
    """Timeouts of one overload come late and in crowds: they count once."""
    target = Target()
    sent = target.now
    assert target.window(0, 20) == 10
    for _ in range(50):
        target.limit.add("dropped", sent, 1.0, 1, target.now + 0.001)
    target.now += 1.0

    assert target.window(answered=5, in_flight=1) == 10


def test_what_was_answered_of_before_does_not_hide_a_loss():
    """Answers to what was sent under the old limit say nothing about the new one."""
    target = Target()
    sent = target.now
    target.window()
    for _ in range(300):
        target.limit.add("answered", sent, 0.1, 21, target.now + 0.001)
    target.window(0, 20, in_flight=21)

    assert target.limit.limit == 20


def test_a_step_up_that_brings_loss_is_taken_back_at_once():
    """Not at the end of its window: as soon as enough results show it."""
    target = Target()
    target.window()
    assert target.limit.limit == 21
    for _ in range(ENOUGH):
        target.limit.add("dropped", target.now, 0.001, 21, target.now + 0.001)

    assert target.limit.limit == 20


def test_a_known_limit_is_tried_ever_less():
    """The wait after a step that failed doubles, up to LONGEST_HOLD_S."""
    target, steps = Target(), []
    for _ in range(900):
        before = target.limit.limit
        was_lossy = before == 21
        target.window(10 if was_lossy else 20, 10 if was_lossy else 0, in_flight=before)
        if target.limit.limit > before:
            steps.append(target.now)
    gaps = [after - before for before, after in pairwise(steps)]

    assert gaps[0] == pytest.approx(FIRST_HOLD_S, abs=0.4)
    assert gaps[-1] == pytest.approx(LONGEST_HOLD_S, abs=0.4)
    assert gaps == sorted(gaps, key=lambda gap: round(gap, 0))


def test_a_step_that_holds_ends_the_hesitation():
    """After one that brought no loss, one that does waits FIRST_HOLD_S again."""
    target = Target()
    for _ in range(3):
        target.now += LONGEST_HOLD_S
        target.window()
        target.window(10, 10, in_flight=21)
    assert (target.limit.limit, target.limit._hold_s) == (20, 4 * FIRST_HOLD_S)
    target.now += LONGEST_HOLD_S
    target.window()
    target.window(in_flight=21)
    target.window(10, 10, in_flight=22)

    assert (target.limit.limit, target.limit._hold_s) == (21, FIRST_HOLD_S)


def test_a_silence_says_nothing():
    """Results long apart are not judged together."""
    target = Target()
    for _ in range(30):
        target.now += 2.5
        target.limit.add("dropped", target.now, 0.02, 20, target.now)

    assert target.limit.limit == 20


def test_few_results_are_judged_after_a_second():
    """Two timeouts among three results a second are an overload, too."""
    target = Target(initial_limit=3)
    for step in range(12):
        shown = "answered" if step % 3 == 0 else "dropped"
        target.now += 0.3
        target.limit.add(shown, target.now - 0.1, 0.1, 3, target.now)

    assert target.limit.limit < 3
