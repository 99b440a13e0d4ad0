"""A call under way over any number of native attempts: what the driver holds.

The handle that the caller holds and the flight are two objects: dropping the handle
cancels the call, as with native futures. Attempts end on grpc's threads and waits in
the engine's timer; nothing here sleeps on either. Callbacks of the application run on
threads of their own, never under a lock.
"""

from __future__ import annotations

import contextvars
import functools
import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

import grpc

from resilience.core.outcome import OK, TIMED_OUT, Outcome
from resilience.drivers.callback import CallbackDriver
from resilience.drivers.callbacks import CALLBACKS

from .extract import EMPTY
from .rejected import GrpcRejected
from .route import attach_report


if TYPE_CHECKING:
    from collections.abc import Callable

    from resilience.core.call import Call
    from resilience.core.command import Finish, StartAttempt

    from .replay import Replay
    from .sending import Sending

_LOGGER = logging.getLogger(__name__)
_LATE = "Deadline Exceeded"
"""grpcio's own words."""


class TimedOut:
    """The status of a call that a time limit of ours ended. Immutable."""

    __slots__ = ("_details",)

    def __init__(self, details: str) -> None:
        self._details = details

    def code(self) -> grpc.StatusCode:
        """`DEADLINE_EXCEEDED`."""
        return grpc.StatusCode.DEADLINE_EXCEEDED

    def details(self) -> str:
        """Which limit it was, and its length."""
        return self._details

    def initial_metadata(self) -> Any:
        """Empty: the attempt was cancelled on this side."""
        return ()

    def trailing_metadata(self) -> Any:
        """Empty, too."""
        return ()


class Flight:
    """One call under way. Safe to share between threads."""

    streams = False
    """Is the answer a stream?"""
    times_attempts = False
    """Does a timer of ours end its attempts, and begin rivals of them?"""

    def __init__(self, call: Call, sending: Sending) -> None:
        engine = sending.route.engine
        self.call = call
        self.handle: Callable[[], Any] = lambda: None
        """The caller's handle; None: it was dropped."""
        self.driver = CallbackDriver(
            call,
            self._start,
            self._cancel_native,
            self._finish,
            engine,
            watches=self.streams or self.times_attempts,
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
        self.late: TimedOut | None = None
        """The status that replaces the native one: a limit of ours ended the call."""
        self._callbacks: list[Callable[[], None]] | None = []
        self._sending: Sending | None = sending
        """None: the call has ended."""
        self._replay: Replay | None = getattr(sending, "replay", None)
        """None: there are no streamed requests to be repeated."""
        if self._replay is not None:
            self._replay.overflowed = self._overflowed
        self._launcher = 0
        """The thread that launches an attempt just now."""
        self._context = contextvars.copy_context()
        self._running = False

    # -- the driver's side -------------------------------------------------------

    def _start(self, command: StartAttempt) -> None:
        number, sending = command.number, self._sending
        if sending is None:
            return
        began = monotonic()
        self.native, self.error, self.number = None, None, number
        self._launcher = threading.get_ident()
        try:
            if number == 1:
                native = sending.launch(command)
            else:  # another thread, the caller's context (tracing, credentials)
                native = self._context.run(sending.launch, command)
        except Exception as error:  # noqa: BLE001 - classified; raised again at the end
            self.error = error
            outcome = sending.outcome(error, monotonic() - began)
            self.driver.done(number, outcome)
            return
        finally:
            self._launcher = 0
        self.native = native
        self._running = True
        native.add_done_callback(functools.partial(self._attempt_done, number, began))

    def _attempt_done(self, number: int, began: float, native: Any) -> None:
        if number == self.number:
            self._running = False
        sending = self._sending
        if sending is None or self.ended:
            self._run_callbacks()
            return
        sending.attempt_over(number)
        self._done(number, self._outcome(sending, native, monotonic() - began))

    def _done(self, number: int, outcome: Outcome) -> None:
        self.driver.done(number, outcome)

    def _outcome(self, sending: Sending, native: Any, elapsed_s: float) -> Outcome:
        try:
            if native.code() is not grpc.StatusCode.OK:
                return sending.outcome(native, elapsed_s)
            return EMPTY if self._is_empty(native) else OK
        except Exception as error:  # noqa: BLE001 - a foreign future; grpc would only log this
            return Outcome(type(error).__name__, "local", "maybe")

    def _is_empty(self, native: Any) -> bool:
        return native.result() is None

    def _cancel_native(self, number: int) -> None:
        native = self.native
        if native is not None and number == self.number:
            native.cancel()

    def _finish(self, finish: Finish) -> None:
        if finish.rejection is not None:
            self.error = GrpcRejected.of(finish.rejection)
        elif finish.outcome is TIMED_OUT and self.late is None:
            is_over = finish.reason == "deadline"
            self.late = TimedOut(_LATE if is_over else self._limit_passed())
        if self._replay is not None:
            self._replay.end()
        # An error that was raised lives on with its traceback: it must not keep the
        # channel, which closes when nobody holds it.
        self._sending = None
        if finish.outcome.kind != "ok" and not self.ended:
            error = self.error or self.handle()
            if error is not None:  # before anybody who waits for the end can look
                status = self.error or self.late or self.native
                attach_report(self.call, error, status)
        if self._end():
            self._run_callbacks()

    def _overflowed(self, number: int) -> bool:
        """The requests outgrew their buffer: is attempt *number* the last now?"""
        if threading.get_ident() == self._launcher:
            # Read while being launched: the driver, which is busy, hears of it next.
            self.driver.committed(number, answered=False)
            return True
        return self.driver.commit(number, answered=False)

    def _limit_passed(self) -> str:
        return "attempt timeout"

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
        if callbacks:
            CALLBACKS.run(functools.partial(_run, callbacks))

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
        if not running:  # nothing of grpc will end
            self._run_callbacks()
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
        source: Any = self.error if self.error is not None else self.late
        if source is None:
            source = self.native
        method = getattr(source, name, None)
        return otherwise if method is None else method()


def _run(callbacks: list[Callable[[], None]]) -> None:
    for callback in callbacks:
        try:
            callback()
        except Exception:  # as grpcio: a callback must not kill its thread
            _LOGGER.exception("a done callback of a call raised")
