"""The server interceptor for grpcio's thread-pool servers.

It puts itself around handlers and is nothing to them: what they return, raise, abort
with or set on their context goes on as it is. What is done with a call is decided in
`server_calls.py`; here is only how a blocking handler is run.
"""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Any

import grpc

from .server_calls import Counts, Intake, ServedCall, code_of


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from resilience.core.served import ServedReason
    from resilience.engine import PolicyEngine

    from .errors import ErrorMap

    Behavior = Callable[..., Any]


_ARITIES = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}


def server_interceptor(
    engine: PolicyEngine | None = None,
    *,
    trusted: Callable[[grpc.ServicerContext], bool] | None = None,
    errors: ErrorMap | None = None,
    identity: str | None = None,
) -> ServerInterceptor:
    """Make the interceptor for `grpc.server(..., interceptors=[...])`; put it first.

    Handlers then spend their caller's time: its deadline, less 5 ms or 1 %, is the
    ambient one of every call that a handler makes. Work whose caller is gone or whose
    time is up is not begun. When the caller leaves, futures and streams that the
    handler opened are cancelled, and blocking calls make no further attempt; what it
    begins later is sent once. `resilience.detached()` opts out.

    Args:
        engine: gives the mode (`bypass` and `observe` leave calls alone) and takes the
            records. None: always on, and only the log tells.
        trusted: given the context of a call: may its attempt numbers, criticality,
            level and probe's mark be believed? Judge by what a peer cannot make up
            (`auth_context()`, `peer()` in a closed network). None: nobody is trusted.
            Deadlines are taken from all.
        errors: turns handlers' exceptions into statuses. None: grpcio's `UNKNOWN`.
        identity: who this server says it is, in the trailing metadata of each answer
            and in its log. None: the host's name; empty: it does not say.

    Returns:
        An interceptor, safe to share between servers.
    """
    return ServerInterceptor(Intake(engine, trusted, errors, identity))


class ServerInterceptor(grpc.ServerInterceptor):
    """What `server_interceptor` returns. Safe to share between threads."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def counts(self) -> Counts:
        """What was counted so far."""
        return self._intake.counts()

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Any],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Find the handler and put ourselves around it."""
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        try:
            return around(handler, self._wrapped(handler, handler_call_details.method))
        except Exception as error:  # noqa: BLE001 - it never fails a call
            self._intake.fault("handler", error)
            return handler

    def _wrapped(self, handler: Any, method: str) -> Behavior:
        behavior = behavior_of(handler)
        if getattr(behavior, "experimental_non_blocking", False):
            return behavior  # it returns before it ends: nothing of it can be told
        if handler.response_streaming:
            return streaming(behavior, method, self._intake)
        return unary(behavior, method, self._intake)


def behavior_of(handler: Any) -> Behavior:
    """The application's function in *handler*."""
    arity = _ARITIES[bool(handler.request_streaming), bool(handler.response_streaming)]
    found: Behavior = getattr(handler, arity)
    return found


def around(handler: Any, behavior: Behavior) -> Any:
    """*handler* with another *behavior*, the same in all else."""
    arity = _ARITIES[bool(handler.request_streaming), bool(handler.response_streaming)]
    if hasattr(handler, "_replace"):
        return handler._replace(**{arity: behavior})
    make = getattr(grpc, f"{arity}_rpc_method_handler")
    return make(behavior, handler.request_deserializer, handler.response_serializer)


def unary(behavior: Behavior, method: str, intake: Intake) -> Behavior:
    """*behavior*, which returns one response, as a call that is served."""

    def serve(request: Any, context: Any) -> Any:
        call = _begin(intake, method, context)
        if call is None:
            return behavior(request, context)
        if call.drop:
            return context.abort(*intake.refusal(call, context))
        call.enter()
        try:
            response = behavior(request, context)
        except BaseException as error:
            _failed(call, context, error)
            raise
        else:
            _returned(call, context)
            return response
        finally:
            call.exit()

    return update_wrapper(serve, behavior)


