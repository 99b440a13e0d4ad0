"""What `.future()` returns: a call and a future over any number of attempts.

The handle that the caller holds and the flight that the driver holds are two objects:
dropping the handle cancels the call, as with native futures. Attempts end on grpc's
threads and waits in the engine's timer; nothing here sleeps on either, and callbacks
run where a native attempt or the timer ended the call, never under a lock.
"""

from __future__ import annotations

import contextvars
import functools
import logging
import threading
import weakref
from time import monotonic
from typing import TYPE_CHECKING, Any

import grpc

from resilience.core.outcome import OK, Outcome
from resilience.drivers.callback import CallbackDriver

from .extract import EMPTY, debug_text
from .rejected import GrpcRejected
from .route import attach_report


if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from resilience.core.call import Call
    from resilience.core.command import Finish, StartAttempt

    from .sending import Sending

_LOGGER = logging.getLogger(__name__)
_CANCELLED = "Locally cancelled by application!"
_COLLECTED = "Cancelled upon garbage collection!"


def launch(call: Call, sending: Sending) -> UnaryUnaryFuture:
    """Start *call*, whose attempts *sending* launches, and return its future at once.

    Raises:
        Exception: the first attempt could not even be started; what gRPC raised.
    """
    flight = Flight(call, sending)
    future = UnaryUnaryFuture(flight)
    flight.handle = weakref.ref(future)
    flight.driver.begin()
    error = flight.error
    if error is not None and flight.number == 1 and not flight.native:
        raise error
    return future


