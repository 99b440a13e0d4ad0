"""Waits of asyncio calls: the engine as a host whose timer is the event loop.

The callback driver knows a timer that runs a function at a moment; here that is a task
that sleeps by the engine's clock, so virtual time holds for it too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from resilience.core.record import Record
    from resilience.engine import PolicyEngine


class LoopWaits:
    """The engine, its timer replaced by one call's sleeps. Owned by one event loop."""

    __slots__ = (
        "_engine",
        "_loop",
        "_on_shutdown",
        "asleep",
        "now",
        "sleep",
    )

    def __init__(
        self,
        engine: PolicyEngine,
        loop: asyncio.AbstractEventLoop,
        on_shutdown: Callable[[], object],
    ) -> None:
        """Make the host of one call.

        Args:
            engine: clock and sinks.
            loop: where the call lives.
            on_shutdown: called when a sleep is cancelled from outside, which is what a
                loop does to all tasks when it ends.
        """
        self._engine = engine
        self._loop = loop
        self._on_shutdown = on_shutdown
        self.now: Callable[[], float] = engine.now
        self.sleep: Callable[[float], None] = engine.sleep
        self.asleep: Callable[[float], Awaitable[None]] = engine.asleep

    def emit(self, records: tuple[Record, ...]) -> None:
        """Hand records to the sinks; never raises."""
        self._engine.emit(records)

    @property
    def timer(self) -> LoopWaits:
        """This object."""
        return self

    def at(self, when: float, fn: Callable[[], None], _dropped: object = None) -> Sleep:
        """Call *fn* at *when* by the engine's clock."""
        delay = max(0.0, when - self.now())
        return Sleep(self._loop, self.asleep(delay), fn, self._on_shutdown)


class Sleep:
    """One wait: a task that sleeps, then calls a function. Owned by one event loop."""

    __slots__ = ("_fn", "_on_shutdown", "_task")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sleeping: Awaitable[None],
        fn: Callable[[], None],
        on_shutdown: Callable[[], object],
    ) -> None:
        self._fn: Callable[[], None] | None = fn
        self._on_shutdown = on_shutdown
        self._task = loop.create_task(self._run(sleeping))

    def cancel(self) -> None:
        """Do not call it; harmless when it has been called."""
        if self._fn is not None:
            self._fn = None
            self._task.cancel()

    async def _run(self, sleeping: Awaitable[None]) -> None:
        try:
            await sleeping
        except asyncio.CancelledError:
            if self._fn is not None:
                self._on_shutdown()
            raise
        fn, self._fn = self._fn, None
        if fn is not None:
            fn()