def streaming(
    behavior: Behavior, method: str, intake: Intake, *, drops_late: bool = False
) -> Behavior:
    """*behavior*, which returns an iterator of responses, as a call that is served.

    *drops_late*: a call that is dropped ends with the first step of its iterator, where
    the behavior itself is called on a thread that must not block.
    """

    def serve(request: Any, context: Any) -> Any:
        call = _begin(intake, method, context)
        if call is None:
            return behavior(request, context)
        if call.drop:
            if drops_late:
                return _refusing(call, context)
            return context.abort(*intake.refusal(call, context))
        call.enter()
        try:
            return Responses(call, context, behavior(request, context))
        except BaseException as error:
            _failed(call, context, error)
            raise
        finally:
            call.exit()

    return update_wrapper(serve, behavior)


class Responses:
    """A handler's responses; each step runs in the context of the call it serves.

    Owned by the thread that iterates.
    """

    __slots__ = ("_call", "_context", "_inner")

    def __init__(self, call: ServedCall, context: Any, inner: Iterator[Any]) -> None:
        self._call = call
        self._context = context
        self._inner = inner

    def __iter__(self) -> Responses:
        return self

    def __next__(self) -> Any:
        call = self._call
        call.enter()
        try:
            return next(self._inner)
        except StopIteration:
            _returned(call, self._context)
            call.exit()
            raise
        except BaseException as error:
            _failed(call, self._context, error)
            call.exit()
            raise

    def __del__(self) -> None:
        # grpcio drops the iterator of a call whose caller has left.
        call = self._call
        if not call.has_ended:
            call.inbound.leave()
            call.intake.ended(call, "cancelled", "CANCELLED", None, traced=False)


def _refusing(call: ServedCall, context: Any) -> Iterator[Any]:
    yield context.abort(*call.intake.refusal(call, context))


def _begin(intake: Intake, method: str, context: Any) -> ServedCall | None:
    """Take the call in, and hear when its caller leaves; None: it is not ours."""
    try:
        # The context of a synchronous handler on an asyncio server cannot tell.
        is_active = getattr(context, "is_active", None)
        is_gone = is_active is not None and not is_active()
    except Exception as error:  # noqa: BLE001 - it never fails a call
        intake.fault("arrival", error)
        is_gone = False
    call = intake.arrived(method, context, is_gone=is_gone)
    if call is not None and call.drop is None:
        try:
            context.add_callback(call.inbound.leave)
            if call.acts and not hasattr(context, "trailing_metadata"):
                # Of an asyncio server: what is there cannot be read at the end.
                context.set_trailing_metadata(call.ids)
        except Exception as error:  # noqa: BLE001 - it never fails a call
            intake.fault("callback", error)
    return call


def _has_left(call: ServedCall, context: Any) -> bool:
    """Has the caller left? Asked once more: grpcio's callbacks may come later."""
    is_active = getattr(context, "is_active", None)
    if is_active is not None and not is_active():
        call.inbound.leave()
    return call.inbound.has_left


def _returned(call: ServedCall, context: Any) -> None:
    intake = call.intake
    try:
        late = _has_left(call, context)
        code = code_of(context) or "OK"
        intake.tell_end(call, context, None)
    except Exception as error:  # noqa: BLE001 - it never fails a call
        intake.fault("end", error)
        late, code = False, "OK"
    reason: ServedReason = "late" if late else "ok" if code == "OK" else "failed"
    intake.ended(call, reason, code, None, traced=False)


def _failed(call: ServedCall, context: Any, error: BaseException) -> None:
    """The handler raised *error*; a status that stands for it is raised from here."""
    intake = call.intake
    late = status = None
    try:
        late = _has_left(call, context)
        status = intake.mapped(call, error, context)
        intake.tell_end(call, context, error)
    except Exception as fault:  # noqa: BLE001 - it never fails a call
        intake.fault("end", fault)
    code = status[0].name if status else code_of(context) or "UNKNOWN"
    reason: ServedReason = "late" if late else "failed"
    intake.ended(call, reason, code, error, traced=status is not None)
    if status is not None:
        context.abort(*status)
