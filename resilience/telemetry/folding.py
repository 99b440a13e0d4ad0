"""How many like lines are said: a few of each per interval, then a count.

An outage makes thousands of identical lines in a second. The first few are said; the
rest are counted, and the count is said once when the interval is over. Time is the
records' own; there is no thread. Nothing here knows what a line looks like.
"""

import threading
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar


T = TypeVar("T", bound=Hashable)


class Folded(NamedTuple, Generic[T]):
    """Lines that were counted, not said."""

    key: T
    lines: int
    seconds: float
    """Length of the time they were counted in."""


class Folding(Generic[T]):
    """Counts lines by key. Safe to share between threads.

    Args:
        said: lines of one key that are said in an interval; at least 0.
        every_s: length of an interval in seconds.
        other: the key that stands for all others once *max_keys* are known.
        max_keys: distinct keys that are told apart in one interval.
    """

    __slots__ = (
        "_began",
        "_counts",
        "_every_s",
        "_lock",
        "_max_keys",
        "_other",
        "_said",
        "due_at",
    )

    def __init__(
        self, other: T, *, said: int = 5, every_s: float = 10.0, max_keys: int = 200
    ) -> None:
        self._other = other
        self._said = said
        self._every_s = every_s
        self._max_keys = max_keys
        self._counts: dict[T, int] = {}
        self._began = 0.0
        self.due_at = float("inf")
        """When counted lines are due to be said; infinite while there are none."""
        self.renew()

    def renew(self) -> None:
        """Forget counts and lock, after a fork: the parent says its own."""
        self._lock = threading.Lock()
        self._counts = {}
        self.due_at = float("inf")

    def is_said(self, key: T, now: float) -> bool:
        """Count one line of *key*; may it be said in full?"""
        with self._lock:
            counts = self._counts
            if not counts:
                self._began = now
                self.due_at = now + self._every_s
            if key not in counts and len(counts) >= self._max_keys:
                key = self._other
            count = counts[key] = counts.get(key, 0) + 1
            return count <= self._said

    def take(self, now: float) -> list[Folded[T]]:
        """End the interval: what was counted and not said; each is given out once."""
        with self._lock:
            counts, self._counts = self._counts, {}
            self.due_at = float("inf")
            seconds = max(0.0, now - self._began)
        return [
            Folded(key, count - self._said, seconds)
            for key, count in counts.items()
            if count > self._said
        ]
