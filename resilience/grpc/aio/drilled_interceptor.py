"""A drill behind grpcio's own asyncio hook; made only while one is armed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resilience.drilling import marks
from resilience.grpc.drilled import name_of
from resilience.grpc.route import native_timeout, target_of

from . import interceptor
from .drilled import AioMarking, count
from .drilled_calls import (
    DrilledStreamStream,
    DrilledStreamUnary,
    DrilledUnaryStream,
    DrilledUnaryUnary,
)


if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc.aio

    from resilience.core.target import Target
    from resilience.drilling.seam import Seam
    from resilience.engine import PolicyEngine


def drilled_interceptors(
    engine: PolicyEngine, target: str, seam: Seam
) -> list[grpc.aio.ClientInterceptor]:
    """What `client_interceptors` returns in a process with a drill."""
    return [
        _UnaryUnary(engine, target, seam),
        _UnaryStream(engine, target, seam),
        _StreamUnary(engine, target, seam),
        _StreamStream(engine, target, seam),
    ]


class _Drilled(interceptor._Intercepting):
    """What the four share. Safe to use on several loops, one channel each."""

    kind: Any

    def __init__(self, engine: PolicyEngine, target: str, seam: Seam) -> None:
        super().__init__(engine, target)
        self._seam = seam
        self._marking = AioMarking(seam, engine)

    async def _marked(
        self, hook: Any, continuation: Any, details: Any, request: Any
    ) -> Any:
        target = target_of(self._target, details.method)
        faulty = self._faulty(continuation, target)
        mark = self._marking.mark(target, details.timeout)
        if mark is None:
            return await hook(faulty, details, request)
        token = marks.current.set(mark)
        try:
            made = await hook(faulty, details, request)
        except BaseException as error:
            self._seam.ended(mark, name_of(error))
            raise
        finally:
            marks.current.reset(token)
        self._marking.note(made, mark)
        return made

    def _faulty(self, continuation: Any, target: Target) -> Callable[[Any, Any], Any]:
        async def go(details: Any, request: Any) -> Any:
            fault = self._seam.pick(target)
            if fault is None:
                native = await continuation(details, request)
                count(native, target)
                return native
            enter = interceptor._redirect(continuation, details)

            def start(timeout: float | None) -> Any:
                return enter(request, timeout=timeout, metadata=details.metadata)

            timeout = native_timeout(details.timeout)
            return self.kind(self._seam, target, fault, timeout, start)

        return go


class _UnaryUnary(_Drilled, interceptor._UnaryUnary):
    """Drills unary-unary calls."""

    kind = DrilledUnaryUnary

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        hook = super().intercept_unary_unary
        return await self._marked(hook, continuation, client_call_details, request)


class _UnaryStream(_Drilled, interceptor._UnaryStream):
    """Drills unary-stream calls."""

    kind = DrilledUnaryStream

    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        hook = super().intercept_unary_stream
        return await self._marked(hook, continuation, client_call_details, request)


class _StreamUnary(_Drilled, interceptor._StreamUnary):
    """Drills stream-unary calls."""

    kind = DrilledStreamUnary

    async def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        hook = super().intercept_stream_unary
        details = client_call_details
        return await self._marked(hook, continuation, details, request_iterator)


class _StreamStream(_Drilled, interceptor._StreamStream):
    """Drills stream-stream calls."""

    kind = DrilledStreamStream

    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        hook = super().intercept_stream_stream
        details = client_call_details
        return await self._marked(hook, continuation, details, request_iterator)
