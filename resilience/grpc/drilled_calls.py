"""Blocking calls, futures and streams that a fault hits.

A blocking call meets its fault on the caller's thread. A future or a stream has a
thread of its own, for the time of the fault: a drill may cost what a healthy process
does not pay.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

import grpc

from resilience.drilling.driving import drive
from resilience.drilling.seam import answered

from .drilled_status import CANCELLED, Injected, Status, status_of


if TYPE_CHECKING:
    from collections.abc import Callable

    from resilience.core.target import Target
    from resilience.drilling.flow import End, Send
    from resilience.drilling.model import Fault
    from resilience.drilling.seam import Seam

CUT_S = 0.002
"""How long a call is under way before it is cut."""
_LOGGER = logging.getLogger("resilience.drill")


def block(
    seam: Seam,
    target: Target,
    fault: Fault,
    timeout: float | None,
    send: Callable[[float | None], Any],
) -> Any:
    """Make a blocking attempt that *fault* hits, and return what gRPC returns.

    Args:
        seam: the drill.
        target: where the attempt goes.
        fault: what hits it.
        timeout: the attempt's own, in seconds.
        send: makes the native call with what is left of it; raises or returns an error.

    Raises:
        grpc.RpcError: the native error, or `Injected`.
    """
    result: Any = None
    error: Exception | None = None

    def sent(command: Send) -> bool:
        nonlocal result, error
        try:
            result = send(command.timeout_s)
        except grpc.RpcError as raised:
            error = raised
        well = error is None and not isinstance(result, grpc.RpcError)
        if well:
            answered(target)
        return well

    end = drive(seam, seam.flow(fault, timeout), sent, threading.Event())
    if end != "native":
        raise Injected(status_of(seam, fault, end))
    if error is not None:
        raise error
    return result


class DrilledFuture(grpc.RpcError, grpc.Call, grpc.Future):
    """The future of an attempt that a fault hits. Safe to share between threads."""

    streams = False

    def __init__(
        self,
        seam: Seam,
        target: Target,
        fault: Fault,
        timeout: float | None,
        start: Callable[[float | None], Any],
    ) -> None:
        """Begin it.

        Args:
            seam: the drill.
            target: where the attempt goes.
            fault: what hits it.
            timeout: the attempt's own, in seconds.
            start: starts the native call, with what is left of it.
        """
        super().__init__()
        self._seam = seam
        self._target = target
        self._fault = fault
        self._ends_at = None if timeout is None else monotonic() + timeout
        self._timeout = timeout
        self._start = start
        self._native: Any = None
        self._error: Exception | None = None
        """What the native call raised when it was started."""
        self._status: Status | None = None
        """What stands in place of the native status."""
        self._awake = threading.Event()
        self._is_cancelled = False
        self._changed = threading.Condition()
        self._ended = False
        self._callbacks: list[Callable[[], None]] = []
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self._run,), name="resilience-drill", daemon=True
        ).start()

    # -- the fault -----------------------------------------------------------------

    def _run(self) -> None:
        flow = self._seam.flow(self._fault, self._timeout, streams=self.streams)
        try:
            end = drive(self._seam, flow, self._send, self._awake)
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            self._error, end = error, "native"
        self._settle(end)

    def _settle(self, end: End) -> None:
        if self._is_cancelled:
            self._status = CANCELLED
        elif end != "native":
            self._status = status_of(self._seam, self._fault, end)
        self._open()
        self._finish()

    def _open(self) -> None:
        """Whoever reads may go on: the end is known."""

    def _send(self, command: Send) -> bool:
        if self._is_cancelled:
            return False
        native = self._begin(command)
        over = threading.Event()
        native.add_done_callback(lambda _: over.set())
        if command.is_cut:
            over.wait(CUT_S)
            native.cancel()
        over.wait()
        return self._is_well(native)

    def _begin(self, command: Send) -> Any:
        native = self._native = self._start(command.timeout_s)
        if self._is_cancelled:
            native.cancel()
        return native

    def _is_well(self, native: Any) -> bool:
        well = native.code() is grpc.StatusCode.OK
        if well:
            answered(self._target)
        return well

    def _finish(self) -> None:
        with self._changed:
            if self._ended:
                return
            self._ended = True
            callbacks, self._callbacks = self._callbacks, []
            self._changed.notify_all()
        for callback in callbacks:
            try:
                callback()
            except Exception:  # as grpcio: a callback must not end its thread
                _LOGGER.exception("a done callback of a call raised")

    # -- grpc.Future ---------------------------------------------------------------

    def cancel(self) -> bool:
        """Cancel the attempt, or its wait; True once."""
        with self._changed:
            if self._ended or self._is_cancelled:
                return False
            self._is_cancelled = True
        self._awake.set()
        if self._native is not None:
            self._native.cancel()
        return True

    def cancelled(self) -> bool:
        """Was it cancelled on this side?"""
        return self._is_cancelled

    def running(self) -> bool:
        """Has it not ended yet?"""
        return not self._ended

    def done(self) -> bool:
        """Has it ended?"""
        return self._ended

    def result(self, timeout: float | None = None) -> Any:
        """Block for the response; raises as a native future does."""
        error = self.exception(timeout)
        if error is not None:
            raise error
        return self._native.result()

    def exception(self, timeout: float | None = None) -> Any:
        """Block for the error; None when it succeeded."""
        if not self._wait(timeout):
            raise grpc.FutureTimeoutError
        if self._is_cancelled:
            raise grpc.FutureCancelledError
        if self._error is not None:
            return self._error
        return self if self._status is not None else self._native.exception()

    def traceback(self, timeout: float | None = None) -> Any:
        """Block for the error's traceback; None when it succeeded."""
        error = self.exception(timeout)
        return None if error is None else error.__traceback__

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """Have *fn* called with this object at the end; now, if that has passed."""
        if not self.add_callback(lambda: fn(self)):
            fn(self)

    # -- grpc.Call -----------------------------------------------------------------

    def is_active(self) -> bool:
        """Has it not ended yet?"""
        return not self._ended

    def time_remaining(self) -> Any:
        """Seconds to its deadline; None: it has none."""
        left = None if self._ends_at is None else self._ends_at - monotonic()
        return None if left is None else max(0.0, left)

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Have *callback* called at the end; False if that has passed."""
        with self._changed:
            if self._ended:
                return False
            self._callbacks.append(callback)
            return True

    def initial_metadata(self) -> Any:
        """Block for the server's headers; empty where none came."""
        return self._tell("initial_metadata", ())

    def trailing_metadata(self) -> Any:
        """Block for the trailing metadata."""
        status = self._ending()
        return self._tell("trailing_metadata", status.trailing if status else ())

    def code(self) -> Any:
        """Block for the status code."""
        status = self._ending()
        return self._tell("code", status.code if status else None)

    def details(self) -> Any:
        """Block for the status details."""
        status = self._ending()
        return self._tell("details", status.details if status else str(self._error))

    def debug_error_string(self) -> Any:
        """C-core's text; never blocks."""
        if self._status is not None:
            return self._status.debug_text
        return "" if not self._ended else self._tell("debug_error_string", "")

    def _wait(self, timeout: float | None = None) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._ended, timeout)

    def _ending(self) -> Status | None:
        self._wait()
        return self._status

    def _tell(self, name: str, otherwise: Any) -> Any:
        if self._ending() is not None or self._native is None:
            return otherwise
        return getattr(self._native, name)()


