"""The engine behind grpcio's own asyncio interceptor hook.

The hook awaits what one that passes through awaits, the start of the first attempt, and
returns our call object then. The limits are in the docstring of `client_interceptors`.
"""

from collections.abc import Callable
from typing import Any

import grpc.aio

from resilience.context import waiting_caller
from resilience.core.binding import Binding
from resilience.drilling import live_drill
from resilience.engine import PolicyEngine
from resilience.grpc.connectivity import no_witness
from resilience.grpc.held import SNAPSHOTS, Holding
from resilience.grpc.route import Route, is_native
from resilience.grpc.sending import NOTHING_ELSE, Given, Sending
from resilience.grpc.streaming import may_repeat

from .begin import begin_stream, begin_upload
from .call import UnaryUnaryCall
from .calls import Calls
from .sending import with_request, with_requests
from .stream import StreamStreamCall, UnaryStreamCall


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
    | all arities | protected |
    | connectivity | not visible: a refusal counts as "may have reached the server", \
so only idempotent methods are repeated after it |
    | request messages | protobuf messages are copied, so that a repeat sends what was \
meant; other kinds are not copied: do not change them after the call |
    | cancelling early, `done()`, `time_remaining()` | grpcio's own call object \
around ours lags or lacks them |
    | giving up on `code()` early | grpcio may cancel the call |
    | hedging | none: a hook has one call object to give |
    | `channel.close()` | does not know attempts that our calls make |

    Args:
        engine: shared by all channels and clients of the process.
        target: the name that policies, breakers and telemetry use for it.
    """
    drill = live_drill()
    if drill is not None:
        from .drilled_interceptor import drilled_interceptors

        return drilled_interceptors(engine, target, drill)
    return [
        _UnaryUnary(engine, target),
        _UnaryStream(engine, target),
        _StreamUnary(engine, target),
        _StreamStream(engine, target),
    ]


class _Intercepting:
    """What the four share. Safe to use on several loops, one channel each."""

    streams = False

    def __init__(self, engine: PolicyEngine, target: str) -> None:
        self._engine = engine
        self._target = target
        self._routes: dict[Any, Route] = {}
        self._calls = Calls(engine, None, hooks=True)

    def _route(self, method: Any) -> Route:
        route = self._routes.get(method)
        if route is None:
            if len(self._routes) >= MAX_METHODS:
                self._routes = {}
            route = Route(
                self._engine, self._target, method, no_witness, streams=self.streams
            )
            self._routes[method] = route
        return route

    def _sending(
        self,
        make: Callable[..., Any],
        continuation: _Continuation,
        details: Any,
        request: Any,
    ) -> Any:
        """The sending that *make* makes; None: the call is not ours."""
        route = self._route(details.method)
        binding = route.binding()
        if is_native(binding, details.timeout):
            return None
        given = (details.timeout, details.metadata, *NOTHING_ELSE)
        enter = _redirect(continuation, details)
        return make(route, binding, enter, request, given, SNAPSHOTS)


class _UnaryUnary(_Intercepting, grpc.aio.UnaryUnaryClientInterceptor):
    """Protects unary-unary calls."""

    async def intercept_unary_unary(
        self, continuation: _Continuation, client_call_details: Any, request: Any
    ) -> Any:
        details = client_call_details
        sending = self._sending(_with_one, continuation, details, request)
        if sending is None:
            return await continuation(details, request)
        served = waiting_caller()
        facts = sending.route.facts(details.timeout)
        call = self._engine.new_call(sending.binding, facts)
        made = UnaryUnaryCall(call, sending, self._calls)
        made.begin()
        if served is not None:
            served.adopt(made, self._calls.loop)
        await made.entered()
        return made


class _UnaryStream(_Intercepting, grpc.aio.UnaryStreamClientInterceptor):
    """Protects unary-stream calls."""

    streams = True

    async def intercept_unary_stream(
        self, continuation: _Continuation, client_call_details: Any, request: Any
    ) -> Any:
        details = client_call_details
        sending = self._sending(with_request, continuation, details, request)
        if sending is None:
            return await continuation(details, request)
        made = begin_stream(UnaryStreamCall, sending, self._calls, details.timeout)
        await made.entered()
        return made


class _StreamUnary(_Intercepting, grpc.aio.StreamUnaryClientInterceptor):
    """Protects stream-unary calls."""

    async def intercept_stream_unary(
        self,
        continuation: _Continuation,
        client_call_details: Any,
        request_iterator: Any,
    ) -> Any:
        details = client_call_details
        sending = self._sending(with_requests, continuation, details, request_iterator)
        if sending is None:
            return await continuation(details, request_iterator)
        made = begin_upload(sending, self._calls, details.timeout)
        await made.entered()
        return made


class _StreamStream(_Intercepting, grpc.aio.StreamStreamClientInterceptor):
    """Protects stream-stream calls."""

    streams = True

    async def intercept_stream_stream(
        self,
        continuation: _Continuation,
        client_call_details: Any,
        request_iterator: Any,
    ) -> Any:
        details = client_call_details
        sending = self._sending(with_requests, continuation, details, request_iterator)
        if sending is None:
            return await continuation(details, request_iterator)
        made = begin_stream(StreamStreamCall, sending, self._calls, details.timeout)
        await made.entered()
        return made


def _with_one(
    route: Route,
    binding: Binding,
    method: Callable[..., Any],
    request: Any,
    given: Given,
    holding: Holding,
) -> Sending:
    if may_repeat(binding):
        request = holding.hold(request)
    return Sending(route, binding, method, request, given)


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
