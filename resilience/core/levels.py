"""Who goes first when not all may pass: criticality as a level, and its quantiles.

Each call draws a level once, inside its class; the admitted fraction lets the top of
the recent levels through. Only the first call of each tick is looked at, which costs
busy processes nothing and shows the mix all the same. Source: Google's SRE book,
chapter 21 (criticality); the draw inside the class is ours, so that a class need not
be shed as a whole.
"""

from collections.abc import Callable
from typing import get_args

from .policy import Criticality
from .ticks import CLASSES, MIX, Rows


NAMES: tuple[Criticality, ...] = tuple(reversed(get_args(Criticality)))
"""From the one that is shed first."""
MOST_SEEN = 2**12
"""What was seen is halved then, so that it follows changes."""
ENOUGH = 10
"""Calls seen below which the mix is not known."""


def draw(criticality: Criticality, rng: Callable[[], float]) -> float:
    """A level for a call: 0.0 (shed first) to below 1.0."""
    return (NAMES.index(criticality) + rng()) / CLASSES


class Levels:
    """The mix of recent levels of a scope. A lost update costs nothing."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def see(self, level: float) -> None:
        """A call of *level* is offered."""
        own, place = self._rows.own, MIX + int(level * CLASSES)
        own[place] += 1
        if own[place] > MOST_SEEN:
            for cell in range(MIX, MIX + CLASSES):
                own[cell] //= 2

    def needed(self, level: float) -> float:
        """The admitted fraction, 0.0 to 1.0, from which *level* passes."""
        mix = self._rows.mix()
        total = sum(mix)
        rank, inside = divmod(level * CLASSES, 1)
        if total < ENOUGH:
            return 1 - inside
        at = int(rank)
        return (sum(mix[at + 1 :]) + mix[at] * (1 - inside)) / total
