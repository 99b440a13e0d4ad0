"""The engine behind grpcio's own asyncio interceptor hook.

Nothing is awaited in the hook but grpcio's own start of the call: the hook returns our
call object at once. The limits are in the docstring of `client_interceptors`.
"""

from collections.abc import Callable
from typing import Any

import grpc.aio

from resilience.engine import PolicyEngine
from resilience.grpc.connectivity import no_witness
from resilience.grpc.route import Route, is_native
from resilience.grpc.sending import NOTHING_ELSE, Sending

from .call import UnaryUnaryCall
from .calls import Calls


MAX_METHODS = 10_000
_Continuation = Callable[[Any, Any], Any]


def client_interceptors(
    engine: PolicyEngine, *, target: str
) -> list[grpc.aio.ClientInterceptor]:
    """Interceptors for a `grpc.aio` channel, one for each arity.

    grpcio registers an object for one arity only, hence four. Prefer
    `intercept_channel`. What differs here, and why:

    | what | limit |
    |---|---|
    | unary-unary | protected |
    | the other arities | pass through |
    | connectivity | not visible: a refusal counts as "may have reached the server", \
so only idempotent methods are repeated after it |
    | cancelling early, `done()`, `time_remaining()` | grpcio's own call object \
around ours lags or lacks them |
    | giving up on `code()` early | grpcio may cancel the call |
    | `channel.close()` | does not know attempts that our calls make |

    Args:
        engine: shared by all channels and clients of the process.
        target: the name that policies, breakers and telemetry use for it.
    """
    return [
        _UnaryUnary(engine, target),
        _UnaryStream(),
        _StreamUnary(),
        _StreamStream(),
    ]


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    """Protects unary-unary calls."""

    def __init__(self, engine: PolicyEngine, target: str) -> None:
        self._engine = engine
        self._target = target
        self._routes: dict[Any, Route] = {}
        self._calls = Calls(engine, None)

    async def intercept_unary_unary(
        self, continuation: _Continuation, client_call_details: Any, request: Any
    ) -> Any:
        details = client_call_details
        route = self._route(details.method)
        binding = route.binding()
        if is_native(binding, details.timeout):
            return await continuation(details, request)
        sending = Sending(
            route,
            binding,
            _redirect(continuation, details),
            request,
            (details.timeout, details.metadata, *NOTHING_ELSE),
        )
        call = self._engine.new_call(binding, route.facts(details.timeout))
        made = UnaryUnaryCall(call, sending, self._calls)
        made.begin()
        return made

    def _route(self, method: Any) -> Route:
        route = self._routes.get(method)
        if route is None:
            if len(self._routes) >= MAX_METHODS:
                self._routes = {}
            route = Route(self._engine, self._target, method, no_witness)
            self._routes[method] = route
        return route


def _redirect(continuation: _Continuation, details: Any) -> Callable[..., Any]:
    """*continuation* as an entry point that takes what `Sending` gives."""

    def enter(
        request: Any, *, timeout: float | None, metadata: Any, **_others: Any
    ) -> Any:
        if timeout == details.timeout and metadata is details.metadata:
            return continuation(details, request)
        if not isinstance(metadata, grpc.aio.Metadata):
            metadata = grpc.aio.Metadata(*(metadata or ()))
        changed = grpc.aio.ClientCallDetails(
            details.method,
            timeout,
            metadata,
            details.credentials,
            details.wait_for_ready,
        )
        return continuation(changed, request)

    return enter


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    """Passes through."""

    async def intercept_unary_stream(
        self, continuation: _Continuation, client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(client_call_details, request)


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    """Passes through."""

    async def intercept_stream_unary(
        self,
        continuation: _Continuation,
        client_call_details: Any,
        request_iterator: Any,
    ) -> Any:
        return await continuation(client_call_details, request_iterator)


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):
    """Passes through."""

    async def intercept_stream_stream(
        self,
        continuation: _Continuation,
        client_call_details: Any,
        request_iterator: Any,
    ) -> Any:
        return await continuation(client_call_details, request_iterator)
