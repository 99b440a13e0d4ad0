"""A call with a streamed answer under way, apart from what its caller holds of it.

Until its first message an attempt can be replaced by another; from then on the native
stream is read with nothing in between. While a reader waits for a message the end of
the attempt is kept back for it, so that a message that came before the end is
delivered, and the call is never repeated after it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from resilience.core.outcome import OK, TIMED_OUT
from resilience.drivers.idle import IdleWatch

from .across import AcrossAttempts, is_cancelling
from .ends import End, end_of
from .outer import late
from .requests import StreamRequests


if TYPE_CHECKING:
    import weakref
    from collections.abc import Awaitable, Callable

    from resilience.core.call import Call

    from .calls import Calls
    from .sending import StreamSending

EOF: Any = getattr(grpc.aio, "EOF", None)
"""What `read` gives after the last message."""
_STATUS_WAIT_S = 0.1
"""For the real status after a write that failed; far longer than it takes."""
_STATUS_POLL_S = 0.002


class StreamFlight(StreamRequests, AcrossAttempts):
    """A call with a streamed answer under way. Owned by one event loop."""

    streams = True
    stream: Any = None
    """The native call whose messages are the answer; None: not known yet."""
    watch: IdleWatch | None = None
    """None: the policy has no idle timeout."""
    holder: weakref.ref[Any] | None = None
    """What the caller holds."""
    _readers = 0
    _kept_back: tuple[int, End | Exception] | None = None
    _late_details = ""
    _awaited = 0
    """The attempt whose real status was still to come."""
    _real_end: asyncio.Task[None] | None = None
    _taken_from = 0
    """The newest attempt that a reader came to."""
    _reading_out: asyncio.Task[None] | None = None

    def __init__(self, call: Call, sending: StreamSending, calls: Calls) -> None:
        super().__init__(call, sending, calls)
        self._policy = sending.binding.policy
        idle_s = self._policy.idle_timeout_s
        if idle_s is not None and sending.binding.mode == "enforce":
            waits = calls.waits
            self.watch = IdleWatch(idle_s, waits.timer, waits.now, self._idle)

    def handle(self) -> Any:
        """What the application holds of the call."""
        return None if self.holder is None else self.holder()

    # -- the reader's side -------------------------------------------------------

    async def first(self, take: Callable[[Any], Awaitable[Any]]) -> Any:
        """Wait for the first message, by *take* from a native call; `EOF`: none came.

        Raises:
            grpc.aio.AioRpcError: how the call ended.
            asyncio.CancelledError: it was cancelled, or who reads, which cancels it.
        """
        task = asyncio.current_task()
        cancels = 0 if task is None else task.cancelling()
        seen = 0
        while True:
            try:
                native = await self.attempt_after(seen)
            except asyncio.CancelledError:
                self.cancel()
                raise
            if native is None:
                break
            seen = self._taken_from = self.number
            self._readers += 1
            message = EOF
            try:
                message = await self._taken(native, take, task, cancels)
            finally:
                answers = message is not EOF and self._answers(seen)
                self._has_read()
            if answers:
                self.stream = native
                if self._feed is not None:
                    self._feed.release()
                return message
        self.raise_end()
        return EOF

    async def _taken(
        self,
        native: Any,
        take: Callable[[Any], Awaitable[Any]],
        task: asyncio.Task[Any] | None,
        cancels: int,
    ) -> Any:
        """What *take* gives; `EOF`: the attempt is over, and its end tells more."""
        number = self.number
        try:
            return await take(native)
        except grpc.RpcError:
            return EOF
        except asyncio.CancelledError:
            if is_cancelling(task, cancels):
                self.cancel()
                raise
            return EOF
        except Exception as error:  # noqa: BLE001 - an inner interceptor's own
            self._kept_back = (number, error)  # nobody else may tell of it
            return EOF

    def _answers(self, number: int) -> bool:
        """Attempt *number* gave a message: is it the call's first?"""
        if self._ended:  # it ended well before its message was taken
            is_well = self.error is None and not self._locally_cancelled
            return is_well and self.number == number
        return self.commit(number, answered=True)

    def _has_read(self) -> None:
        self._readers -= 1
        if not self._readers and self._kept_back is not None:
            kept_back, self._kept_back = self._kept_back, None
            self._settle(*kept_back)

    def abandon(self) -> None:
        """Nobody holds the call any more. Any thread may say so, at any point."""
        with contextlib.suppress(RuntimeError):  # the loop was closed
            self._calls.loop.call_soon_threadsafe(self.cancel)

    async def read_ended(self, before: int) -> None:
        """The native stream, which is the call's, has raised: say how it ended.

        Raises:
            grpc.aio.AioRpcError: how the call ended.
            asyncio.CancelledError: it was cancelled, or who reads.
        """
        if is_cancelling(asyncio.current_task(), before):
            return
        await self._ending()
        self.raise_end()

    # -- the driver's side -------------------------------------------------------

    def _has_ended(self, number: int, native: Any, end: End | Exception) -> None:
        super()._has_ended(number, native, end)
        is_premature = isinstance(end, End) and end.is_premature
        if is_premature and self._knows(number):
            return  # older grpcio says so once more, of the write that was under way
        if is_premature and self._awaited != number:
            self._awaited = number
            work = self._read_real_end(number, native)
            self._real_end = self._calls.loop.create_task(work)
        elif self._readers:
            self._kept_back = (number, end)
        else:
            self._settle(number, end)

    async def _read_real_end(self, number: int, native: Any) -> None:
        """A write failed, for a reason that the status names as it comes."""
        loop = self._calls.loop
        until = loop.time() + _STATUS_WAIT_S
        end = await end_of(native)
        while isinstance(end, End) and end.is_premature and loop.time() < until:
            await asyncio.sleep(_STATUS_POLL_S)
            if self._ended or number != self.number or self._knows(number):
                return
            end = await end_of(native)
        self._has_ended(number, native, end)

    def _knows(self, number: int) -> bool:
        """Is the real status of attempt *number* there?"""
        return self._seen is not None and self._seen[0] == number

    def _settle(self, number: int, end: End | Exception) -> None:
        if number != self.number or self._ended:
            return
        if self._taken_from != number and not (
            isinstance(end, End) and end.code is grpc.StatusCode.OK
        ):
            work = _read_out(self.native)
            self._reading_out = self._calls.loop.create_task(work)
        if not isinstance(end, End):
            self._attempt_failed(end)
        elif end.code is grpc.StatusCode.OK:
            self._done(OK)
        elif not end.is_local:
            self._attempt_failed(end.error())
        elif self._late_details:
            self.error = late(self._late_details)
            self._done(TIMED_OUT._replace(message=self._late_details))
        else:
            self._attempt_closed()

    def _end(self, *, cancelled: bool = False) -> None:
        if self.watch is not None:
            self.watch.close()
        super()._end(cancelled=cancelled)

    def _idle(self) -> None:
        """Nobody sent anything for too long: the stream ends as late."""
        limit_s = self._policy.idle_timeout_s
        self._late_details = f"idle timeout: no message for {limit_s:g} s"
        if self.native is not None:
            self.native.cancel()

    def _limit_passed(self) -> str:
        policy = self._policy
        first_s, attempt_s = policy.first_message_timeout_s, policy.attempt_timeout_s
        name, limit_s = "attempt timeout", attempt_s
        if first_s is not None and (attempt_s is None or first_s <= attempt_s):
            name, limit_s = "first message timeout", first_s
        return f"{name}: no message within {limit_s:g} s"


async def _read_out(native: Any) -> None:
    """Nobody came to read a failed attempt: inner interceptors wait for its end."""
    with contextlib.suppress(Exception, asyncio.CancelledError):
        async for _ in native:
            pass
