"""The asyncio call object: one call over any number of attempts.

A driver task makes the attempts; whoever awaits the call waits for its end and never
for an attempt. So a caller that gives up waiting for `code()` stops nothing, while one
that is cancelled while awaiting the call itself cancels it, as with native calls.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from types import coroutine
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from resilience.core.outcome import OK, Outcome
from resilience.drivers import aio
from resilience.grpc.route import attach_report

from .rejected import AioGrpcRejected


if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from resilience.core.call import Call
    from resilience.core.command import Finish, StartAttempt
    from resilience.grpc.route import Sending

_LOGGER = logging.getLogger(__name__)
_CANCELLED = "Locally cancelled by application!"
_CLOSED = Outcome("CANCELLED", "local", "maybe", message=_CANCELLED)
_NO_MESSAGE = Outcome("INTERNAL", "local", "yes", message="OK without a message")
"""grpcio's asyncio calls swallow what a deserializer raises and answer None, so this
may be the caller's own fault: it is never repeated."""


class Calls:
    """The calls of one channel under way. Owned by one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._calls: set[UnaryUnaryCall] = set()
        self.closing = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The channel's loop: a call may be made before it runs."""
        return self._loop or asyncio.get_running_loop()

    def add(self, call: UnaryUnaryCall) -> None:
        """Keep *call*, and its task, until it has ended."""
        self._calls.add(call)

    def discard(self, call: UnaryUnaryCall) -> None:
        """*call* has ended."""
        self._calls.discard(call)

    def close(self) -> None:
        """No attempt can start any more: cancel the calls that wait for one."""
        self.closing = True
        for call in [*self._calls]:
            if call.is_waiting():
                call.cancel()

    def cancel_all(self) -> None:
        """Cancel what is left."""
        for call in [*self._calls]:
            call.cancel()


@coroutine
def _pause() -> Generator[None, None, None]:
    """Hand control back once, to whoever drives the coroutine."""
    yield


def launch_later(call: UnaryUnaryCall) -> UnaryUnaryCall:
    """Start *call* in its task: its first attempt may have to be awaited."""
    call.adopt(call.drive())
    return call


def launch(call: UnaryUnaryCall) -> UnaryUnaryCall:
    """Start *call*: the engine decides and the first attempt starts before it returns.

    Raises:
        Exception: the first attempt could not even be started; what gRPC raised.
    """
    drive = call.drive()
    try:
        drive.send(None)
    except StopIteration:
        if call.error is not None and call.native is None and call.number == 1:
            raise call.error from None
        return call
    call.adopt(drive)
    return call


