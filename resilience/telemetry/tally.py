"""Counters that cost a dictionary entry: counted here, collected on demand.

An SDK counter costs as much as a histogram's sample, for each of the several counters
that a healthy call moves. As observable counters they export the same sums.
"""

import threading
from typing import NamedTuple

from .names import Metric


class Count(NamedTuple):
    """One series of a counter."""

    attributes: dict[str, str]
    value: int


class Tally:
    """One counter: a sum for each combination of attribute values.

    Safe to share between threads. Values must be bounded by whoever adds them.
    """

    __slots__ = ("_counts", "_lock", "metric")

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._counts: dict[tuple[str, ...], int] = {}
        self.renew()

    def renew(self) -> None:
        """Start from nothing with a new lock, after a fork: the parent says its own."""
        self._lock = threading.Lock()
        self._counts = {}

    def add(self, *values: str) -> None:
        """Add one to a series; *values* are in the order of the metric's attributes."""
        with self._lock:
            self._counts[values] = self._counts.get(values, 0) + 1

    def counts(self) -> list[Count]:
        """All series so far."""
        with self._lock:
            counts = [*self._counts.items()]
        names = self.metric.attributes
        return [
            Count(dict(zip(names, values, strict=True)), value)
            for values, value in counts
        ]
