"""A drill behind grpcio's own blocking interceptor hook.

The continuation that the engine is given is one that meets faults; what the engine
makes of it is marked. Made only while a drill is armed.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import grpc

from resilience.drilling.seam import answered

from .drilled import Marking, counting
from .drilled_calls import DrilledFuture, DrilledStream, block
from .drilled_status import Injected
from .interceptor import ClientInterceptor, entry_point, redirect
from .route import native_timeout, target_of


if TYPE_CHECKING:
    from collections.abc import Callable

    from resilience.core.target import Target
    from resilience.drilling.seam import Seam
    from resilience.engine import PolicyEngine


class DrilledInterceptor(ClientInterceptor):
    """The interceptor of a process with a drill. Safe to share between threads."""

    def __init__(self, engine: PolicyEngine, target: str, seam: Seam) -> None:
        super().__init__(engine, target)
        self._seam = seam
        self._marking = Marking(seam, engine)

    def _unary_answer(
        self, continuation: Any, details: Any, request: Any, kind: Any
    ) -> Any:
        target = target_of(self._target, details.method)
        entry = entry_point(continuation)
        faulty = self._faulty_future if entry == "future" else self._faulty_blocking
        make = functools.partial(
            super()._unary_answer,
            _named(continuation, faulty(continuation, target)),
            details,
            request,
            kind,
        )
        timeout = getattr(details, "timeout", None)
        mark = self._marking.start if entry == "future" else self._marking.block
        return mark(target, timeout, make)

    def _stream_answer(
        self, continuation: Any, details: Any, request: Any, kind: Any
    ) -> Any:
        target = target_of(self._target, details.method)
        faulty = self._faulty_future(continuation, target, DrilledStream)
        make = functools.partial(
            super()._stream_answer,
            _named(continuation, faulty),
            details,
            request,
            kind,
        )
        return self._marking.start(target, getattr(details, "timeout", None), make)

    def _faulty_blocking(
        self, continuation: Any, target: Target
    ) -> Callable[[Any, Any], Any]:
        def go(details: Any, request: Any) -> Any:
            fault = self._seam.pick(target)
            if fault is None:
                result = continuation(details, request)
                if not isinstance(result, grpc.RpcError):
                    answered(target)
                return result
            timeout = native_timeout(getattr(details, "timeout", None))
            send = _sending(continuation, details, request)
            try:
                return block(self._seam, target, fault, timeout, send)
            except Injected as error:
                return error  # as grpcio does

        return go

    def _faulty_future(
        self, continuation: Any, target: Target, kind: Any = DrilledFuture
    ) -> Callable[[Any, Any], Any]:
        def go(details: Any, request: Any) -> Any:
            fault = self._seam.pick(target)
            if fault is None:
                native = continuation(details, request)
                native.add_done_callback(counting(target))
                return native
            timeout = native_timeout(getattr(details, "timeout", None))
            send = _sending(continuation, details, request)
            return kind(self._seam, target, fault, timeout, send)

        return go


def _sending(
    continuation: Any, details: Any, request: Any
) -> Callable[[float | None], Any]:
    """*continuation*, which then needs a timeout only."""
    enter = redirect(continuation, details)
    metadata = getattr(details, "metadata", None)
    return lambda timeout: enter(request, timeout=timeout, metadata=metadata)


def _named(native: Any, made: Any) -> Any:
    """*made* under the name of *native*, by which its entry point is known."""
    made.__qualname__ = getattr(native, "__qualname__", "")
    return made
