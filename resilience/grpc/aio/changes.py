"""Wakes the tasks that wait for something about a call to change."""

from __future__ import annotations

import asyncio


class Signal:
    """Tasks that wait for a change. Owned by one event loop."""

    __slots__ = ("_loop", "_waiters")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiters: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Wait for the next `wake`; a waiter that is cancelled takes none away."""
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def wake(self) -> None:
        """Let all who wait look again."""
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
