"""The limit by loss: up by one while it is used and nothing is dropped, down on loss.

Results are judged in windows, and only those that were sent after the newest change of
the limit count: what was under way before would cut twice for one cause. A cut leaves
the concurrency that was answered, so it is measured, not guessed. Each step up is a
trial, taken back as soon as it brings loss, and tried again ever later. Sources: Chiu
and Jain (additive increase, multiplicative decrease), Little's law for what was
answered, CUBIC for going near a known limit rarely.
"""

from typing import Literal

from .policy import LimiterPolicy


Shown = Literal["answered", "dropped", "nothing"]
"""What an attempt's end says about room at the target."""

WINDOW_S = 0.1
"""Results are judged together for at least so long,"""
LONGEST_S = 1.0
"""for at most so long where there is a result at all,"""
ENOUGH = 10
"""and otherwise until there are this many."""
MOST_LEFT, LEAST_LEFT = 0.9, 0.5
"""What a cut leaves of what was in flight: what was answered, between these two."""
LOSS = 0.1
"""A cut needs more than this share of the results to be dropped (the adaptive breaker
trips on the same share), and two of them: single losses are noise."""
CALM = 0.05
"""The limit grows while no more than this share is dropped."""
FIRST_HOLD_S, LONGEST_HOLD_S = 1.0, 10.0
"""After a step up that brought loss: until the next, doubled each time in a row."""


class LossLimit:
    """One limit and the results since it was judged last. Under the limiter's lock."""

    __slots__ = (
        "_began",
        "_dropped",
        "_grow_at",
        "_hold_s",
        "_is_trial",
        "_least",
        "_level",
        "_most",
        "answered_s",
        "answers",
        "cuts",
        "fence",
        "limit",
        "peak",
        "quick_until",
        "until",
    )

    def __init__(self, policy: LimiterPolicy) -> None:
        self._least, self._most = policy.min_limit, policy.max_limit
        self._level: float = float(policy.initial_limit)
        self.limit = policy.initial_limit
        """Attempts that may be in flight."""
        # Until `quick_until` whoever holds the lock may count an answer to an attempt
        # that was sent after `fence` in `answers` and `answered_s`, if no more than
        # `peak` were in flight: that is all that `answered` would do.
        self.cuts = 0
        """How often it was lowered for loss."""
        self.fence = self.until = self._grow_at = float("-inf")
        self._hold_s = 0.0
        self._is_trial = False
        """Was the newest change a step up that has not passed a window yet?"""
        self._begin(0.0)

    def _begin(self, now: float) -> None:
        self.answers = self._dropped = self.peak = 0
        self.answered_s = 0.0
        self._began = now
        self.quick_until = self.until = now + WINDOW_S

    def add(
        self, shown: Shown, since: float, elapsed_s: float, in_flight: int, now: float
    ) -> None:
        """An attempt ended.

        Args:
            shown: what that says.
            since: when it was sent, monotonic.
            elapsed_s: what it took.
            in_flight: attempts under way, this one included.
            now: monotonic seconds.
        """
        if shown == "answered":
            self.answered(since, elapsed_s, in_flight, now)
            return
        self.peak = max(self.peak, in_flight)
        if since >= self.fence and shown == "dropped":
            self._dropped += 1
            if self._is_trial and self._results >= ENOUGH and self._is_lossy:
                self._take_back(now)
        if now >= self.until:
            self._turn(now)

    def answered(
        self, since: float, elapsed_s: float, in_flight: int, now: float
    ) -> None:
        """An attempt was answered: `add` for most of them."""
        if in_flight > self.peak:  # noqa: PLR1730 - on every call
            self.peak = in_flight
        if since >= self.fence:
            self.answers += 1
            self.answered_s += elapsed_s
        if now >= self.until:
            self._turn(now)

    @property
    def _results(self) -> int:
        return self.answers + self._dropped

    @property
    def _is_lossy(self) -> bool:
        dropped = self._dropped
        return dropped >= 2 and dropped > LOSS * self._results

    def _turn(self, now: float) -> None:
        lasted_s = now - self._began
        if lasted_s < LONGEST_S and self._results < ENOUGH:
            return
        # After a silence nobody knows when these were.
        if self._results and lasted_s < 2 * LONGEST_S:
            self._judge(now)
        self._begin(now)

    def _judge(self, now: float) -> None:
        if self._is_lossy:
            if self._is_trial:
                self._take_back(now)
            else:
                self._cut(now)
        elif self._dropped <= CALM * self._results:
            if self._is_trial:
                self._is_trial, self._hold_s = False, 0.0
            if now >= self._grow_at and 2 * self.peak >= self.limit < self._most:
                self._is_trial = True
                self._set(self._level + 1, now)

    def _take_back(self, now: float) -> None:
        """The step up brought loss."""
        self._is_trial = False
        self.cuts += 1
        self._hold_s = min(LONGEST_HOLD_S, max(FIRST_HOLD_S, 2 * self._hold_s))
        self._grow_at = now + self._hold_s
        self._set(self._level - 1, now)

    def _cut(self, now: float) -> None:
        """Leave what was answered, of what was in flight."""
        self.cuts += 1
        used = min(self._level, float(self.peak))
        in_answers = 0.0
        if self.answers:
            # The first answer took its time, too, before there was any.
            lasted_s = now - self._began - self.answered_s / self.answers
            in_answers = self.answered_s / max(lasted_s, WINDOW_S / 2)
        self._set(max(LEAST_LEFT * used, min(MOST_LEFT * used, in_answers)), now)

    def _set(self, level: float, now: float) -> None:
        level = min(float(self._most), max(float(self._least), level))
        if level != self._level:
            self._level, self.limit = level, int(level)
            self.fence = now
            self._begin(now)
