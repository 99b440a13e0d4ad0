"""Asyncio multicallables: each returns our call object at once.

The first attempt is started before they return, as grpcio does: what gRPC raises there
(a closed channel, metadata of a wrong type) is raised to the caller, not awaited.
"""

from typing import Any

import grpc.aio

from resilience.context import (
    ambient_criticality,
    deadline_at,
    inbound,
    waiting_caller,
)
from resilience.core.hedged import HedgedCall
from resilience.grpc.held import Holding
from resilience.grpc.route import Route, is_native
from resilience.grpc.sending import AS_GIVEN, Sending
from resilience.grpc.streaming import may_repeat

from .begin import begin_stream, begin_upload
from .call import UnaryUnaryCall
from .calls import Calls
from .hedged import HedgedUnaryUnaryCall
from .sending import with_request, with_requests
from .stream import StreamStreamCall, UnaryStreamCall


class _Method:
    """What the multicallables of one method share. Owned by one event loop."""

    def __init__(
        self, inner: Any, route: Route, calls: Calls, holding: Holding
    ) -> None:
        self._inner = inner
        self._route = route
        self._calls = calls
        self._holding = holding


class UnaryUnaryMultiCallable(_Method, grpc.aio.UnaryUnaryMultiCallable):
    """One unary-unary method. Owned by one event loop."""

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
        served = None
        if timeout is not None or binding.mode == "bypass":
            if is_native(binding, timeout):
                sending = Sending(route, binding, self._inner, request, given)
                native: grpc.aio.UnaryUnaryCall = sending.launch(AS_GIVEN)
                return native
            facts = route.facts(timeout)
            served = waiting_caller()
        else:
            is_plain = (
                deadline_at.get() is None
                and inbound.get() is None
                and ambient_criticality.get() is None
            )
            facts = route.plain
            if not is_plain:
                facts, served = route.facts(None), waiting_caller()
        asked = request
        # Bytes do not change; whatever else may is serialised once, for all attempts.
        if type(request) is not bytes and may_repeat(binding):
            request = self._holding.hold(request)
        sending = Sending(route, binding, self._inner, request, given)
        call = engine.new_call(binding, facts)
        is_hedged = isinstance(call, HedgedCall)
        kind = HedgedUnaryUnaryCall if is_hedged else UnaryUnaryCall
        made = kind(call, sending, self._calls)
        if binding.policy.fallback:
            made.asked = asked
        made.begin()
        if served is not None:
            served.adopt(made, self._calls.loop)
        return made


class UnaryStreamMultiCallable(_Method, grpc.aio.UnaryStreamMultiCallable):
    """One unary-stream method. Owned by one event loop."""

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> grpc.aio.UnaryStreamCall:
        """Start the call and return its object at once."""
        route = self._route
        binding = route.binding()
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        if is_native(binding, timeout):
            plain = Sending(route, binding, self._inner, request, given)
            native: grpc.aio.UnaryStreamCall = plain.launch(AS_GIVEN)
            return native
        sending = with_request(
            route, binding, self._inner, request, given, self._holding
        )
        return begin_stream(UnaryStreamCall, sending, self._calls, timeout)


class StreamUnaryMultiCallable(_Method, grpc.aio.StreamUnaryMultiCallable):
    """One stream-unary method. Owned by one event loop."""

    def __call__(
        self,
        request_iterator: Any = None,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> grpc.aio.StreamUnaryCall:
        """Start the call and return its object at once."""
        route = self._route
        binding = route.binding()
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        if is_native(binding, timeout):
            plain = Sending(route, binding, self._inner, request_iterator, given)
            native: grpc.aio.StreamUnaryCall = plain.launch(AS_GIVEN)
            return native
        sending = with_requests(
            route, binding, self._inner, request_iterator, given, self._holding
        )
        return begin_upload(sending, self._calls, timeout)


class StreamStreamMultiCallable(_Method, grpc.aio.StreamStreamMultiCallable):
    """One stream-stream method. Owned by one event loop."""

    def __call__(
        self,
        request_iterator: Any = None,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> grpc.aio.StreamStreamCall:
        """Start the call and return its object at once."""
        route = self._route
        binding = route.binding()
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        if is_native(binding, timeout):
            plain = Sending(route, binding, self._inner, request_iterator, given)
            native: grpc.aio.StreamStreamCall = plain.launch(AS_GIVEN)
            return native
        sending = with_requests(
            route, binding, self._inner, request_iterator, given, self._holding
        )
        return begin_stream(StreamStreamCall, sending, self._calls, timeout)
