"""Blocking multicallables: one call each time they are called, on the caller's thread.

Attempts go straight to the inner channel's own multicallable, by the entry point that
the caller used. Results, call objects and errors are the native ones of the attempt that
counts; nothing is wrapped on the way out.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any

import grpc

from resilience.core.binding import Binding
from resilience.core.command import Finish, StartAttempt
from resilience.core.outcome import OK, Outcome
from resilience.drivers import threads

from .future import UnaryUnaryFuture, launch
from .rejected import GrpcRejected
from .route import Route, Sending, attach_report

EMPTY = Outcome("INTERNAL", "transport", "maybe", message="OK without a message")
"""A status OK with no message behind it: a proxy cut the answer off."""


def invoke(
    method: Callable[..., Any],
    request: Any,
    timeout: float | None,
    metadata: Any,
    credentials: Any,
    wait_for_ready: bool | None,
    compression: Any,
) -> Any:
    """Call a native entry point with no more arguments than were given.

    Not every channel knows the newer ones (grpcio-testing's does not).
    """
    if wait_for_ready is None and compression is None:
        return method(
            request, timeout=timeout, metadata=metadata, credentials=credentials
        )
    return method(
        request,
        timeout=timeout,
        metadata=metadata,
        credentials=credentials,
        wait_for_ready=wait_for_ready,
        compression=compression,
    )


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
        binding = self._route.binding()
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        if _is_native(binding, timeout):
            return invoke(self._inner, request, *given)
        return self._block(self._inner, binding, request, given, pair=False)

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
        binding = self._route.binding()
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        if _is_native(binding, timeout):
            return invoke(self._inner.with_call, request, *given)
        return self._block(self._inner.with_call, binding, request, given, pair=True)

    def future(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> "grpc.CallFuture[Any] | UnaryUnaryFuture":
        """Start the call and return at once; attempts and waits need no thread."""
        route = self._route
        binding = route.binding()
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        if _is_native(binding, timeout):
            return invoke(self._inner.future, request, *given)
        call = route.engine.new_call(binding, route.facts(timeout))
        sending = Sending(route, binding, call, timeout, metadata)

        def start(limit: float | None, sent: Any) -> Any:
            rest = (credentials, wait_for_ready, compression)
            return invoke(self._inner.future, request, limit, sent, *rest)

        return launch(call, sending, start, route.engine)

    def _block(
        self,
        method: Callable[..., Any],
        binding: Binding,
        request: Any,
        given: tuple[Any, ...],
        *,
        pair: bool,
    ) -> Any:
        timeout, metadata, credentials, wait_for_ready, compression = given
        route = self._route
        engine = route.engine
        call = engine.new_call(binding, route.facts(timeout))
        sending = Sending(route, binding, call, timeout, metadata)
        result: Any = None
        error: Exception | None = None

        def attempt(start: StartAttempt) -> Outcome:
            nonlocal result, error
            limit = sending.timeout(start)
            sent = sending.metadata(start.number)
            began = monotonic()
            try:
                error = None
                result = invoke(
                    method, request, limit, sent, credentials, wait_for_ready, compression
                )
            except Exception as caught:
                error = caught
                return sending.outcome(caught, limit, monotonic() - began)
            return EMPTY if (result[0] if pair else result) is None else OK

        finish = threads.run(call, attempt, engine)
        if error is None and finish.rejection is None:
            return result
        try:
            error = _ending(finish, error)
            attach_report(call, error)
            raise error
        finally:
            error = None  # no cycle of error, traceback and this frame


def _ending(finish: Finish, error: Exception | None) -> Exception:
    if finish.rejection is not None:
        return GrpcRejected.of(finish.rejection)
    assert error is not None  # noqa: S101 - the caller checked
    return error


def _is_native(binding: Binding, timeout: float | None) -> bool:
    """Bypassed, or out of time at once: gRPC itself says so, and sends nothing."""
    return binding.mode == "bypass" or (timeout is not None and timeout <= 0)
