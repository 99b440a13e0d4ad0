"""A clock that moves only when somebody sleeps: waits are exact and take no time.

Give it to an engine (`PolicyEngine(clock=clock)`), and every wait of its calls becomes
a step of this clock. The prior art is trio's mock clock.
"""

import asyncio
import threading
from types import TracebackType
from typing import Self

from resilience import context


IDLE_TURNS = 5
"""Turns of the event loop that a sleeping task leaves to others before time jumps."""


class VirtualClock:
    """Virtual monotonic seconds; an engine's `clock`.

    As a context manager it also counts for `resilience.deadline`, which otherwise
    reads the machine's clock: `with VirtualClock() as clock:`. One at a time.

    Threads may share it, but the sleeps of several threads add up: use one driver at a
    time. Tasks of one event loop sleep side by side; time jumps to the earliest of
    them once the others have had their turns.

    Args:
        start_s: the time it shows first, 1000 seconds unless given.

    versionadded: 0.1
    """

    def __init__(self, start_s: float = 1000.0) -> None:
        self._now = start_s
        self._lock = threading.Lock()
        self._due: list[float] = []
        self.sleeps: list[float] = []
        """The length of every sleep so far, in seconds, in the order they began."""

    def now(self) -> float:
        """Virtual monotonic seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass.

        Raises:
            ValueError: *seconds* is negative; time never goes back.
        """
        if not seconds >= 0:
            msg = f"a clock advances by seconds >= 0, got {seconds!r}"
            raise ValueError(msg)
        with self._lock:
            self._now += seconds

    def sleep(self, seconds: float) -> None:
        """Let *seconds* pass at once, on the calling thread."""
        self.sleeps.append(seconds)
        self.advance(seconds)

    async def asleep(self, seconds: float) -> None:
        """Let *seconds* pass for this task; others may run and sleep meanwhile.

        Cancelling the task ends the sleep; the time of a cancelled one does not pass.
        """
        self.sleeps.append(seconds)
        due = self._now + seconds
        self._due.append(due)
        try:
            for _ in range(IDLE_TURNS):
                await asyncio.sleep(0)
            while self._now < due:
                if due <= min(self._due):
                    with self._lock:
                        self._now = max(self._now, due)
                else:
                    await asyncio.sleep(0)
        finally:
            self._due.remove(due)

    def __enter__(self) -> Self:
        self._outer = context.monotonic
        context.monotonic = self.now
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        context.monotonic = self._outer
