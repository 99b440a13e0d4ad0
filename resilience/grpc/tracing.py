"""What sinks hear when an attempt starts: counts, spans, and the context it carries.

An attempt runs in the context of its span, and its metadata names that span. Where an
instrumentation stands inside, its span is the attempt's, a child of the call's; where
one stands outside, its span is the call's. Spans end with the call's records.
"""

from __future__ import annotations

from types import CoroutineType, FunctionType, GeneratorType
from typing import TYPE_CHECKING, Any

from resilience.telemetry import names, outer
from resilience.telemetry.traces import TraceSink

from . import instrumented


if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from resilience.core.call import Call
    from resilience.core.target import Target
    from resilience.engine import PolicyEngine
    from resilience.telemetry.spans import CallSpans

    from .sending import Sending

_UNKNOWN: Any = object()


def tracing_of(engine: PolicyEngine, target: Target) -> Tracing | None:
    """Who is told of the attempts of *target*; None: nobody wants to hear of them.

    OpenTelemetry's instrumentation is joined without being asked: its switches are what
    turned tracing on.
    """
    sink = engine.fanout.tracer
    traces = sink is not None and sink.tracer is not None
    if not traces and instrumented.is_loaded():
        traces = True
        if sink is None:
            engine.add_sink(TraceSink())
    if not traces and not engine.fanout.starts:
        return None
    return Tracing(engine, target, traces=traces)


class Tracing:
    """Tells of the attempts of one route. Safe to share between threads."""

    __slots__ = ("_current_span", "_engine", "_inside", "_path", "_target")

    def __init__(self, engine: PolicyEngine, target: Target, *, traces: bool) -> None:
        self._engine = engine
        self._target = target
        self._path = f"/{target.full_method.removeprefix('/')}"
        self._inside: Any = _UNKNOWN
        self._current_span: Callable[[], Span] | None = None
        """None: nothing is traced, attempts are counted only."""
        if traces:
            from opentelemetry.trace import get_current_span

            self._current_span = get_current_span

    def launch(
        self, sending: Sending, number: int, timeout: float | None, metadata: Any
    ) -> Any:
        """Start attempt *number* of *sending*, and tell of it."""
        fanout = self._engine.fanout
        leg = None
        try:
            for started in fanout.starts:
                started(self._target)
            sink, current_span = fanout.tracer, self._current_span
            if sink is not None and current_span is not None:
                if number == 1:
                    sending.spans = None
                    sending.spans = self._begin(sink, sending, current_span())
                leg = self._leg(sink, sending, number, metadata)
        except Exception as error:  # noqa: BLE001 - telemetry never fails a call
            fanout.failed(self, error, self._engine.now())
        request = sending.request(number)
        if leg is None:
            return sending.enter(request, timeout, metadata)
        return leg.run(sending, request, timeout)

    def _leg(
        self, sink: TraceSink, sending: Sending, number: int, metadata: Any
    ) -> Leg | None:
        spans: CallSpans | None = getattr(sending, "spans", None)
        if spans is None:
            return None
        sink.claim(spans, sending.call)
        leg = Leg(spans, number, metadata)
        if spans.makes_attempts:
            leg.begin(sending.call)
        return leg

    def _begin(
        self, sink: TraceSink, sending: Sending, current: Span
    ) -> CallSpans | None:
        inner = self._interceptor(sending)
        stands = outer.take(current, self._target.full_method)
        tracer: Tracer | None = sink.tracer
        if tracer is None and inner is not None:
            tracer = inner._tracer
        if tracer is None and not stands:
            return None
        from opentelemetry.context import get_current
        from opentelemetry.trace import get_tracer

        context = get_current()
        if outer.is_suppressed(context):
            return None
        call = sending.call
        made = sink.begin(
            call,
            self._target,
            tracer or get_tracer(names.METER),
            context,
            outer=current if stands else None,
            waited_s=self._engine.now() - call.arrived_at,
        )
        made.makes_attempts = inner is None
        return made

    def _interceptor(self, sending: Sending) -> Any:
        entry = sending.entry
        if type(entry) is FunctionType:  # a hook's own, made anew for each call
            return instrumented.inside(entry, self._path)
        if self._inside is _UNKNOWN:
            self._inside = instrumented.inside(entry, self._path)
        return self._inside


class Leg:
    """One attempt, its context and its metadata. Owned by one driver."""

    __slots__ = ("_number", "_spans", "context", "metadata")

    def __init__(self, spans: CallSpans, number: int, metadata: Any) -> None:
        self._spans = spans
        self._number = number
        self.context: Context = spans.context
        """What the attempt is made in."""
        self.metadata = metadata

    def begin(self, call: Call, name: str = "") -> None:
        """Begin a span of ours for the attempt; *name* as for `start_attempt`."""
        from opentelemetry.trace import set_span_in_context

        history = call.history
        free = sum(ended.reason == "unprocessed" for ended in history)
        span = self._spans.start_attempt(
            self._number,
            previous=self._number - 1 - free,
            is_free=bool(history) and history[-1].reason == "unprocessed",
            name=name,
        )
        self.context = set_span_in_context(span, self._spans.context)
        self.metadata = _injected(self.metadata, self.context)

    def run(self, sending: Sending, request: Any, timeout: float | None) -> Any:
        """Start the attempt in its context."""
        native = self._enter(sending, request, timeout)
        if type(native) is GeneratorType:
            # The instrumentation makes plain generators of blocking streams: without
            # code, callbacks or cancel. It stands aside, and its span is made here.
            native.close()
            if not self._spans.makes_attempts:
                self._begin_in_its_place(sending)
            self.context = outer.suppressed(self.context)
            native = self._enter(sending, request, timeout)
        if type(native) is CoroutineType:
            return _within(self.context, native)
        return native

    def _begin_in_its_place(self, sending: Sending) -> None:
        engine, target = sending.route.engine, sending.route.target
        try:
            name = f"/{target.full_method.removeprefix('/')}"
            self.begin(sending.call, name)
        except Exception as error:  # noqa: BLE001 - telemetry never fails a call
            engine.fanout.failed(self, error, engine.now())

    def _enter(self, sending: Sending, request: Any, timeout: float | None) -> Any:
        from opentelemetry.context import attach, detach

        token = attach(self.context)
        try:
            return sending.enter(request, timeout, self.metadata)
        finally:
            detach(token)


async def _within(context: Context, work: Coroutine[Any, Any, Any]) -> Any:
    """Await *work*, which begins only now, in the attempt's context."""
    from opentelemetry.context import attach, detach

    token = attach(context)
    try:
        return await work
    finally:
        detach(token)


def _injected(metadata: Any, context: Context) -> Any:
    """*metadata* with what tells the server of *context*, in place of older words."""
    from opentelemetry.propagate import inject

    carrier: dict[str, str] = {}
    inject(carrier, context)
    if not carrier:
        return metadata
    added = {name.lower(): value for name, value in carrier.items()}
    try:
        given = tuple(metadata or ())
    except TypeError:
        return metadata  # no metadata: gRPC's own complaint is the right one
    kept = tuple(
        pair
        for pair in given
        if not (isinstance(pair, tuple) and pair and pair[0] in added)
    )
    return kept + tuple(added.items())