class DrilledStream(DrilledFuture):
    """A stream that a fault hits: kept back, ended, or cut midway."""

    streams = True

    def __init__(self, *args: Any) -> None:
        self._opened = threading.Event()
        """May the native stream be read, or is it over?"""
        self._seen = 0
        self._is_cut = False
        super().__init__(*args)

    def _send(self, command: Send) -> bool:
        if self._is_cancelled:
            return False
        native = self._begin(command)
        if self._fault.kind in ("cut", "delay"):
            return True
        try:
            for _ in native:  # the server executes all of it, and nobody reads
                pass
        except grpc.RpcError:
            return False
        return self._is_well(native)

    def _settle(self, end: End) -> None:
        if end not in ("native", "cut") or self._native is None or self._is_cancelled:
            super()._settle(end)
            return
        self._is_cut = end == "cut"
        self._open()
        self._native.add_done_callback(self._native_over)

    def _open(self) -> None:
        self._opened.set()

    def _native_over(self, native: Any) -> None:
        well = native.code() is grpc.StatusCode.OK
        if well and self._is_cut:
            return  # it came whole before it was read: the reader cuts it
        if well:
            answered(self._target)
        self._finish()

    def __iter__(self) -> DrilledStream:
        return self

    def __next__(self) -> Any:
        """Block for the next message.

        Raises:
            StopIteration: there is none any more.
            grpc.RpcError: this object.
        """
        self._opened.wait()
        if self._status is not None:
            raise self
        if self._error is not None:
            raise self._error
        if self._is_cut and self._seen >= self._fault.messages:
            self._status = status_of(self._seam, self._fault, "cut")
            self._finish()
            self._native.cancel()
            raise self
        try:
            message = next(self._native)
        except StopIteration:
            self._finish()
            raise
        except grpc.RpcError as error:
            self._wait()
            raise self from error
        self._seen += 1
        return message

    def next(self) -> Any:
        """As `__next__`."""
        return self.__next__()

    def initial_metadata(self) -> Any:
        """Block for the server's headers; empty where none came."""
        self._opened.wait()
        if self._status is not None or self._native is None:
            return ()
        return self._native.initial_metadata()