class Flight:
    """One call under way. Safe to share between threads."""

    def __init__(self, call: Call, sending: Sending) -> None:
        engine = sending.route.engine
        self.call = call
        self.handle: Callable[[], UnaryUnaryFuture | None] = lambda: None
        self.driver = CallbackDriver(
            call, self._start, self._cancel_native, self._finish, engine
        )
        self.changed = threading.Condition()
        self.ended = False
        self.cancelled = False
        self.cancel_details = ""
        self.number = 0
        """Of the newest attempt."""
        self.native: Any = None
        """The native future of that attempt; None: it could not be started."""
        self.error: Exception | None = None
        """What ends the call in place of a native future's status."""
        self._callbacks: list[Callable[[], None]] | None = []
        self._sending = sending
        self._engine = engine
        self._context = contextvars.copy_context()
        self._running = False

    # -- the driver's side -------------------------------------------------------

    def _start(self, command: StartAttempt) -> None:
        number = command.number
        began = monotonic()
        self.native, self.error, self.number = None, None, number
        try:
            if number == 1:
                native = self._sending.launch(command)
            else:  # another thread, the caller's context (tracing, credentials)
                native = self._context.run(self._sending.launch, command)
        except Exception as error:  # noqa: BLE001 - classified; raised again at the end
            self.error = error
            outcome = self._sending.outcome(error, monotonic() - began)
            self.driver.done(number, outcome)
            return
        self.native = native
        self._running = True
        native.add_done_callback(functools.partial(self._attempt_done, number, began))

    def _attempt_done(self, number: int, began: float, native: Any) -> None:
        self._running = False
        if self.ended:
            self._run_callbacks()
        self.driver.done(number, self._outcome(native, monotonic() - began))

    def _outcome(self, native: Any, elapsed_s: float) -> Outcome:
        try:
            if native.code() is not grpc.StatusCode.OK:
                return self._sending.outcome(native, elapsed_s)
            return EMPTY if native.result() is None else OK
        except Exception as error:  # noqa: BLE001 - a foreign future; grpc would only log this
            return Outcome(type(error).__name__, "local", "maybe")

    def _cancel_native(self, number: int) -> None:
        native = self.native
        if native is not None and number == self.number:
            native.cancel()

    def _finish(self, finish: Finish) -> None:
        if finish.rejection is not None:
            self.error = GrpcRejected.of(finish.rejection)
        if not self._end():
            return
        if finish.outcome.kind != "ok":
            error = self.error or self.handle()
            if error is not None:
                attach_report(self.call, error)
        self._run_callbacks()

    def _end(self) -> bool:
        """Mark the end; False: it had ended before."""
        with self.changed:
            if self.ended:
                return False
            self.ended = True
            self.changed.notify_all()
            return True

    def _run_callbacks(self) -> None:
        with self.changed:
            callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            try:
                callback()
            except Exception:  # as grpcio: a callback must not kill its thread
                _LOGGER.exception("a done callback of a call raised")

    # -- the caller's side -------------------------------------------------------

    def cancel(self, details: str) -> bool:
        """End the call now: attempt, wait and timer; False: it had ended."""
        with self.changed:
            if self.ended:
                return False
            self.cancelled, self.cancel_details = True, details
            self._end()
            running = self._running
        self.driver.cancel()
        if not running and self._callbacks:
            # Nothing of grpc will end; the caller's own stack may hold a lock.
            self._engine.timer.at(self._engine.now(), self._run_callbacks)
        return True

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the end; False: *timeout* seconds passed first."""
        if self.ended:
            return True
        with self.changed:
            return self.changed.wait_for(lambda: self.ended, timeout)

    def add(self, callback: Callable[[], None], *, after_end: bool) -> bool:
        """Have *callback* run at the end; False: that has passed.

        Args:
            callback: runs once, without arguments.
            after_end: whether a call that is cancelled, but whose attempt still
                closes, takes callbacks.
        """
        with self.changed:
            if self._callbacks is None or (self.ended and not after_end):
                return False
            self._callbacks.append(callback)
            return True

    def status(self, name: str, otherwise: Any) -> Any:
        """What the native call says by *name*, once ended; *otherwise* if none does."""
        if self.cancelled:
            return otherwise
        source = self.error if self.error is not None else self.native
        method = getattr(source, name, None)
        return otherwise if method is None else method()


class UnaryUnaryFuture(grpc.RpcError, grpc.Call, grpc.Future):
    """The future of a protected call, and its error if it fails.

    As grpcio's own future in every method. Safe to share between threads.
    """

    def __init__(self, flight: Flight) -> None:
        super().__init__()
        self._flight = flight

    # -- grpc.Future -------------------------------------------------------------

    def cancel(self) -> bool:
        """Cancel the call, in an attempt or between two; True once."""
        return self._flight.cancel(_CANCELLED)

    def cancelled(self) -> bool:
        """Was it cancelled by `cancel`?"""
        return self._flight.cancelled

    def running(self) -> bool:
        """Has it not ended yet? Waiting for the next attempt counts as running."""
        return not self._flight.ended

    def done(self) -> bool:
        """Has it ended?"""
        return self._flight.ended

    def result(self, timeout: float | None = None) -> Any:
        """Block for the response.

        Raises:
            grpc.FutureTimeoutError: *timeout* seconds passed; the call goes on.
            grpc.FutureCancelledError: it was cancelled.
            grpc.RpcError: this object, or `GrpcRejected`.
        """
        error = self.exception(timeout)
        if error is not None:
            raise error
        return self._flight.native.result()

    def exception(self, timeout: float | None = None) -> Exception | None:
        """Block for the error, None when it succeeded; raises as `result`."""
        flight = self._flight
        if not flight.wait(timeout):
            raise grpc.FutureTimeoutError
        if flight.cancelled:
            raise grpc.FutureCancelledError
        if flight.error is not None:
            return flight.error
        native = flight.native
        error: Exception | None = native.exception()
        return self if error is native else error

    def traceback(self, timeout: float | None = None) -> TracebackType | None:
        """Block for the error's traceback; raises as `result`."""
        error = self.exception(timeout)
        if error is None:
            return None
        try:
            raise error  # noqa: TRY301 - a traceback is made by raising
        except Exception as raised:  # noqa: BLE001 - any error has one
            return raised.__traceback__

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """Have *fn* called with this object at the end; now, if that has passed."""
        if not self._flight.add(functools.partial(fn, self), after_end=False):
            fn(self)

    # -- grpc.Call ---------------------------------------------------------------

    def is_active(self) -> bool:
        """Has it not ended yet?"""
        return not self._flight.ended

    def time_remaining(self) -> Any:
        """Seconds to the call's deadline, not the attempt's; None: it has none."""
        deadline_at = self._flight.call.deadline_at
        if deadline_at is not None:
            return max(deadline_at - monotonic(), 0.0)
        native = self._flight.native
        left: float | None = None if native is None else native.time_remaining()
        return left

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Have *callback* called at the end; False, and it is not, if that passed."""
        return self._flight.add(callback, after_end=True)

    def initial_metadata(self) -> Any:
        """Block for the server's initial metadata.

        It comes at the end only: a unary call is one batch of operations in grpcio.
        """
        self._flight.wait()
        return self._flight.status("initial_metadata", ())

    def trailing_metadata(self) -> Any:
        """Block for the trailing metadata."""
        self._flight.wait()
        return self._flight.status("trailing_metadata", ())

    def code(self) -> Any:
        """Block for the status code."""
        flight = self._flight
        flight.wait()
        if flight.cancelled:
            return grpc.StatusCode.CANCELLED
        return flight.status("code", grpc.StatusCode.INTERNAL)

    def details(self) -> Any:
        """Block for the status details."""
        flight = self._flight
        flight.wait()
        if flight.cancelled:
            return flight.cancel_details
        return flight.status("details", str(flight.error))

    def debug_error_string(self) -> str | None:
        """C-core's text about the status; never blocks. None: there is none (yet)."""
        flight = self._flight
        if not flight.ended or flight.cancelled:
            return None
        return debug_text(flight.error if flight.error is not None else flight.native)

    # -- the object itself -------------------------------------------------------

    def __repr__(self) -> str:
        name = type(self).__name__
        if not self._flight.ended:
            return f"<{name} object>"
        text = f"<{name} of RPC that terminated with:\n\tstatus = {self.code()}\n"
        text += f'\tdetails = "{self.details()}"\n'
        if self.code() is not grpc.StatusCode.OK:
            text += f'\tdebug_error_string = "{self.debug_error_string()}"\n'
        return text + ">"

    __str__ = __repr__

    def __del__(self) -> None:
        flight = getattr(self, "_flight", None)
        if flight is not None and not flight.ended:
            flight.cancel(_COLLECTED)
