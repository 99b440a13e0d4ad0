"""What `.future()` returns: a call and a future over any number of attempts."""

from __future__ import annotations

import functools
import weakref
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from resilience.context import waiting_caller
from resilience.core.hedged import HedgedCall
from resilience.drivers.reaper import REAPER

from .extract import debug_text
from .flight import Flight
from .hedged import HedgedFlight


if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from resilience.core.call import Call

    from .sending import Sending

Handle = TypeVar("Handle", bound="CallFuture")
_CANCELLED = "Locally cancelled by application!"
_COLLECTED = "Cancelled upon garbage collection!"


def launch(call: Call, sending: Sending) -> CallFuture:
    """Start *call*, whose attempts *sending* launches, and return its future at once.

    Raises:
        Exception: the first attempt could not even be started; what gRPC raised.
    """
    kind = HedgedFlight if isinstance(call, HedgedCall) else Flight
    return begin(CallFuture(kind(call, sending)))


def begin(future: Handle) -> Handle:
    """Start the call of *future*, and return it.

    Raises:
        Exception: the first attempt could not even be started; what gRPC raised.
    """
    REAPER.start()
    flight = future._flight
    flight.handle = weakref.ref(future)
    served = waiting_caller()
    flight.driver.begin()
    error = flight.error
    if error is not None and flight.number == 1 and not flight.native:
        raise error
    if served is not None:
        served.adopt(future)
    return future


class CallFuture(grpc.RpcError, grpc.Call, grpc.Future):
    """The future of a protected call, and its error if it fails.

    As grpcio's own future in every method. Safe to share between threads.
    """

    def __init__(self, flight: Flight) -> None:
        super().__init__()
        self._flight = flight

    @property
    def _state(self) -> Any:
        """The native state: what reads it, as `extract.py` does, never blocks.

        On grpc's thread a question could: a status may come before the headers, which
        the same thread has yet to tell.
        """
        return getattr(self._flight.native, "_state", None)

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
        if flight.late is not None:
            return self
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
        if not flight.ended or flight.cancelled or flight.late is not None:
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
            # The collector may run amid anything, also with grpcio's locks held.
            REAPER.leave(functools.partial(flight.cancel, _COLLECTED))
