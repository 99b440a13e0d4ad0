"""Virtual time: simpy's environment, with events that are reused.

Only here is an event put into simpy's queue. A run has some hundred thousand of them,
so they carry their own callbacks and no generator runs: simpy orders and steps, and
that is all that is asked of it.
"""

from collections.abc import Callable
from heapq import heappush
from typing import Any

import simpy


INFINITY = float("inf")
_NORMAL = 1


class Moment:
    """Something that is due at one moment; in the queue at most once at a time."""

    __slots__ = ("callbacks",)

    _ok = True
    """What simpy asks of an event that cannot fail."""

    callbacks: Any
    """What simpy calls, with this, when it is due; None once it was."""


class Timeline(simpy.Environment):
    """Virtual seconds from 0 and what is due. Owned by one run."""

    def __init__(self) -> None:
        super().__init__()
        self._moments: Any = self._queue

    def at(self, when: float, moment: Moment, callbacks: Any) -> None:
        """Have *callbacks*, a tuple, take *moment* at *when*."""
        moment.callbacks = callbacks
        heappush(self._moments, (when, _NORMAL, next(self._eid), moment))

    def do_at(self, when: float, what: Callable[[], object]) -> None:
        """Call *what* at *when*; for what happens rarely."""
        self.at(when, Moment(), (lambda _: what(),))

    def seconds(self) -> float:
        """Virtual seconds since the start: an engine's clock."""
        return self._now
