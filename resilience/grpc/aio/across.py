"""Calls that are looked at before they end, across their attempts.

Headers, connections and messages belong to one attempt, and that attempt may fail:
whoever waits for them waits on, for the next attempt or the call's end. What was shown
of one attempt cannot be taken back, so it commits the call to it.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

import grpc

from .changes import Signal
from .ends import End, end_of, is_over, read_now
from .outer import OuterCall


if TYPE_CHECKING:
    from resilience.core.call import Call
    from resilience.core.command import StartAttempt

    from .calls import Calls
    from .sending import StreamSending


def is_cancelling(task: asyncio.Task[Any] | None, before: int) -> bool:
    """Is it *task* itself that is cancelled, which had *before* requests to cancel?

    If not, what it awaited was cancelled: an attempt, by us.
    """
    return task is None or task.cancelling() > before


class AcrossAttempts(OuterCall):
    """A call with a stream in it. Owned by one event loop."""

    _is_driven = True
    _seen: tuple[int, End] | None = None
    """The newest real status, and whose."""
    _waiter: asyncio.Task[None] | None = None
    _sending: StreamSending

    def __init__(self, call: Call, sending: StreamSending, calls: Calls) -> None:
        super().__init__(call, sending, calls)
        self._changed = Signal(calls.loop)
        self._feed = feed = sending.feed
        if feed is not None:
            feed.call = self

    def handle(self) -> Any:
        """What the application holds of the call."""
        return self

    # -- the driver's side -------------------------------------------------------

    def _start(self, start: StartAttempt) -> None:
        super()._start(start)
        self._changed.wake()

    def _attend(self, native: Any) -> None:
        native.add_done_callback(functools.partial(self._native_over, self.number))
        if self._feed is not None:
            self._feed.attend(native, self.number)
        super()._attend(native)
        self._changed.wake()

    def _native_over(self, number: int, native: Any) -> None:
        """Its status is there, so reading it does not wait."""
        if number != self.number or self._ended:
            return
        if not read_now(native, functools.partial(self._has_ended, number, native)):
            work = self._read_end(number, native)
            self._waiter = self._calls.loop.create_task(work)

    async def _read_end(self, number: int, native: Any) -> None:
        self._has_ended(number, native, await end_of(native))

    def _has_ended(self, number: int, native: Any, end: End | Exception) -> None:
        if isinstance(end, End) and not end.is_premature:
            self._seen = (number, end)

    def _end(self, *, cancelled: bool = False) -> None:
        super()._end(cancelled=cancelled)
        if self._feed is not None:
            self._feed.end(cancelled=cancelled)
        self._changed.wake()

    def commit(self, number: int, *, answered: bool) -> bool:
        """Does attempt *number* become the call's? False: it is over."""
        if self._ended or self._driver is None:
            return False
        return self._driver.commit(number, answered=answered)

    def committed(self, number: int) -> None:
        """Attempt *number*, which is being launched, is the last."""
        if self._driver is not None:
            self._driver.committed(number, answered=False)

    async def _status(self, name: str, otherwise: Any) -> Any:
        await self._ending()
        is_well = self.error is None and not self._locally_cancelled
        if is_well and self._seen is not None and self._seen[0] == self.number:
            return getattr(self._seen[1], name)
        return await super()._status(name, otherwise)

    # -- the caller's side -------------------------------------------------------

    async def attempt_after(self, seen: int) -> Any:
        """Wait for an attempt later than number *seen*; None: there will be none."""
        while not self._ended and (self.native is None or self.number <= seen):
            await self._changed.wait()
        return None if self.number <= seen else self.native

    async def initial_metadata(self) -> Any:
        """Wait for the headers of the attempt that counts.

        Some that were shown cannot be taken back: the attempt is the last then.
        """
        seen = 0
        while not self._ended:
            native = await self.attempt_after(seen)
            if native is None:
                break
            seen = self.number
            found = await self._from(native, native.initial_metadata)
            if found and self.commit(seen, answered=False):
                if self._feed is not None:
                    self._feed.release()
                return found
            if not found and not is_over(native):
                return found
        return await super().initial_metadata()

    async def wait_for_connection(self) -> None:
        """Wait until an attempt is on its way, or raise as the call does."""
        seen = 0
        while not self._ended:
            native = await self.attempt_after(seen)
            if native is None:
                break
            seen = self.number
            await self._from(native, native.wait_for_connection)
            if not is_over(native):
                return
        await self._ending()
        self.raise_end()

    async def _from(self, native: Any, ask: Any) -> Any:
        """What *ask* gives; None: the attempt has failed, and may not be the last."""
        task = asyncio.current_task()
        cancels = 0 if task is None else task.cancelling()
        try:
            return await ask()
        except grpc.RpcError:
            if not is_over(native):
                raise
        except asyncio.CancelledError:
            if is_cancelling(task, cancels) or not native.cancelled():
                raise
        return None
