"""Windows of recent results: the last N calls, or the last seconds in buckets.

A window only counts; what the counts mean is the breaker's business. Its owner holds
the lock.
"""

import math
from collections import deque
from typing import NamedTuple, Protocol


MAX_BUCKETS = 120
COLUMNS = 3


class Totals(NamedTuple):
    """What a window holds."""

    calls: int
    failed: int
    slow: int

    @property
    def failure_ratio(self) -> float:
        """Failed over all, 0.0-1.0; 0 when there are no calls."""
        return self.failed / self.calls if self.calls else 0.0

    @property
    def slow_ratio(self) -> float:
        """Slow over all, 0.0-1.0; 0 when there are no calls."""
        return self.slow / self.calls if self.calls else 0.0


class Window(Protocol):
    """What a breaker needs of a window. Not thread safe: the owner locks."""

    def add(self, now: float, *, failed: bool, slow: bool) -> bool:
        """Count one result; True: nothing inside failed or was slow."""
        ...

    def succeeded(self, now: float) -> bool:
        """Count one good result; as `add` in all else."""
        ...

    def totals(self, now: float) -> Totals:
        """What is inside at *now*."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


class CountWindow:
    """The last *size* results."""

    __slots__ = ("_failed", "_results", "_size", "_slow")

    def __init__(self, size: int) -> None:
        self._size = size
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._results: deque[tuple[bool, bool]] = deque()
        self._failed = self._slow = 0

    def add(self, now: float, *, failed: bool, slow: bool) -> bool:  # noqa: ARG002 - the protocol's
        """Count one result; the oldest one leaves a full window."""
        if len(self._results) == self._size:
            self._count(*self._results.popleft(), by=-1)
        self._results.append((failed, slow))
        self._count(failed, slow, by=1)
        return not (self._failed or self._slow)

    def succeeded(self, now: float) -> bool:
        """Count one good result."""
        return self.add(now, failed=False, slow=False)

    def _count(self, failed: bool, slow: bool, *, by: int) -> None:  # noqa: FBT001 - a stored pair
        self._failed += by * failed
        self._slow += by * slow

    def totals(self, now: float) -> Totals:  # noqa: ARG002 - the protocol's
        """What is inside."""
        return Totals(len(self._results), self._failed, self._slow)


class TimeWindow:
    """The last *seconds*, in buckets of about a second, the running one included."""

    __slots__ = ("_at", "_bucket_s", "_cells", "_index", "_size", "_totals", "_turn_at")

    def __init__(self, seconds: float) -> None:
        self._size = min(MAX_BUCKETS, max(1, math.ceil(seconds)))
        self._bucket_s = seconds / self._size
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        # One flat list: calls, failed, slow of each bucket.
        self._cells = [0] * (COLUMNS * self._size)
        self._totals = [0] * COLUMNS
        self._index = -1
        self._at = 0
        self._turn_at = float("-inf")

    def _turn_to(self, index: int) -> None:
        first = max(self._index + 1, index - self._size + 1)
        for stale in range(first, index + 1):
            at = stale % self._size * COLUMNS
            for column in range(COLUMNS):
                self._totals[column] -= self._cells[at + column]
                self._cells[at + column] = 0
        self._index = max(index, self._index)
        self._at = self._index % self._size * COLUMNS
        self._turn_at = (self._index + 1) * self._bucket_s

    def succeeded(self, now: float) -> bool:
        """Count one good result: `add` in as few steps as can be."""
        if now >= self._turn_at:
            self._turn_to(int(now / self._bucket_s))
        totals = self._totals
        self._cells[self._at] += 1
        totals[0] += 1
        return not (totals[1] or totals[2])

    def add(self, now: float, *, failed: bool, slow: bool) -> bool:
        """Count one result in the bucket of *now*; time never goes back."""
        if now >= self._turn_at:
            self._turn_to(int(now / self._bucket_s))
        cells, totals, at = self._cells, self._totals, self._at
        cells[at] += 1
        totals[0] += 1
        if failed:
            cells[at + 1] += 1
            totals[1] += 1
        if slow:
            cells[at + 2] += 1
            totals[2] += 1
        return not (totals[1] or totals[2])

    def totals(self, now: float) -> Totals:
        """What is inside at *now*."""
        if now >= self._turn_at:
            self._turn_to(int(now / self._bucket_s))
        return Totals(*self._totals)
