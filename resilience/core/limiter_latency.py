"""The limit by latency: answers that take longer than they did stand in a queue there.

A high quantile of each window, smoothed, against a long average of the same; the share
by which it is longer is the share of the limit that waits at the target. Where the
limit is full, growth must also show in throughput: else the long average would drift up
with the queue, and the limit after it. Loss cuts as it does in `limiter_loss.py`.
Sources: TCP Vegas; Netflix's concurrency-limits; failsafe-go's adaptive limiter, whose
tests are among ours.
"""

from collections import deque
from math import ceil, log10, sqrt
from typing import NamedTuple

from .limiter_loss import LossLimit
from .policy import LimiterPolicy


QUANTILE = 0.9
MEDIAN_OF = 5
"""Windows of which the middle one counts: one bad window moves nothing."""
SHORT, LONG = 5, 10
"""Windows that the two averages look back on."""
WARM_UP = 10
"""Samples before which an average is the plain mean, and a correlation is none."""
LOW, HIGH = 3, 6
"""Waiting attempts below which the limit grows, and above which it shrinks."""
CORRELATED = 50
"""Windows that the correlations look back on."""
MOST_SAMPLES = 256
"""Of one window; of more, every second one is kept, or fourth, ..."""


class Rule(NamedTuple):
    """What tests of other systems set otherwise."""

    factor: float = 5.0
    """The limit is at most so many times what was in flight,"""
    lookback: int = 20
    """in the last so many windows."""


RULE = Rule()


class LatencyLimit(LossLimit):
    """One limit and the latencies of a window. Under the limiter's lock."""

    __slots__ = (
        "_long",
        "_medians",
        "_rule",
        "_samples",
        "_short",
        "_skipped",
        "_stride",
        "_throughput",
        "_used",
        "_waits",
    )

    def __init__(self, policy: LimiterPolicy, rule: Rule = RULE) -> None:
        self._samples: list[float] = []
        super().__init__(policy)
        self._rule = rule
        self._medians: deque[float] = deque(maxlen=MEDIAN_OF)
        self._short = Average(SHORT)
        self._long = Average(LONG)
        self._throughput = Correlation()
        self._waits = Correlation()
        self._used: deque[int] = deque(maxlen=rule.lookback)

    def _begin(self, now: float) -> None:
        super()._begin(now)
        self.quick_until = float("-inf")  # each answer is a sample, too
        self._samples.clear()
        self._stride, self._skipped = 1, 0

    def answered(
        self, since: float, elapsed_s: float, in_flight: int, now: float
    ) -> None:
        """An attempt was answered: only those show a latency."""
        self._skipped += 1
        if self._skipped >= self._stride and since >= self.fence:
            self._skipped = 0
            samples = self._samples
            samples.append(elapsed_s)
            if len(samples) >= MOST_SAMPLES:
                del samples[::2]
                self._stride *= 2
        super().answered(since, elapsed_s, in_flight, now)

    def _judge(self, now: float) -> None:
        if self._is_lossy:
            self._cut(now)
        elif self._samples:
            ordered = sorted(self._samples)
            rank = min(len(ordered) - 1, int(QUANTILE * len(ordered)))
            self.turn(ordered[rank], self.peak, now)

    def turn(self, latency_s: float, in_flight: int, now: float) -> None:
        """A window's answers took *latency_s*, and *in_flight* attempts were most."""
        self._medians.append(latency_s)
        ordered = sorted(self._medians)
        recent_s = max(1e-9, self._short.add(ordered[len(ordered) // 2]))
        waiting = ceil(self._level * (1 - self._long.add(recent_s) / recent_s))
        throughput = in_flight / recent_s
        gain = self._throughput.add(in_flight, throughput)
        delay = self._waits.add(in_flight, recent_s)
        is_full = in_flight >= self.limit
        size = max(1, int(log10(max(1.0, self._level))))
        self._used.append(in_flight)
        level: float = self._level
        if waiting > HIGH * size or (is_full and _is_drifting(gain, delay)):
            level -= size
        elif waiting < LOW * size:
            level += size
        if level > self._rule.factor * max(self._used):
            level = self._level - size
        self._set(level, now)


class Average:
    """An exponential average over about *age* samples; a plain mean at first."""

    __slots__ = ("_count", "_weight", "value")

    def __init__(self, age: int) -> None:
        self._weight = 2 / (age + 1)
        self._count = 0
        self.value = 0.0

    def add(self, sample: float) -> float:
        """Take *sample*; the average with it."""
        self._count += 1
        weight = 1 / self._count if self._count <= WARM_UP else self._weight
        self.value += (sample - self.value) * weight
        return self.value


class Found(NamedTuple):
    """How two series go together."""

    correlation: float
    """-1.0 to 1.0; 0: not known yet."""
    variation: float
    """Of the second: its deviation over its mean."""


class Correlation:
    """Of two series, over the last windows."""

    __slots__ = ("_pairs",)

    def __init__(self) -> None:
        self._pairs: deque[tuple[float, float]] = deque(maxlen=CORRELATED)

    def add(self, one: float, other: float) -> Found | None:
        """Take a pair; None: there are too few."""
        pairs = self._pairs
        pairs.append((one, other))
        count = len(pairs)
        if count < WARM_UP:
            return None
        mean_one = sum(pair[0] for pair in pairs) / count
        mean_other = sum(pair[1] for pair in pairs) / count
        one_2 = sum((pair[0] - mean_one) ** 2 for pair in pairs)
        other_2 = sum((pair[1] - mean_other) ** 2 for pair in pairs)
        both = sum((pair[0] - mean_one) * (pair[1] - mean_other) for pair in pairs)
        scale = sqrt(one_2 * other_2)
        variation = sqrt(other_2 / count) / mean_other if mean_other else 0.0
        return Found(both / scale if scale else 0.0, variation)


def _is_drifting(gain: Found | None, delay: Found | None) -> bool:
    """Does more in flight bring no more answers, only later ones?"""
    if gain is None or delay is None:
        return False
    if gain.correlation < 0:
        return True
    return delay.correlation > 0.5 and (gain.correlation < 0.3 or gain.variation < 0.2)
