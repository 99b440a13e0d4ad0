"""The engine behind grpcio's own blocking interceptor hook.

grpcio gives an interceptor less than a channel wrapper has; the limits are in the
docstring of `client_interceptor`. Everything else is `multicallable.py`'s.
"""

import collections
from collections.abc import Callable
from time import monotonic
from typing import Any, Literal

import grpc

from resilience.context import inbound
from resilience.core.binding import Binding
from resilience.core.command import StartAttempt
from resilience.core.outcome import OK, Outcome
from resilience.core.record import Notice
from resilience.drilling import live_drill
from resilience.drivers import threads
from resilience.engine import PolicyEngine
from resilience.inbound import CallerLeft

from .connectivity import no_witness
from .extract import EMPTY
from .future import begin, launch
from .held import SNAPSHOTS, snapshot
from .rejected import GrpcRejected
from .route import Route, attach_report, is_native
from .sending import NOTHING_ELSE, Sending
from .server_waits import host_for
from .stream import ResponseStream, StreamFlight
from .streaming import Streaming, may_repeat


MAX_METHODS = 10_000
_Continuation = Callable[[Any, Any], Any]


def client_interceptor(engine: PolicyEngine, *, target: str) -> "ClientInterceptor":
    """One interceptor for `grpc.intercept_channel`, for all four arities.

    Prefer `intercept_channel`. What differs here, and why:

    | what | limit |
    |---|---|
    | all four arities | protected, blocking and `.future()` |
    | a blocking call | gives no handle: an attempt under way cannot be cancelled, and \
there is no hedging |
    | request messages | protobuf messages are copied, so that a repeat sends what was \
meant, and serialised again for each attempt; other kinds are not copied: do not \
change them after the call |
    | connectivity | not visible: a refusal counts as "may have reached the server", \
so only idempotent methods are repeated after it |
    | `with_call` | its call object is grpcio's incomplete one |
    | errors while starting `.future()` or a stream | grpcio hides them as `INTERNAL` |
    | each attempt | makes a new inner multicallable (grpcio does) |
    | another framework's continuation of a call with one answer | passes through, a \
notice says so |

    Args:
        engine: shared by all channels and clients of the process.
        target: the name that policies, breakers and telemetry use for it.
    """
    drill = live_drill()
    if drill is not None:
        from .drilled_interceptor import DrilledInterceptor

        return DrilledInterceptor(engine, target, drill)
    return ClientInterceptor(engine, target)


class _Details(
    collections.namedtuple(  # noqa: PYI024 - grpcio's own form: callers use _replace
        "_Details",
        "method timeout metadata credentials wait_for_ready compression",
    ),
    grpc.ClientCallDetails,
):
    """Call details with every field that grpcio knows."""

    __slots__ = ()


def redirect(continuation: _Continuation, details: Any) -> Callable[..., Any]:
    """*continuation* as an entry point that takes what `Sending` gives.

    Inner interceptors may pass any object as details: nothing is assumed of it, and it
    goes on itself as long as nothing changes.
    """
    given_timeout = getattr(details, "timeout", None)
    given_metadata = getattr(details, "metadata", None)

    def enter(
        request: Any, *, timeout: float | None, metadata: Any, **_others: Any
    ) -> Any:
        if timeout == given_timeout and metadata is given_metadata:
            return continuation(details, request)
        fields = {name: getattr(details, name, None) for name in _Details._fields}
        fields |= {"timeout": timeout, "metadata": metadata}
        return continuation(_Details(**fields), request)

    return enter


class _Intercepted:
    """How one attempt goes through a continuation, which returns errors."""

    __slots__ = ()

    result: Any
    launch: Callable[[StartAttempt], Any]
    outcome: Callable[[Any, float], Outcome]

    def attempt(self, start: StartAttempt) -> Outcome:
        """Make one attempt and keep what the continuation returned."""
        began = monotonic()
        try:
            self.result = result = self.launch(start)
        except Exception as error:  # noqa: BLE001 - an inner interceptor's own
            self.result = error
            return self.outcome(error, monotonic() - began)
        if isinstance(result, grpc.RpcError):
            return self.outcome(result, monotonic() - began)
        return EMPTY if result.result() is None else OK


class _Unary(_Intercepted, Sending):
    """One blocking call with one request."""

    __slots__ = ("result",)


class _Streamed(_Intercepted, Streaming):
    """One blocking call with streamed requests."""

    __slots__ = ("result",)

    def attempt(self, start: StartAttempt) -> Outcome:
        """Make one attempt; its requests end with it."""
        outcome = super().attempt(start)
        self.settle(start.number)
        return outcome


