"""A quantile of recent latencies, at the price of one logarithm a sample.

A histogram of buckets that grow by 2 %, faded every few seconds, so that the newest
count most; the answer is worked out at that pace and not for each call. What is a
sample, and what a quantile is used for, is `hedging.py`'s business.
"""

from math import log


REFRESH_S = 3.0
"""The answer is this old at most (Finagle's backup requests refresh every 3 s, too)."""
FADE = 0.82
"""Of all older samples at each refresh: about the last quarter of a minute counts."""
KEPT = 100.0
"""No fading below this many samples: a quiet target keeps what it knows."""
LOWEST_S = 0.001
"""All that is faster is one bucket, and no answer is lower."""
GROWTH = 1.02
"""Of buckets, one to the next: an answer is within 2 % of the sample's."""
BUCKETS = 640
"""From 1 ms to five minutes."""

_LAST = BUCKETS - 1
_PER_LOG = 1 / log(GROWTH)
_OFFSET = 1 - log(LOWEST_S) * _PER_LOG


class LatencyQuantile:
    """One quantile of recent samples. Safe to share: a lost update costs a sample.

    Args:
        quantile: 0.0-1.0.
        min_samples: there is no answer before this many.
    """

    __slots__ = (
        "_counts",
        "_due_at",
        "_kept",
        "_min_samples",
        "_quantile",
        "_value_s",
    )

    def __init__(self, quantile: float, min_samples: int) -> None:
        self._quantile = quantile
        self._min_samples = min_samples
        self._kept = max(KEPT, float(min_samples))
        self._counts = [0.0] * BUCKETS
        self._value_s: float | None = None
        self._due_at = float("-inf")

    @property
    def samples(self) -> float:
        """How many are counted, faded ones in part."""
        return sum(self._counts)

    def sample(self, elapsed_s: float) -> None:
        """Something took *elapsed_s* seconds."""
        index = int(log(elapsed_s) * _PER_LOG + _OFFSET) if elapsed_s > LOWEST_S else 0
        if index > _LAST:  # noqa: PLR1730 - a call costs more than all the rest
            index = _LAST
        self._counts[index] += 1.0

    def at(self, now: float) -> float | None:
        """The quantile in seconds, at least 1 ms; None: too few samples so far."""
        if now >= self._due_at:
            self._refresh(now)
        return self._value_s

    def _refresh(self, now: float) -> None:
        counts = self._counts
        total = sum(counts)
        if total < self._min_samples:
            return
        self._due_at = now + REFRESH_S
        rank, index, below = self._quantile * total, 0, 0.0
        for index, count in enumerate(counts):  # noqa: B007 - where it stops
            if below + count >= rank and count:
                break
            below += count
        inside = (rank - below) / counts[index] if counts[index] else 0.0
        value_s = LOWEST_S * GROWTH ** (index - 1 + min(1.0, inside))
        self._value_s = max(LOWEST_S, value_s)
        fade = max(FADE, min(1.0, self._kept / total))
        if fade < 1.0:
            self._counts = [count * fade for count in counts]
