"""Blocking calls: attempts on the caller's thread, one after the other.

Results, call objects and errors are the native ones of the attempt that counts; nothing
is wrapped on the way out. A blocking call gives no handle while it runs, so an attempt
under way is bounded by its timeout alone.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from resilience.context import inbound
from resilience.core.command import StartAttempt
from resilience.core.outcome import OK, Outcome
from resilience.drivers import threads
from resilience.inbound import CallerLeft

from .extract import EMPTY
from .fallback import answer
from .rejected import GrpcRejected
from .route import attach_report
from .sending import Sending
from .server_waits import host_for
from .streaming import Streaming


if TYPE_CHECKING:
    from resilience.core.target import Facts


class Blocking(Sending):
    """One call on the caller's thread: the native end of its newest attempt."""

    __slots__ = ("error", "pair", "result")

    result: Any
    error: Exception | None
    pair: bool
    """Does the native entry point return the response and the call?"""

    def attempt(self, start: StartAttempt) -> Outcome:
        """Make one attempt and keep what gRPC returned or raised."""
        began = monotonic()
        try:
            result = self.result = self.launch(start)
        except Exception as error:  # noqa: BLE001 - classified; raised again at the end
            self.error = error
            return self.outcome(error, monotonic() - began)
        self.error = None
        if self.pair:
            result = result[0]
        return EMPTY if result is None else OK


class BlockingStreaming(Streaming):
    """The same with streamed requests."""

    __slots__ = ("error", "pair", "result")

    result: Any
    error: Exception | None
    pair: bool

    def attempt(self, start: StartAttempt) -> Outcome:
        """Make one attempt; its requests end with it."""
        outcome = Blocking.attempt(self, start)  # type: ignore[arg-type]  # same slots
        self.settle(start.number)
        return outcome


def carry(native: Blocking | BlockingStreaming, facts: Facts) -> Any:
    """Carry one call to its end and return what gRPC did.

    Where there is a fallback it may answer instead.

    Raises:
        grpc.RpcError: the native error of the attempt that counts, or `GrpcRejected`.
    """
    engine = native.route.engine
    native.call = call = engine.new_call(native.binding, facts)
    native.error = None
    served = inbound.get()
    if served is None:
        finish = threads.run(call, native.attempt, engine)
        rejection = finish.rejection
    else:
        try:
            host = host_for(engine, served)
            rejection = threads.run(call, native.attempt, host).rejection
        except CallerLeft:
            rejection = None
            if native.error is None:
                text = f"{native.route.target.full_method}: the caller has left"
                gone = GrpcRejected(text, reason="cancelled", scope="")
                attach_report(call, gone)
                raise gone from None
    error: Exception | None
    if rejection is not None:
        error = GrpcRejected.of(rejection)
    elif native.error is None:
        return native.result
    else:
        error, native.error = native.error, None
    try:
        attach_report(call, error)
        if native.binding.policy.fallback:
            return answer(native, call, error)
        raise error
    finally:
        error = None  # no cycle of error, traceback and this frame
