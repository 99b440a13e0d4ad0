"""Where a drill sits in a blocking channel: a layer under the engine, one over it.

The lower one injects faults between our calls and the native ones; the upper one marks
each call, so that its attempts and executions can be counted. Both are made only while
a drill is armed; without one a channel is what it always was.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import grpc

from resilience.core.target import Target
from resilience.drilling import marks
from resilience.drilling.seam import answered

from .around import AroundChannel
from .connectivity import sync_witness
from .drilled_calls import DrilledFuture, DrilledStream, block
from .idempotency import declared
from .route import native_timeout, target_of


if TYPE_CHECKING:
    from collections.abc import Callable

    from resilience.drilling.seam import Seam
    from resilience.engine import PolicyEngine

_STATES = ("IDLE", "CONNECTING", "READY", "TRANSIENT_FAILURE", "SHUTDOWN")


class Layer(AroundChannel):
    """A layer of a drill. Safe to share between threads."""

    def __init__(self, channel: grpc.Channel, seam: Seam, target: str) -> None:
        super().__init__(channel)
        self._seam = seam
        self._target = target

    def unary_unary(self, method: str, *args: Any, **others: Any) -> Any:
        """The multicallable of a unary-unary *method*."""
        return self._unary(method, self._channel.unary_unary(method, *args, **others))

    def stream_unary(self, method: str, *args: Any, **others: Any) -> Any:
        """The multicallable of a stream-unary *method*."""
        return self._unary(method, self._channel.stream_unary(method, *args, **others))

    def unary_stream(self, method: str, *args: Any, **others: Any) -> Any:
        """The multicallable of a unary-stream *method*."""
        inner = self._channel.unary_stream(method, *args, **others)
        return self._stream(method, inner)

    def stream_stream(self, method: str, *args: Any, **others: Any) -> Any:
        """The multicallable of a stream-stream *method*."""
        inner = self._channel.stream_stream(method, *args, **others)
        return self._stream(method, inner)

    def _unary(self, method: str, inner: Any) -> Any:
        raise NotImplementedError

    def _stream(self, method: str, inner: Any) -> Any:
        raise NotImplementedError


class FaultyChannel(Layer):
    """The lower layer: attempts meet faults here."""

    def check_connectivity_state(self, _try_to_connect: bool) -> int:
        """The state of the connection, in grpcio's numbers: down while it is refused.

        Raises:
            AttributeError: the inner channel does not tell.
        """
        if self._seam.is_down("grpc", self._target):
            return _STATES.index("TRANSIENT_FAILURE")
        return _STATES.index(sync_witness(self._channel)())

    def _unary(self, method: str, inner: Any) -> Any:
        return FaultyUnary(inner, self._seam, target_of(self._target, method))

    def _stream(self, method: str, inner: Any) -> Any:
        return FaultyStream(inner, self._seam, target_of(self._target, method))


class _Faulty:
    """One method, whose attempts meet faults. Safe to share between threads."""

    def __init__(self, inner: Any, seam: Seam, target: Target) -> None:
        self._inner = inner
        self._seam = seam
        self._target = target


class FaultyUnary(_Faulty):
    """One method with one answer."""

    def __call__(self, request: Any, timeout: Any = None, **others: Any) -> Any:
        """Make one blocking attempt."""
        return self._block(self._inner, request, timeout, others)

    def with_call(self, request: Any, timeout: Any = None, **others: Any) -> Any:
        """Make one blocking attempt; returns the response and the call."""
        return self._block(self._inner.with_call, request, timeout, others)

    def future(self, request: Any, timeout: Any = None, **others: Any) -> Any:
        """Start one attempt."""
        target = self._target
        fault = self._seam.pick(target)
        start = _starting(self._inner.future, request, others)
        if fault is None:
            native = start(timeout)
            native.add_done_callback(counting(target))
            return native
        return DrilledFuture(self._seam, target, fault, native_timeout(timeout), start)

    def _block(self, entry: Any, request: Any, timeout: Any, others: Any) -> Any:
        target = self._target
        fault = self._seam.pick(target)
        if fault is None:
            result = entry(request, timeout=timeout, **others)
            answered(target)
            return result
        send = _starting(entry, request, others)
        return block(self._seam, target, fault, native_timeout(timeout), send)


class FaultyStream(_Faulty):
    """One method with a streamed answer."""

    def __call__(self, request: Any, timeout: Any = None, **others: Any) -> Any:
        """Start one attempt."""
        target = self._target
        fault = self._seam.pick(target)
        start = _starting(self._inner, request, others)
        if fault is None:
            native = start(timeout)
            native.add_done_callback(counting(target))
            return native
        return DrilledStream(self._seam, target, fault, native_timeout(timeout), start)


def _starting(entry: Any, request: Any, others: Any) -> Callable[[Any], Any]:
    """*entry*, which then needs a timeout only."""
    return lambda timeout: entry(request, timeout=timeout, **others)


def counting(target: Target) -> Callable[[Any], None]:
    """A done callback that counts an execution, for the call that is under way here."""
    mark = marks.current.get()

    def count(native: Any) -> None:
        is_well = native.code() is grpc.StatusCode.OK
        if is_well and mark is not None and mark.target == target:
            mark.answered += 1

    return count


class MarkedChannel(Layer):
    """The upper layer: calls are marked here."""

    def __init__(
        self, channel: grpc.Channel, seam: Seam, target: str, engine: PolicyEngine
    ) -> None:
        super().__init__(channel, seam, target)
        self._marking = Marking(seam, engine)

    def _unary(self, method: str, inner: Any) -> Any:
        return MarkedUnary(inner, self._marking, target_of(self._target, method))

    def _stream(self, method: str, inner: Any) -> Any:
        return MarkedStream(inner, self._marking, target_of(self._target, method))


class Marking:
    """How calls are marked. Safe to share between threads."""

    def __init__(self, seam: Seam, engine: PolicyEngine) -> None:
        self._seam = seam
        self._engine = engine
        seam.attach(engine)

    def mark(self, target: Target, timeout: Any) -> Any:
        """A mark for a call; None: it is part of a call that has one."""
        said = self._engine.bind(target).policy.idempotency
        known = declared(target.service, target.method) if said == "auto" else said
        limit = timeout if isinstance(timeout, (int, float)) else None
        return self._seam.mark(target, known, native_timeout(limit))

    def block(self, target: Target, timeout: Any, make: Callable[[], Any]) -> Any:
        """Make a blocking call and take note of its end."""
        mark = self.mark(target, timeout)
        if mark is None:
            return make()
        token = marks.current.set(mark)
        code = "OK"
        try:
            result = make()
            if isinstance(result, grpc.RpcError):
                code = name_of(result)
        except BaseException as error:
            code = name_of(error)
            raise
        else:
            return result
        finally:
            marks.current.reset(token)
            self._seam.ended(mark, code)

    def start(self, target: Target, timeout: Any, make: Callable[[], Any]) -> Any:
        """Start a call and take note of its end, when it comes."""
        mark = self.mark(target, timeout)
        if mark is None:
            return make()
        token = marks.current.set(mark)
        try:
            made = make()
        except Exception as error:
            self._seam.ended(mark, name_of(error))
            raise
        finally:
            marks.current.reset(token)
        self.note(made, mark)
        return made

    def note(self, made: Any, mark: Any) -> None:
        """Take note of a started call's end, when it comes."""
        made.add_done_callback(
            lambda over: self._seam.ended(mark, str(over.code().name))
        )


