"""When the calls of one client are cut: one timer of the loop for all of them.

A timer for each call and each attempt would cost a healthy call more than all else that
we do, and nearly every one is taken back unused. So a limit is an entry here, and the
timer rings for the earliest there was; it stays when that entry has gone.
"""

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from .flight import AioFlight

NEVER = float("inf")
APART_S = 5e-7
"""For each limit at least so long passes between two rings, for each looks at all of
them: under a thousand calls at once a cut may come half a millisecond late, and rings
take no more than a twentieth of the time."""


class Cuts:
    """The limits of one client's calls. Used by the tasks of one event loop."""

    __slots__ = ("_timer", "ends", "loop", "rings_at")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        """Whose clock counts, which may be another than the engine's."""
        self.ends: dict[AioFlight, float] = {}
        """Each call under way -> when it, or its attempt, is cut; `NEVER`: it is not.
        Whoever enters a moment before `rings_at` must call `ring_at`."""
        self.rings_at = NEVER
        """When the timer rings; no entry is earlier."""
        self._timer: asyncio.TimerHandle | None = None

    def ring_at(self, when: float) -> None:
        """Ring at *when*, in the loop's seconds, which is earlier than was known."""
        if self._timer is not None:
            self._timer.cancel()
        self.rings_at = when
        # It may outlive the call that asks for it: nothing of that is kept.
        self._timer = self.loop.call_at(when, self._ring, context=Context())

    def _ring(self) -> None:
        """Cut what is due, and wait for what is next."""
        # A loop may ring a little before the time.
        ends, now = self.ends, max(self.loop.time(), self.rings_at)
        for flight in [flight for flight, end in ends.items() if end <= now]:
            ends[flight] = flight.cut()
        self._timer, self.rings_at = None, NEVER
        soonest = min(ends.values(), default=NEVER)
        if soonest < NEVER:
            self.ring_at(max(soonest, now + len(ends) * APART_S))
