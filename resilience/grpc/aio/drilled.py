"""Where a drill sits in an asyncio channel: a layer under the engine, one over it.

As in a blocking channel: the lower one injects faults, the upper one marks calls. Both
are made only while a drill is armed.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from resilience.drilling import marks
from resilience.grpc.drilled import Marking
from resilience.grpc.route import native_timeout, target_of

from .around import AroundChannel
from .drilled_calls import (
    DrilledStreamStream,
    DrilledStreamUnary,
    DrilledUnaryStream,
    DrilledUnaryUnary,
)


if TYPE_CHECKING:
    from collections.abc import Callable

    from resilience.core.target import Target
    from resilience.drilling.seam import Seam
    from resilience.engine import PolicyEngine

_KINDS: dict[str, Any] = {
    "unary_unary": DrilledUnaryUnary,
    "unary_stream": DrilledUnaryStream,
    "stream_unary": DrilledStreamUnary,
    "stream_stream": DrilledStreamStream,
}


class Layer(AroundChannel):
    """A layer of a drill. Owned by one event loop."""

    def __init__(self, channel: Any, seam: Seam, target: str) -> None:
        super().__init__(channel)
        self._seam = seam
        self._target = target

    def unary_unary(self, method: str, *args: Any, **others: Any) -> Any:
        """The multicallable of a unary-unary *method*."""
        return self._around("unary_unary", method, args, others)

    def unary_stream(self, method: str, *args: Any, **others: Any) -> Any:
        """The multicallable of a unary-stream *method*."""
        return self._around("unary_stream", method, args, others)

    def stream_unary(self, method: str, *args: Any, **others: Any) -> Any:
        """The multicallable of a stream-unary *method*."""
        return self._around("stream_unary", method, args, others)

    def stream_stream(self, method: str, *args: Any, **others: Any) -> Any:
        """The multicallable of a stream-stream *method*."""
        return self._around("stream_stream", method, args, others)

    def _around(self, arity: str, method: str, args: Any, others: Any) -> Any:
        raise NotImplementedError


class FaultyChannel(Layer):
    """The lower layer: attempts meet faults here."""

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The inner channel's state; down while connections are refused."""
        if self._seam.is_down("grpc", self._target):
            return grpc.ChannelConnectivity.TRANSIENT_FAILURE
        return super().get_state(try_to_connect)

    def _around(self, arity: str, method: str, args: Any, others: Any) -> Any:
        inner = getattr(self._channel, arity)(method, *args, **others)
        target = target_of(self._target, method)
        return FaultyMethod(inner, self._seam, target, _KINDS[arity])


class FaultyMethod:
    """One method of any arity, whose attempts meet faults. Owned by one loop."""

    def __init__(self, inner: Any, seam: Seam, target: Target, kind: Any) -> None:
        self._inner = inner
        self._seam = seam
        self._target = target
        self._kind = kind

    def __call__(
        self,
        *args: Any,
        timeout: float | None = None,
        **others: Any,
    ) -> Any:
        """Start one attempt, and return its call object."""
        if len(args) > 1:
            args, timeout = args[:1], args[1]

        def start(left: float | None) -> Any:
            return self._inner(*args, timeout=left, **others)

        return attempt(self._seam, self._target, self._kind, timeout, start)


def attempt(
    seam: Seam,
    target: Target,
    kind: Any,
    timeout: float | None,
    start: Callable[[float | None], Any],
) -> Any:
    """Start one attempt: the native call, or one of *kind* that a fault hits."""
    fault = seam.pick(target)
    if fault is not None:
        return kind(seam, target, fault, native_timeout(timeout), start)
    native = start(timeout)
    count(native, target)
    return native


def count(native: Any, target: Target) -> None:
    """Count the execution of *native*, for the call that is under way here."""
    mark = marks.current.get()
    if mark is None or mark.target != target:
        return

    async def look(over: Any) -> None:
        if await over.code() is grpc.StatusCode.OK:
            mark.answered += 1

    native.add_done_callback(lambda over: at_once(look(over)))


def at_once(work: Any) -> None:
    """Run what need not wait: the status of a call that is over is there."""
    try:
        work.send(None)
    except StopIteration:
        return
    work.close()


class MarkedChannel(Layer):
    """The upper layer: calls are marked here."""

    def __init__(
        self, channel: Any, seam: Seam, target: str, engine: PolicyEngine
    ) -> None:
        super().__init__(channel, seam, target)
        self._marking = AioMarking(seam, engine)

    def _around(self, arity: str, method: str, args: Any, others: Any) -> Any:
        inner = getattr(self._channel, arity)(method, *args, **others)
        return MarkedMethod(inner, self._marking, target_of(self._target, method))


class MarkedMethod:
    """One method of any arity, whose calls are marked. Owned by one loop."""

    def __init__(self, inner: Any, marking: Marking, target: Target) -> None:
        self._inner = inner
        self._marking = marking
        self._target = target

    def __call__(self, *args: Any, **others: Any) -> Any:
        """Start the call, and return its object."""
        timeout = others.get("timeout", args[1] if len(args) > 1 else None)
        make = functools.partial(self._inner, *args, **others)
        return self._marking.start(self._target, timeout, make)


class AioMarking(Marking):
    """How calls are marked whose status is awaited. Owned by one loop."""

    def note(self, made: Any, mark: Any) -> None:
        """Take note of a started call's end, when it comes."""

        async def look(over: Any) -> None:
            code = await over.code()
            self._seam.ended(mark, str(code.name))

        made.add_done_callback(lambda over: at_once(look(over)))
