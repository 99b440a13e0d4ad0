"""The asyncio call object: one call over any number of attempts.

Callbacks drive the attempts; whoever awaits the call waits for its end and never for an
attempt. So a caller that gives up waiting for `code()` stops nothing, while one that is
cancelled while awaiting the call itself cancels it, as with native calls.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from resilience.core.command import StartAttempt
from resilience.core.event import ARRIVED, AttemptDone
from resilience.core.outcome import OK, Outcome
from resilience.drivers.callback import CallbackDriver
from resilience.grpc.route import attach_report

from .rejected import AioGrpcRejected


if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from resilience.core.call import Call
    from resilience.core.command import Finish
    from resilience.grpc.sending import Sending

    from .calls import Calls

_END: Any = getattr(grpc.aio, "EOF", None)
"""What a native call's task yields in place of a response, when there is none."""
_LOGGER = logging.getLogger(__name__)
_CANCELLED = "Locally cancelled by application!"
_CLOSED = Outcome("CANCELLED", "local", "maybe", message=_CANCELLED)
_NO_MESSAGE = Outcome("INTERNAL", "local", "yes", message="OK without a message")
"""grpcio's asyncio calls swallow what a deserializer raises and answer None, so this
may be the caller's own fault: it is never repeated."""


class UnaryUnaryCall(grpc.aio.UnaryUnaryCall):
    """A protected call, as grpcio's own in every method. Owned by one event loop."""

    # Most calls are healthy and never set these: a default costs them nothing.
    native: Any = None
    """The newest attempt's call; None: it could not be started."""
    error: Exception | None = None
    """What the call ends with, when it fails."""
    number = 0
    """Of the newest attempt."""
    _driver: CallbackDriver | None = None
    _fin: asyncio.Future[None] | None = None
    _ended = False
    _locally_cancelled = False
    _response: Any = None
    _reader: asyncio.Task[None] | None = None
    _reading: asyncio.Future[Any] | None = None
    _callbacks: tuple[Callable[[Any], None], ...] = ()

    def __init__(self, call: Call, sending: Sending, calls: Calls) -> None:
        self._call = call
        self._sending = sending
        sending.call = call
        self._calls = calls

    # -- the driver's side -------------------------------------------------------

    def begin(self) -> None:
        """Start the call: its first attempt is on its way before this returns.

        A healthy call needs no driver, which saves a good part of its cost.

        Raises:
            Exception: the attempt could not even be started; what gRPC raised.
        """
        engine = self._sending.route.engine
        step = self._call.advance(ARRIVED, engine.now())
        self._calls.active.add(self)
        if step.commands and type(step.commands[0]) is StartAttempt:
            if step.records:
                engine.emit(step.records)
            self._start(step.commands[0])
        else:
            self._drive().resume(step)
        if self.error is not None and self.number == 1 and self.native is None:
            raise self.error

    def _drive(self) -> CallbackDriver:
        """The driver, which takes over whatever the first attempt did not settle."""
        if self._driver is None:
            self._driver = CallbackDriver(
                self._call,
                self._start,
                self._cancel_native,
                self._finish,
                self._calls.waits,
            )
        return self._driver

    def _start(self, start: StartAttempt) -> None:
        self.number = start.number
        if start.number > 1:
            self.native = self.error = None
        self._began = monotonic()
        try:
            native = self._sending.launch(start)
        except Exception as error:  # noqa: BLE001 - classified; raised again at the end
            self._attempt_failed(error)
            return
        if isinstance(native, CoroutineType):  # an interceptor's continuation
            self._reader = self._calls.loop.create_task(self._enter(native))
            return
        self.native = native
        response = getattr(native, "_call_response", None)
        if isinstance(response, asyncio.Future):
            # No task of ours for a healthy call, nor another turn of the loop: who
            # awaits the call waits for grpcio's task, and this callback runs before.
            response.add_done_callback(self._native_done)
            self._reading = response
        else:
            self._reader = self._calls.loop.create_task(self._read(native))

    async def _enter(self, starting: Coroutine[Any, Any, Any]) -> None:
        try:
            native = self.native = await starting
        except Exception as error:  # noqa: BLE001 - an inner interceptor's own
            self._attempt_failed(error)
        else:
            await self._read(native)

    async def _read(self, native: Any) -> None:
        try:
            response = await native
        except asyncio.CancelledError:
            self._attempt_closed()
        except Exception as error:  # noqa: BLE001 - classified; raised again at the end
            self._attempt_failed(error)
        else:
            self._attempt_answered(response)

    def _read_on(self, reading: asyncio.Future[Any]) -> None:
        """Whoever awaited it awaits no more, for whatever reason."""
        if reading.done():
            self._native_done(reading)
        else:
            self._reading = reading
            reading.add_done_callback(self._native_done)

    def _native_done(self, done: asyncio.Future[Any]) -> None:
        """The native call's task has ended, so it is read without waiting."""
        self._reading = None
        if not done.cancelled() and done.exception() is None:
            response = done.result()
            if response is not _END:
                self._attempt_answered(response)
                return
        reading = self.native.__await__()
        try:
            reading.send(None)
        except StopIteration as answer:
            self._attempt_answered(answer.value)
        except asyncio.CancelledError:
            self._attempt_closed()
        except Exception as error:  # noqa: BLE001 - classified; raised again at the end
            self._attempt_failed(error)
        else:
            reading.close()
            self._reader = self._calls.loop.create_task(self._read(self.native))

    def _attempt_answered(self, response: Any) -> None:
        self._response = response
        if response is None or self._driver is not None or self._ended:
            self._done(_NO_MESSAGE if response is None else OK)
            return
        engine = self._sending.route.engine
        step = self._call.advance(AttemptDone(1, OK), engine.now())
        if step.records:
            engine.emit(step.records)
        self._end()

    def _attempt_failed(self, error: Exception) -> None:
        self.error = error
        elapsed_s = monotonic() - self._began
        self._done(self._sending.outcome(error, elapsed_s))

    def _attempt_closed(self) -> None:
        """We cancelled it, its channel was closed, or its loop is shutting down."""
        self._done(_CLOSED)

    def _done(self, outcome: Outcome) -> None:
        if not self._ended:
            self._drive().done(self.number, outcome)

    def _cancel_native(self, _: int) -> None:
        if self.native is not None:
            self.native.cancel()
        elif self._reader is not None:
            self._reader.cancel()

    def _finish(self, finish: Finish) -> None:
        if self._ended:
            return
        if finish.rejection is not None:
            self.error = AioGrpcRejected.of(finish.rejection)
        elif finish.outcome.kind != "ok" and self._is_cancelled(finish):
            self._end(cancelled=True)
            return
        if self.error is not None:
            attach_report(self._call, self.error)
        self._end()

    def _is_cancelled(self, finish: Finish) -> bool:
        """Did nobody fail: was it cancelled, or its channel closed under it?"""
        if finish.outcome is _CLOSED or finish.reason == "cancelled":
            return True
        refused = self.error is not None and not isinstance(self.error, grpc.RpcError)
        return refused and self._calls.closing and self.number > 1

    def _end(self, *, cancelled: bool = False) -> None:
        self._ended = True
        self._driver = None  # no cycle is left behind
        self._locally_cancelled = cancelled
        self._calls.active.discard(self)
        if self._fin is not None and not self._fin.done():
            self._fin.set_result(None)
        for callback in self._callbacks:
            try:
                callback(self)
            except Exception:  # a callback must not end the driver
                _LOGGER.exception("a done callback of a call raised")
        self._callbacks = ()

    def is_waiting(self) -> bool:
        """Is it between two attempts?"""
        return not self._ended and (self.native is None or self.native.done())

    def _end_of_call(self) -> asyncio.Future[None]:
        """What waiters wait for; made only when somebody does."""
        if self._fin is None:
            self._fin = self._calls.loop.create_future()
        return self._fin

    # -- grpc.aio.UnaryUnaryCall -------------------------------------------------

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the response.

        Raises:
            grpc.aio.AioRpcError: the native error, or `AioGrpcRejected`.
            asyncio.CancelledError: the call was cancelled.
        """
        while not self._ended:
            reading, self._reading = self._reading, None
            waited: asyncio.Future[Any]
            if reading is None or reading.done():  # done: its callback is yet to run
                reading, waited = None, self._end_of_call()
            else:
                # Who awaits reads the native call too: no turn of the loop in between.
                reading.remove_done_callback(self._native_done)
                waited = reading
            try:
                yield from waited
            except asyncio.CancelledError:
                self.cancel()
                raise
            except Exception:  # noqa: BLE001, S110 - an attempt's: the driver has it
                pass
            finally:
                if reading is not None and not self._ended:
                    self._read_on(reading)
        if self._locally_cancelled:
            raise asyncio.CancelledError
        if self.error is not None:
            raise self.error
        return self._response

    def cancel(self) -> bool:
        """Cancel the call, in an attempt or between two; False: it had ended."""
        if self._ended:
            return False
        driver = self._drive()
        self._end(cancelled=True)
        driver.cancel()
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
            self._callbacks = (*self._callbacks, callback)

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
        if not self._ended:
            await asyncio.wait((self._end_of_call(),))

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