class ClientInterceptor(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """What `client_interceptor` returns. Safe to share between threads."""

    def __init__(self, engine: PolicyEngine, target: str) -> None:
        self._engine = engine
        self._target = target
        self._routes: dict[tuple[str, bool], Route] = {}
        self._told = False

    def intercept_unary_unary(
        self, continuation: _Continuation, client_call_details: Any, request: Any
    ) -> Any:
        """Carry a unary-unary call to its end, or start its future."""
        return self._unary_answer(continuation, client_call_details, request, _Unary)

    def intercept_stream_unary(
        self,
        continuation: _Continuation,
        client_call_details: Any,
        request_iterator: Any,
    ) -> Any:
        """Carry a stream-unary call to its end, or start its future."""
        return self._unary_answer(
            continuation, client_call_details, request_iterator, _Streamed
        )

    def intercept_unary_stream(
        self, continuation: _Continuation, client_call_details: Any, request: Any
    ) -> Any:
        """Start a unary-stream call."""
        return self._stream_answer(continuation, client_call_details, request, Sending)

    def intercept_stream_stream(
        self,
        continuation: _Continuation,
        client_call_details: Any,
        request_iterator: Any,
    ) -> Any:
        """Start a stream-stream call."""
        return self._stream_answer(
            continuation, client_call_details, request_iterator, Streaming
        )

    def _unary_answer(
        self, continuation: _Continuation, details: Any, request: Any, kind: Any
    ) -> Any:
        route = self._route(details.method)
        entry = entry_point(continuation)
        timeout = getattr(details, "timeout", None)
        binding = route.binding()
        if not entry or is_native(binding, timeout):
            if not entry:
                self._tell()
            return continuation(details, request)
        sending = self._sending(continuation, details, request, kind, route, binding)
        sending.call = self._engine.new_call(binding, route.facts(timeout))
        if entry == "future":
            return launch(sending.call, sending)
        return _block(sending)

    def _stream_answer(
        self, continuation: _Continuation, details: Any, request: Any, kind: Any
    ) -> Any:
        route = self._route(details.method, streams=True)
        timeout = getattr(details, "timeout", None)
        binding = route.binding()
        if is_native(binding, timeout):
            return continuation(details, request)
        sending = self._sending(continuation, details, request, kind, route, binding)
        sending.call = call = self._engine.new_call(binding, route.facts(timeout))
        return begin(ResponseStream(StreamFlight(call, sending)))

    @staticmethod
    def _sending(
        continuation: _Continuation,
        details: Any,
        request: Any,
        kind: Any,
        route: Route,
        binding: Binding,
    ) -> Any:
        enter = redirect(continuation, details)
        given = (
            getattr(details, "timeout", None),
            getattr(details, "metadata", None),
            *NOTHING_ELSE,
        )
        if issubclass(kind, Streaming):
            return kind(route, binding, enter, request, given, SNAPSHOTS)
        if may_repeat(binding):
            request = snapshot(request)
        return kind(route, binding, enter, request, given)

    def _route(self, method: str, *, streams: bool = False) -> Route:
        route = self._routes.get((method, streams))
        if route is None:
            if len(self._routes) >= MAX_METHODS:
                self._routes = {}
            route = Route(
                self._engine, self._target, method, no_witness, streams=streams
            )
            self._routes[method, streams] = route
        return route

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            text = f"target {self._target}: calls pass through, not started by grpcio"
            notice = Notice("unknown-continuation", text, self._engine.now())
            self._engine.emit((notice,))


def _block(sending: Any) -> Any:
    """Carry one blocking call to its end; errors are returned, as grpcio does."""
    engine, served = sending.route.engine, inbound.get()
    host = engine if served is None else host_for(engine, served)
    sending.result = None
    try:
        rejection = threads.run(sending.call, sending.attempt, host).rejection
        result = sending.result if rejection is None else GrpcRejected.of(rejection)
    except CallerLeft:
        result = sending.result
        if result is None:
            text = f"{sending.route.target.full_method}: the caller has left"
            result = GrpcRejected(text, reason="cancelled", scope="")
    if isinstance(result, Exception):
        attach_report(sending.call, result)
        if not isinstance(result, grpc.RpcError):
            raise result
    return result


def entry_point(continuation: _Continuation) -> Literal["future", "blocking", ""]:
    """By which entry point grpcio made *continuation*; empty: another framework did.

    There is no public way to tell; the names are private and pinned by a test.
    """
    parts = getattr(continuation, "__qualname__", "").split(".")
    if len(parts) < 2:
        return ""
    if parts[1] == "future":
        return "future"
    return "blocking" if parts[1] == "_with_call" else ""
