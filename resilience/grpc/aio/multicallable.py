"""Asyncio multicallables: each returns our call object at once.

The first attempt is started before they return, as grpcio does: what gRPC raises there
(a closed channel, metadata of a wrong type) is raised to the caller, not awaited.
"""

from typing import Any

import grpc.aio

from resilience.context import ambient_criticality, deadline_at, inbound
from resilience.grpc.route import Route, is_native
from resilience.grpc.sending import AS_GIVEN, Sending

from .call import UnaryUnaryCall
from .calls import Calls


class UnaryUnaryMultiCallable(grpc.aio.UnaryUnaryMultiCallable):
    """One unary-unary method. Owned by one event loop."""

    def __init__(
        self,
        inner: grpc.aio.UnaryUnaryMultiCallable,
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
    ) -> grpc.aio.UnaryUnaryCall:
        """Start the call and return its object at once.

        Awaiting it raises the native `grpc.aio.AioRpcError` of the attempt that counts,
        or `AioGrpcRejected`; `resilience.report` gives its history.
        """
        route = self._route
        engine = route.engine
        binding = route.last
        if route.is_watched or binding.epoch != engine.epoch:
            binding = route.binding()
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        sending = Sending(route, binding, self._inner, request, given)
        if timeout is not None or binding.mode == "bypass":
            if is_native(binding, timeout):
                native: grpc.aio.UnaryUnaryCall = sending.launch(AS_GIVEN)
                return native
            facts = route.facts(timeout)
        else:
            is_plain = (
                deadline_at.get() is None
                and inbound.get() is None
                and ambient_criticality.get() is None
            )
            facts = route.plain if is_plain else route.facts(None)
        made = UnaryUnaryCall(engine.new_call(binding, facts), sending, self._calls)
        made.begin()
        return made
