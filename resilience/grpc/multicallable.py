"""Blocking multicallables: one call each time they are called, on the caller's thread.

Attempts go straight to the inner channel's own multicallable, by the entry point that
the caller used. Results, call objects and errors are the native ones of the attempt
that counts; nothing is wrapped on the way out.
"""

from time import monotonic
from typing import Any

import grpc

from resilience.core.command import StartAttempt
from resilience.core.outcome import OK, Outcome
from resilience.drivers import threads

from .extract import EMPTY
from .future import launch
from .rejected import GrpcRejected
from .route import Route, Sending, attach_report, is_native


class _Blocking(Sending):
    """One call on the caller's thread: the native end of its newest attempt."""

    __slots__ = ("error", "pair", "result")

    result: Any
    error: Exception | None
    pair: bool

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


class UnaryUnaryMultiCallable(grpc.UnaryUnaryMultiCallable):
    """One unary-unary method. Safe to share between threads."""

    __slots__ = ("_inner", "_route")

    def __init__(self, inner: grpc.UnaryUnaryMultiCallable, route: Route) -> None:
        self._inner = inner
        self._route = route

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Call the method and block; as the native multicallable in all else.

        Raises:
            grpc.RpcError: the native error of the attempt that counts, or
                `GrpcRejected`; `resilience.report` gives its history.
        """
        route = self._route
        call = _Blocking(
            route,
            route.binding(),
            self._inner,
            request,
            timeout,
            metadata,
            credentials,
            wait_for_ready,
            compression,
        )
        call.pair = False
        return _block(call, timeout)

    def with_call(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Call the method and block; returns the response and the native call."""
        route = self._route
        call = _Blocking(
            route,
            route.binding(),
            self._inner.with_call,
            request,
            timeout,
            metadata,
            credentials,
            wait_for_ready,
            compression,
        )
        call.pair = True
        return _block(call, timeout)

    def future(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Start the call and return at once; attempts and waits need no thread."""
        route = self._route
        sending = Sending(
            route,
            route.binding(),
            self._inner.future,
            request,
            timeout,
            metadata,
            credentials,
            wait_for_ready,
            compression,
        )
        if is_native(sending.binding, timeout):
            return sending.launch_native()
        call = route.engine.new_call(sending.binding, route.facts(timeout))
        return launch(call, sending)


def _block(native: _Blocking, timeout: float | None) -> Any:
    if is_native(native.binding, timeout):
        return native.launch_native()
    route = native.route
    engine = route.engine
    call = engine.new_call(native.binding, route.facts(timeout))
    finish = threads.run(call, native.attempt, engine)
    error: Exception | None
    if finish.rejection is not None:
        error = GrpcRejected.of(finish.rejection)
    elif native.error is None:
        return native.result
    else:
        error, native.error = native.error, None
    try:
        attach_report(call, error)
        raise error
    finally:
        error = None  # no cycle of error, traceback and this frame