def name_of(error: BaseException) -> str:
    """What *error* is called in figures: its gRPC code, or its class."""
    try:
        return str(error.code().name)  # type: ignore[attr-defined]  # or it has none
    except Exception:  # noqa: BLE001 - anything else that came out of the call
        return type(error).__name__


class _Marked:
    """One method, whose calls are marked. Safe to share between threads."""

    def __init__(self, inner: Any, marking: Marking, target: Target) -> None:
        self._inner = inner
        self._marking = marking
        self._target = target

    def _bound(self, entry: Any, args: Any, others: Any) -> tuple[Any, Any]:
        timeout = others.get("timeout", args[1] if len(args) > 1 else None)
        return timeout, functools.partial(entry, *args, **others)


class MarkedUnary(_Marked, grpc.UnaryUnaryMultiCallable, grpc.StreamUnaryMultiCallable):
    """One method with one answer."""

    def __call__(self, *args: Any, **others: Any) -> Any:
        """Make the call."""
        timeout, make = self._bound(self._inner, args, others)
        return self._marking.block(self._target, timeout, make)

    def with_call(self, *args: Any, **others: Any) -> Any:
        """Make the call; returns the response and the call."""
        timeout, make = self._bound(self._inner.with_call, args, others)
        return self._marking.block(self._target, timeout, make)

    def future(self, *args: Any, **others: Any) -> Any:
        """Start the call."""
        timeout, make = self._bound(self._inner.future, args, others)
        return self._marking.start(self._target, timeout, make)


class MarkedStream(
    _Marked, grpc.UnaryStreamMultiCallable, grpc.StreamStreamMultiCallable
):
    """One method with a streamed answer."""

    def __call__(self, *args: Any, **others: Any) -> Any:
        """Start the call."""
        timeout, make = self._bound(self._inner, args, others)
        return self._marking.start(self._target, timeout, make)
