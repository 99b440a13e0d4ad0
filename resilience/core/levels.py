"""Who goes first when not all may pass: criticality as a level, and its quantiles.

Each call draws a level once, inside its class; the admitted fraction lets the top of
the recent levels through. Source: Google's SRE book, chapter 21 (criticality), with a
draw inside the class so that a class is never shed as a whole.
"""

from collections.abc import Callable
from typing import get_args

from .policy import Criticality


CLASSES: tuple[Criticality, ...] = tuple(reversed(get_args(Criticality)))
"""From the one that is shed first."""
BINS = 32
ENOUGH = 40.0
"""Levels seen below which the calls seen say little about what comes."""
MEMORY_S = 10.0
"""Half of what was seen is forgotten after this."""


def draw(criticality: Criticality, rng: Callable[[], float]) -> float:
    """A level for a call: 0.0 (shed first) to below 1.0."""
    return (CLASSES.index(criticality) + rng()) / len(CLASSES)


class Levels:
    """The recent levels of a scope. Its owner locks."""

    __slots__ = ("_bins", "_faded_at", "_total")

    def __init__(self, now: float) -> None:
        self._bins = [0.0] * BINS
        self._total = 0.0
        self._faded_at = now

    def see(self, level: float, now: float) -> None:
        """A call of *level* is offered."""
        if now - self._faded_at >= MEMORY_S:
            self._bins = [count / 2 for count in self._bins]
            self._total /= 2
            self._faded_at = now
        self._bins[int(level * BINS)] += 1
        self._total += 1

    def is_among_top(self, level: float, fraction: float) -> bool:
        """Is *level* in the top *fraction* of what is offered?"""
        if self._total < ENOUGH:
            # Too few to rank: the draw inside the class decides.
            return level * len(CLASSES) % 1 >= 1 - fraction
        at = int(level * BINS)
        above = sum(self._bins[at + 1 :])
        # Inside its bin a level ranks by its place in it.
        above += self._bins[at] * (1 - (level * BINS - at))
        return above < fraction * self._total
