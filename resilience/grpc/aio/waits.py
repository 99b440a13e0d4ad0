"""Waits of asyncio calls: the engine as a host whose timer is the event loop.

The callback driver knows a timer that runs a function at a moment; here that is a task
that sleeps by the engine's clock, so virtual time holds for it too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from resilience.engine import PolicyEngine


class LoopWaits:
    """The engine, with the event loop for its timer. Owned by one event loop."""

    __slots__ = ("_loop", "asleep", "emit", "now", "sleep", "wait")

    def __init__(self, engine: PolicyEngine, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.now: Callable[[], float] = engine.now
        self.sleep: Callable[[float], None] = engine.sleep
        self.asleep: Callable[[float], Awaitable[None]] = engine.asleep
        self.wait = engine.wait
        self.emit = engine.emit

    @property
    def timer(self) -> LoopWaits:
        """This object."""
        return self

    def at(
        self,
        when: float,
        fn: Callable[[], None],
        dropped: Callable[[], None] | None = None,
    ) -> Sleep:
        """Call *fn* at *when* by the engine's clock.

        *dropped* is called instead when the sleep is cancelled from outside, which is
        what a loop does to all tasks when it ends.
        """
        sleep = Sleep(fn, dropped)
        sleep.task = self._loop.create_task(
            sleep.run(self.asleep, max(0.0, when - self.now()))
        )
        return sleep

    def soon(self, fn: Callable[[], None]) -> None:
        """Call *fn* on the loop, as soon as it can. Any thread may ask."""
        self._loop.call_soon_threadsafe(fn)


class Sleep:
    """One wait: a task that sleeps, then calls a function. Owned by one event loop."""

    __slots__ = ("_dropped", "_fn", "task")

    task: asyncio.Task[None]

    def __init__(
        self, fn: Callable[[], None], dropped: Callable[[], None] | None
    ) -> None:
        self._fn: Callable[[], None] | None = fn
        self._dropped = dropped

    def cancel(self) -> None:
        """Do not call it; harmless when it has been called."""
        if self._fn is not None:
            self._fn = None
            self.task.cancel()

    async def run(
        self, asleep: Callable[[float], Awaitable[None]], delay: float
    ) -> None:
        """Sleep, then call the function."""
        try:
            await asleep(delay)
        except asyncio.CancelledError:
            if self._fn is not None and self._dropped is not None:
                self._dropped()
            raise
        fn, self._fn = self._fn, None
        if fn is not None:
            fn()
