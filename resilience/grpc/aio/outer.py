"""What all asyncio call objects share: one call over any number of native attempts.

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
from resilience.core.event import ARRIVED
from resilience.core.outcome import TIMED_OUT, Outcome
from resilience.drivers.callback import CallbackDriver
from resilience.grpc.route import attach_report

from .ends import CANCELLED, is_over
from .rejected import AioGrpcRejected


if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from resilience.core.call import Call
    from resilience.core.command import Finish
    from resilience.grpc.sending import Sending

    from .calls import Calls

_LOGGER = logging.getLogger(__name__)
CLOSED = Outcome("CANCELLED", "local", "maybe", message=CANCELLED)
"""An attempt that was cancelled on this side: by us, its channel, or its loop."""


def late(details: str) -> grpc.aio.AioRpcError:
    """The error of a call that a time limit of ours ended."""
    empty = grpc.aio.Metadata()
    code = grpc.StatusCode.DEADLINE_EXCEEDED
    return grpc.aio.AioRpcError(code, empty, empty, details, None)


class OuterCall:
    """One protected call of any arity. Owned by one event loop.

    What differs is how an attempt is read: `_attend` begins it.
    """

    # Most calls are healthy and never set these: a default costs them nothing.
    native: Any = None
    """The newest attempt's call; None: it could not be started."""
    error: Exception | None = None
    """What the call ends with, when it fails."""
    number = 0
    """Of the newest attempt."""
    streams = False
    """Is the answer a stream?"""
    _channel: Any = None
    """Older grpcio channels, when closed, ask each call in a task's frame whether it is
    theirs: ours is nobody's, its attempts are."""
    _is_driven = False
    """Does it need its driver from the start?"""
    _driver: CallbackDriver | None = None
    _fin: asyncio.Future[None] | None = None
    _ended = False
    _locally_cancelled = False
    _reader: asyncio.Task[None] | None = None
    _starting: Coroutine[Any, Any, None] | None = None
    """The first attempt's way through inner interceptors, yet to be awaited."""
    _is_entered = False
    _entering: asyncio.Task[Any] | None = None
    """The hook's task while it awaits that."""
    _stopped = 0
    """The attempt that was cancelled on this side."""
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
        self._calls.active.add(self)
        if self._is_driven:
            self._drive().begin()
        else:
            engine = self._sending.route.engine
            step = self._call.advance(ARRIVED, engine.now())
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
                watches=self.streams,
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
            work = self._enter(start.number, native)
            if self._calls.hooks and not self._is_entered:
                self._starting = work
            else:
                self._reader = self._calls.loop.create_task(work)
            return
        self.native = native
        self._attend(native)

    def _attend(self, native: Any) -> None:
        """The attempt *native* is under way: hear of its end."""

    async def entered(self) -> None:
        """Start the first attempt in the hook's own task, as a hook does natively.

        Raises:
            Exception: what an inner interceptor raised; no answer to be repeated.
            asyncio.CancelledError: the call was cancelled, or its task, which does it.
        """
        self._is_entered = True
        starting, self._starting = self._starting, None
        if starting is not None:
            self._entering = asyncio.current_task()
            await starting
            self._entering = None
        if self._locally_cancelled and self.native is None:
            raise asyncio.CancelledError
        error = self.error
        if self._ended and error is not None and not isinstance(error, grpc.RpcError):
            raise error

    async def _enter(self, number: int, starting: Coroutine[Any, Any, Any]) -> None:
        try:
            native = await starting
        except Exception as error:  # noqa: BLE001 - an inner interceptor's own
            if number == self.number:
                self._attempt_failed(error)
            return
        except asyncio.CancelledError:
            if self._stopped == number:  # by us
                if self._entering is not None:
                    self._entering.uncancel()
            elif number == self.number:  # by an inner interceptor, or the hook's task
                self._attempt_closed()
            return
        if number == self.number and not self._ended:
            self.native = native
            self._attend(native)
        else:
            native.cancel()

    def _attempt_failed(self, error: Exception) -> None:
        self.error = error
        elapsed_s = monotonic() - self._began
        self._done(self._sending.outcome(error, elapsed_s))

    def _attempt_closed(self) -> None:
        """We cancelled it, its channel was closed, or its loop is shutting down."""
        self._stopped = self.number
        self._done(CLOSED)

    def _done(self, outcome: Outcome) -> None:
        self._sending.attempt_over(self.number)
        if not self._ended:
            self._drive().done(self.number, outcome)

    def _cancel_native(self, number: int) -> None:
        self._sending.attempt_over(number)
        if self.native is not None and is_over(self.native):
            return  # it ended by itself, and is about to say so
        self._stopped = number
        if self.native is not None:
            self.native.cancel()
        elif self._entering is not None:
            self._entering.cancel()
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
        elif finish.outcome is TIMED_OUT:
            is_whole = finish.reason == "deadline"
            self.error = late("Deadline Exceeded" if is_whole else self._limit_passed())
        if self.error is not None:
            attach_report(self._call, self.error)
        self._end()

    def _limit_passed(self) -> str:
        return "attempt timeout"

    def _is_cancelled(self, finish: Finish) -> bool:
        """Did nobody fail: was it cancelled, or its channel closed under it?"""
        if finish.outcome is CLOSED or finish.reason == "cancelled":
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
        return not self._ended and (self.native is None or is_over(self.native))

    def _end_of_call(self) -> asyncio.Future[None]:
        """What waiters wait for; made only when somebody does."""
        if self._fin is None:
            self._fin = self._calls.loop.create_future()
        return self._fin

    # -- what grpc.aio's call objects have -----------------------------------------

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
        otherwise = CANCELLED if cancelled else str(self.error)
        details: str = await self._status("details", otherwise)
        return details

    async def debug_error_string(self) -> str | None:
        """Wait for C-core's text about the status; None: there is none."""
        text: str | None = await self._status("debug_error_string", None)
        return text

    async def wait_for_connection(self) -> None:
        """Wait for the end; raises as awaiting the call does, when it failed."""
        await self._ending()
        self.raise_end()

    def raise_end(self) -> None:
        """Raise what the call ended with; nothing, if it ended well."""
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
            native = self.native
            if native is None or self._stopped != self.number:
                return otherwise
            return await getattr(native, name)()  # what had come is still told
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
