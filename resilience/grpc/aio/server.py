"""The server interceptor for grpcio's asyncio servers.

As its blocking twin, but for how handlers are run: coroutine functions, asynchronous
generators, and synchronous functions, which grpcio gives to its thread pool.
"""

from __future__ import annotations

import asyncio
import inspect
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from resilience.grpc import server as blocking
from resilience.grpc.server_calls import Counts, Intake, ServedCall, code_of

from .handler_context import HandlerContext


if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from resilience.core.served import ServedReason
    from resilience.engine import PolicyEngine
    from resilience.grpc.errors import ErrorMap

    Behavior = Callable[..., Any]


def server_interceptor(
    engine: PolicyEngine | None = None,
    *,
    trusted: Callable[[grpc.aio.ServicerContext], bool] | None = None,
    errors: ErrorMap | None = None,
    identity: str | None = None,
) -> ServerInterceptor:
    """Make the interceptor for `grpc.aio.server(interceptors=[...])`; put it first.

    As `resilience.grpc.server_interceptor`, with these differences, which are grpcio's:
    synchronous handlers do not hear that their caller has left, and what a map makes of
    their exceptions has no rich details. Handlers get a context of ours around
    grpcio's, the same in all but what an abort adds.

    Args:
        engine: gives the mode and takes the records. None: always on.
        trusted: may this peer's attempt numbers, criticality, level and probe's mark be
            believed? It must not block. None: nobody is trusted.
        errors: turns handlers' exceptions into statuses. None: grpcio's `UNKNOWN`.
        identity: who this server says it is. None: the host's name; empty: nothing.

    Returns:
        An interceptor, safe to share between servers.
    """
    return ServerInterceptor(Intake(engine, trusted, errors, identity))


class ServerInterceptor(grpc.aio.ServerInterceptor):
    """What `server_interceptor` returns. Safe to share between tasks and loops."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def counts(self) -> Counts:
        """What was counted so far."""
        return self._intake.counts()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Find the handler and put ourselves around it."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        try:
            method = handler_call_details.method
            return blocking.around(handler, self._wrapped(handler, method))
        except Exception as error:  # noqa: BLE001 - it never fails a call
            self._intake.fault("handler", error)
            return handler

    def _wrapped(self, handler: Any, method: str) -> Behavior:
        """As grpcio tells handlers apart, so that each is run as it would be bare."""
        behavior, intake = blocking.behavior_of(handler), self._intake
        if inspect.iscoroutinefunction(behavior):
            return _coroutine(behavior, method, intake)
        if inspect.isasyncgenfunction(behavior):
            return _generator(behavior, method, intake)
        if handler.response_streaming:
            return blocking.streaming(behavior, method, intake, drops_late=True)
        return blocking.unary(behavior, method, intake)


def _coroutine(behavior: Behavior, method: str, intake: Intake) -> Behavior:
    """*behavior* answers with what it returns, or writes its responses itself."""

    async def serve(request: Any, context: Any) -> Any:
        call = _begin(intake, method, context)
        if call is None:
            return await behavior(request, context)
        if call.drop:
            return await context.abort(*intake.refusal(call, context))
        call.enter()
        try:
            response = await behavior(request, _for_handler(call, context))
        except BaseException as error:
            await _failed(call, context, error)
            raise
        else:
            _returned(call, context)
            return response
        finally:
            call.exit()

    return update_wrapper(serve, behavior)


def _generator(behavior: Behavior, method: str, intake: Intake) -> Behavior:
    """*behavior* yields its responses; all steps run in the task that serves."""

    async def serve(request: Any, context: Any) -> AsyncIterator[Any]:
        call = _begin(intake, method, context)
        if call is not None and call.drop:
            await context.abort(*intake.refusal(call, context))
        if call is None:
            responses = behavior(request, context)
        else:
            responses = behavior(request, _for_handler(call, context))
            responses = _serving(call, context, responses)
        try:
            async for response in responses:
                yield response
        finally:
            await responses.aclose()

    return update_wrapper(serve, behavior)


async def _serving(
    call: ServedCall, context: Any, responses: AsyncGenerator[Any]
) -> AsyncGenerator[Any]:
    call.enter()
    try:
        async for response in responses:
            yield response
    except GeneratorExit:
        # grpcio drops the generator of a call whose caller has left.
        _stopped(call)
        await responses.aclose()
        raise
    except BaseException as error:
        await _failed(call, context, error)
        raise
    else:
        _returned(call, context)
    finally:
        call.exit()


def _begin(intake: Intake, method: str, context: Any) -> ServedCall | None:
    """Take the call in, and hear when it ends; None: it is not ours."""
    task = asyncio.current_task()
    # A cancellation that was not delivered yet: the caller has left already.
    is_gone = task is not None and task.cancelling() > 0
    call = intake.arrived(method, context, is_gone=is_gone)
    if call is not None and call.drop is None and call.acts:
        # Beforehand: an abort sends at once what is there.
        intake.tell(context, call.ids)
    return call


def _for_handler(call: ServedCall, context: Any) -> Any:
    return HandlerContext(call, context) if call.acts else context


def _has_left(call: ServedCall) -> bool:
    """Ask the serving task, which grpcio cancels when nobody waits any more."""
    task = asyncio.current_task()
    if task is not None and task.cancelling() > 0:
        call.inbound.leave()
    return call.inbound.has_left


def _stopped(call: ServedCall) -> None:
    call.inbound.leave()
    call.intake.ended(call, "cancelled", "CANCELLED", None, traced=False)


def _returned(call: ServedCall, context: Any) -> None:
    intake = call.intake
    try:
        late = _has_left(call)
        code = code_of(context) or "OK"
        intake.tell_end(call, context, None)
    except Exception as error:  # noqa: BLE001 - it never fails a call
        intake.fault("end", error)
        late, code = False, "OK"
    reason: ServedReason = "late" if late else "ok" if code == "OK" else "failed"
    intake.ended(call, reason, code, None, traced=False)


async def _failed(call: ServedCall, context: Any, error: BaseException) -> None:
    """The handler raised *error*; a status that stands for it is raised from here."""
    intake = call.intake
    if isinstance(error, asyncio.CancelledError):
        _stopped(call)
        return
    late = status = None
    try:
        late = _has_left(call)
        status = intake.mapped(call, error, context)
        intake.tell_end(call, context, error)
    except Exception as fault:  # noqa: BLE001 - it never fails a call
        intake.fault("end", fault)
    code = status[0].name if status else code_of(context) or "UNKNOWN"
    reason: ServedReason = "late" if late else "failed"
    intake.ended(call, reason, code, error, traced=status is not None)
    if status is not None:
        await context.abort(*status)
