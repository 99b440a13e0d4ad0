"""Asyncio multicallables: each returns our call object at once.

The first attempt is started before they return, as grpcio does: what gRPC raises there
(a closed channel, metadata of a wrong type) is raised to the caller, not awaited.
"""

from typing import Any

import grpc.aio

from resilience.grpc.route import Route, Sending, is_native

from .call import Calls, UnaryUnaryCall, launch


class UnaryUnaryMultiCallable(grpc.aio.UnaryUnaryMultiCallable[Any, Any]):
    """One unary-unary method. Owned by one event loop."""

    def __init__(
        self,
        inner: grpc.aio.UnaryUnaryMultiCallable[Any, Any],
        route: Route,
        calls: Calls,
    ) -> None:
        self._inner = inner
        self._route = route
        self._calls = calls

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> grpc.aio.UnaryUnaryCall[Any, Any]:
        """Start the call and return its object at once.

        Awaiting it raises the native `grpc.aio.AioRpcError` of the attempt that counts,
        or `AioGrpcRejected`; `resilience.report` gives its history.
        """
        route = self._route
        sending = Sending(
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
        if is_native(sending.binding, timeout):
            native: grpc.aio.UnaryUnaryCall[Any, Any] = sending.launch_native()
            return native
        call = route.engine.new_call(sending.binding, route.facts(timeout))
        return launch(UnaryUnaryCall(call, sending, self._calls))
