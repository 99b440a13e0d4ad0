"""Blocking multicallables: one call each time they are called, on the caller's thread.

Attempts go straight to the inner channel's own multicallable, by the entry point that
the caller used. Results, call objects and errors are the native ones of the attempt
that counts; nothing is wrapped on the way out.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any

import grpc

from resilience.context import deadline_at
from resilience.core.command import StartAttempt
from resilience.core.outcome import OK, Outcome
from resilience.drivers import threads

from .extract import EMPTY
from .future import launch
from .rejected import GrpcRejected
from .route import Route, attach_report, is_native
from .sending import AS_GIVEN, Given, Sending


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
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        return self._block(self._inner, request, given, pair=False)

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
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        return self._block(self._inner.with_call, request, given, pair=True)

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
        binding = route.binding()
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        sending = Sending(route, binding, self._inner.future, request, given)
        if is_native(binding, timeout):
            return sending.launch(AS_GIVEN)
        return launch(route.engine.new_call(binding, route.facts(timeout)), sending)

    def _block(
        self, method: Callable[..., Any], request: Any, given: Given, *, pair: bool
    ) -> Any:
        """Carry one call to its end. Written flat: each frame costs a healthy call."""
        route = self._route
        engine = route.engine
        binding = route.last
        if route.is_watched or binding.epoch != engine.epoch:
            binding = route.binding()
        native = _Blocking(route, binding, method, request, given)
        timeout = given[0]
        if timeout is not None or binding.mode == "bypass":
            if is_native(binding, timeout):
                return native.launch(AS_GIVEN)
            facts = route.facts(timeout)
        else:
            facts = route.plain if deadline_at.get() is None else route.facts(None)
        native.pair = pair
        call = engine.new_call(binding, facts)
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