class UnaryUnaryCall(grpc.aio.UnaryUnaryCall[Any, Any]):
    """A protected call, as grpcio's own in every method. Owned by one event loop."""

    def __init__(self, call: Call, sending: Sending, calls: Calls) -> None:
        self.native: Any = None
        """The newest attempt's call; None: it could not be started."""
        self.error: Exception | None = None
        """What the call ends with, when it fails."""
        self.number = 0
        """Of the newest attempt."""
        self._call = call
        self._sending = sending
        self._calls = calls
        self._fin: asyncio.Future[None] | None = None
        self._ended = False
        self._locally_cancelled = False
        self._response: Any = None
        self._task: asyncio.Task[None] | None = None
        self._attempting = False
        self._callbacks: list[Callable[[Any], None]] = []

    # -- the driver's side -------------------------------------------------------

    async def drive(self) -> None:
        """Make the attempts until the engine is satisfied."""
        engine = self._sending.route.engine
        try:
            finish = await aio.run(self._call, self._attempt, engine)
        except asyncio.CancelledError:
            self._end(cancelled=True)  # by `cancel`, or the loop is shutting down
            raise
        self._settle(finish)

    def adopt(self, drive: Coroutine[Any, Any, None]) -> None:
        """Let a task go on with *drive*, new or paused after the first start."""
        loop = self._calls.loop
        self._fin = loop.create_future()
        self._calls.add(self)
        self._task = loop.create_task(drive)

    async def _attempt(self, start: StartAttempt) -> Outcome:
        began = monotonic()
        sending = self._sending
        self.number, self.native, self.error = start.number, None, None
        native: Any = None
        try:
            native = sending.launch(start)
            if asyncio.iscoroutine(native):  # an interceptor's continuation
                native = await native
            self.native = native
            self._attempting = True
            if start.number == 1 and self._task is None:
                await _pause()
            self._response = await native
        except asyncio.CancelledError:
            if self._ended or self.native is None or not self.native.cancelled():
                raise
            return _CLOSED  # its channel was closed, or the loop is shutting down
        except Exception as error:  # noqa: BLE001 - classified; raised again at the end
            self.error = error
            return sending.outcome(error, monotonic() - began)
        finally:
            self._attempting = False
        return OK if self._response is not None else _NO_MESSAGE

    def _settle(self, finish: Finish) -> None:
        if finish.rejection is not None:
            self.error = AioGrpcRejected.of(finish.rejection)
        elif finish.outcome is _CLOSED or self._met_a_closed_channel():
            self._end(cancelled=True)
            return
        if self.error is not None:
            attach_report(self._call, self.error)
        self._end()

    def _met_a_closed_channel(self) -> bool:
        """Was a repeat refused by a closing channel? Others end as cancelled, too."""
        refused = self.error is not None and not isinstance(self.error, grpc.RpcError)
        return refused and self._calls.closing and self.number > 1

    def _end(self, *, cancelled: bool = False) -> None:
        if self._ended:
            return
        self._ended = True
        self._locally_cancelled = cancelled
        self._calls.discard(self)
        if self._fin is not None and not self._fin.done():
            self._fin.set_result(None)
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback(self)
            except Exception:  # a callback must not end the driver
                _LOGGER.exception("a done callback of a call raised")

    def is_waiting(self) -> bool:
        """Is it between two attempts?"""
        return not self._ended and not self._attempting

    # -- grpc.aio.UnaryUnaryCall -------------------------------------------------

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the response.

        Raises:
            grpc.aio.AioRpcError: the native error, or `AioGrpcRejected`.
            asyncio.CancelledError: the call was cancelled.
        """
        if not self._ended and self._fin is not None:
            try:
                yield from self._fin
            except asyncio.CancelledError:
                self.cancel()
                raise
        if self._locally_cancelled:
            raise asyncio.CancelledError
        if self.error is not None:
            raise self.error
        return self._response

    def cancel(self) -> bool:
        """Cancel the call, in an attempt or between two; False: it had ended."""
        if self._ended:
            return False
        self._end(cancelled=True)
        if self.native is not None:
            self.native.cancel()
        if self._task is not None:
            self._task.cancel()
        return True

    def cancelled(self) -> bool:
        """Was it cancelled on this side?"""
        return self._locally_cancelled

    def done(self) -> bool:
        """Has it ended?"""
        return self._ended

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Have *callback* called with this object at the end; now, if that passed."""
        if self._ended:
            callback(self)
        else:
            self._callbacks.append(callback)

    def time_remaining(self) -> float | None:
        """Seconds to the call's deadline, not the attempt's; None: it has none."""
        deadline_at = self._call.deadline_at
        if deadline_at is not None:
            return max(deadline_at - monotonic(), 0.0)
        left: float | None = None
        if self.native is not None:
            left = self.native.time_remaining()
        return left

    async def initial_metadata(self) -> Any:
        """Wait for the server's initial metadata (with the end, as in grpcio)."""
        return await self._status("initial_metadata", grpc.aio.Metadata())

    async def trailing_metadata(self) -> Any:
        """Wait for the trailing metadata."""
        return await self._status("trailing_metadata", grpc.aio.Metadata())

    async def code(self) -> grpc.StatusCode:
        """Wait for the status code."""
        otherwise = grpc.StatusCode.INTERNAL
        if await self._was_cancelled():
            otherwise = grpc.StatusCode.CANCELLED
        code: grpc.StatusCode = await self._status("code", otherwise)
        return code

    async def details(self) -> str:
        """Wait for the status details."""
        cancelled = await self._was_cancelled()
        otherwise = _CANCELLED if cancelled else str(self.error)
        details: str = await self._status("details", otherwise)
        return details

    async def debug_error_string(self) -> str | None:
        """Wait for C-core's text about the status; None: there is none."""
        text: str | None = await self._status("debug_error_string", None)
        return text

    async def wait_for_connection(self) -> None:
        """Wait for the end; raises as awaiting the call does, when it failed."""
        await self._ending()
        if self._locally_cancelled:
            raise asyncio.CancelledError
        if self.error is not None:
            raise self.error

    async def _ending(self) -> None:
        """Wait for the end; a waiter that is cancelled takes only itself away."""
        if not self._ended and self._fin is not None:
            await asyncio.wait((self._fin,))

    async def _was_cancelled(self) -> bool:
        await self._ending()
        return self._locally_cancelled

    async def _status(self, name: str, otherwise: Any) -> Any:
        await self._ending()
        if self._locally_cancelled:
            return otherwise
        if self.error is not None:
            method = getattr(self.error, name, None)
            return otherwise if method is None else method()
        return await getattr(self.native, name)()

    def __repr__(self) -> str:
        name = type(self).__name__
        if not self._ended:
            return f"<{name} object>"
        if self._locally_cancelled:
            return f"<{name} that was cancelled>"
        return f"<{name}: {self.error!r}>" if self.error else f"<{name}: OK>"
