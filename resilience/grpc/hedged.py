"""Blocking and future calls with several attempts under way at once.

A blocking call gives no handle while it runs, so a rival could not be cancelled: hedged
calls run over native futures, and a blocking one waits for its own. What the caller
sees in the end is the attempt that counts, and nothing of the others.
"""

from __future__ import annotations

import functools
from time import monotonic
from typing import TYPE_CHECKING, Any

import grpc
import grpc._channel

from resilience.core.outcome import OK, Outcome
from resilience.report import attach, report

from .extract import EMPTY
from .fallback import answer_to
from .flight import Flight
from .rejected import GrpcRejected
from .route import attach_report


if TYPE_CHECKING:
    from resilience.core.binding import Binding
    from resilience.core.call import Call
    from resilience.core.command import Finish, StartAttempt

    from .future import CallFuture
    from .route import Route
    from .sending import Sending

_BlockingError: Any = getattr(grpc._channel, "_InactiveRpcError", None)
"""What native blocking calls raise; None: this grpcio has another name for it."""


class HedgedFlight(Flight):
    """One call under way, with rivals. Safe to share between threads."""

    times_attempts = True

    def __init__(self, call: Call, sending: Sending) -> None:
        super().__init__(call, sending)
        self._natives: dict[int, Any] = {}
        self._errors: dict[int, Exception] = {}
        self._limits: dict[int, float | None] = {}
        self._alive: set[int] = set()

    # -- the driver's side -------------------------------------------------------

    def _start(self, command: StartAttempt) -> None:
        number, sending = command.number, self._sending
        if sending is None:
            return
        began = monotonic()
        self.number = number
        try:
            if number == 1:
                native = sending.launch(command)
            else:  # another thread, the caller's context (tracing, credentials)
                native = self._context.run(sending.launch, command)
        except Exception as error:  # noqa: BLE001 - classified; raised again at the end
            self._errors[number] = error
            self.driver.done(number, sending.outcome(error, monotonic() - began))
            return
        self._natives[number] = native
        self._limits[number] = sending.limit
        with self.changed:
            self._alive.add(number)
            self._running = True
        native.add_done_callback(functools.partial(self._attempt_done, number, began))

    def _attempt_done(self, number: int, began: float, native: Any) -> None:
        with self.changed:
            self._alive.discard(number)
            self._running = bool(self._alive)
        sending = self._sending
        if sending is None or self.ended:
            self._run_callbacks()
            return
        self.driver.done(number, self._end_of(number, native, monotonic() - began))

    def _end_of(self, number: int, native: Any, elapsed_s: float) -> Outcome:
        sending = self._sending
        try:
            if native.code() is grpc.StatusCode.OK:
                return EMPTY if native.result() is None else OK
            if sending is not None:
                limit = self._limits.get(number)
                return sending.outcome_within(limit, native, elapsed_s)
        except Exception as error:  # noqa: BLE001 - a foreign future; grpc would only log this
            return Outcome(type(error).__name__, "local", "maybe")
        return Outcome("CANCELLED", "local", "maybe")

    def _cancel_native(self, number: int) -> None:
        native = self._natives.get(number)
        if native is not None:
            native.cancel()

    def _finish(self, finish: Finish) -> None:
        self.number = number = finish.number
        self.native = self._natives.get(number)
        self.error = self._errors.get(number)
        super()._finish(finish)
        self._natives.clear()
        self._errors.clear()


def carry(
    future: CallFuture, route: Route, binding: Binding, request: Any, *, pair: bool
) -> Any:
    """Block for the end of *future* and return what a blocking call does.

    Args:
        future: of a call that has begun; nobody else has it.
        route: of the call.
        binding: likewise.
        request: as the caller gave it, for the fallback.
        pair: whether the call object is wanted beside the response.

    Raises:
        grpc.RpcError: as a native blocking call raises it, or `GrpcRejected`.
    """
    error: Exception | None
    try:
        error = future.exception()
    except grpc.FutureCancelledError:
        # Nobody but the call that we serve can cancel what only we hold.
        call = future._flight.call
        text = "the caller has left"
        gone = GrpcRejected(text, reason="cancelled", scope="")
        attach_report(call, gone)
        raise gone from None
    except BaseException:
        future.cancel()
        raise
    if error is None:
        response = future.result()
        return (response, future) if pair else response
    try:
        call, error = future._flight.call, _as_blocking(future, error)
        return answer_to(route, binding, request, call, error, pair=pair)
    finally:
        del error, future  # no cycle of error, traceback and this frame


def _as_blocking(future: CallFuture, error: Exception) -> Exception:
    """*error* of the kind that callers of blocking methods know."""
    flight = future._flight
    state = getattr(flight.native, "_state", None)
    if error is not future or flight.late is not None or state is None:
        return error
    if _BlockingError is None:
        return error
    made: Exception = _BlockingError(state)
    told = report(error)
    if told is not None:
        attach(made, told)
    return made
