"""Traces over OpenTelemetry: records in, spans ended and events added.

Adapters begin spans here, when a call's first attempt starts; records end them. Which
call has spans is remembered weakly: spans belong to whoever sends the call.
"""

import threading
import weakref
from typing import TYPE_CHECKING

from resilience.core.call import Call
from resilience.core.record import (
    AttemptEnded,
    BreakerChanged,
    CallEnded,
    Decided,
    Record,
)
from resilience.core.target import Target

from . import names
from .outer import is_suppressed, take
from .spans import CallSpans


if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer, TracerProvider

MAX_TRACERS = 1000


class TraceSink:
    """Makes spans of gRPC and AWS calls, by gRFC A72. Safe to share between threads.

    One span for each call, a child of it for each attempt; what was decided stands on
    the call's span as events, and the server gets the attempt's span as its parent.
    Where OpenTelemetry's own instrumentation of gRPC or botocore stands in the way of a
    call its spans are used in place of ours; an engine joins them by itself, without
    this sink.

    Without a provider there are no spans of ours; `from_global` asks for the global
    one. `opentelemetry` is imported only when there is something to trace.

    Args:
        tracer_provider: where spans are made; None: nowhere.
    """

    wants_successes = False
    """Calls that have spans leave their record in any case: others need not."""

    def __init__(self, tracer_provider: "TracerProvider | None" = None) -> None:
        self.tracer: Tracer | None = None
        """Makes our spans; None: only those of an instrumentation are joined."""
        if tracer_provider is not None:
            self.tracer = tracer_provider.get_tracer(names.METER)
        self.is_idle = False
        """Another sink of the engine makes the spans of calls from now on."""
        self._tracers: dict[Target, Tracer] = {}
        self._live: weakref.WeakValueDictionary[str, CallSpans]
        self.renew()

    @classmethod
    def from_global(cls) -> "TraceSink":
        """A sink that traces with OpenTelemetry's global provider."""
        from opentelemetry.trace import get_tracer_provider

        return cls(get_tracer_provider())

    def renew(self) -> None:
        """Forget calls under way, after a fork: they are the parent's."""
        self._live = weakref.WeakValueDictionary()
        self._early = threading.local()

    def begin(
        self,
        call: Call,
        target: Target,
        tracer: "Tracer",
        context: "Context",
        *,
        outer: "Span | None" = None,
        waited_s: float = 0.0,
    ) -> CallSpans:
        """Begin the spans of *call*, which end with its records.

        The caller keeps them as long as the call lasts. Other arguments as for
        `CallSpans`.
        """
        made = CallSpans(
            tracer, context, target, call.id, outer=outer, waited_s=waited_s
        )
        self._live[call.id] = made
        _ = call.written  # its end is recorded then
        if target not in self._tracers and len(self._tracers) < MAX_TRACERS:
            self._tracers[target] = tracer
        return made

    def claim(self, spans: CallSpans, call: Call) -> None:
        """An attempt of *call* starts: what was decided just before is its own.

        Drivers hand out a step's records before they carry it out, on one thread.
        """
        records: tuple[Record, ...] = getattr(self._early, "records", ())
        if records and records[-1].now == call.started_at:
            last = _of_call(records)
            if last is None or last.call_id == call.id:
                _tell(spans, records)
        self._early.records = ()

    # -- records -----------------------------------------------------------------

    def emit(self, record: Record) -> None:
        """Take one record."""
        self.emit_step((record,))

    def emit_step(self, records: tuple[Record, ...]) -> None:
        """Take what was recorded at one moment of one call."""
        last = _of_call(records)
        spans = None if last is None else self._live.get(last.call_id)
        if spans is not None:
            _tell(spans, records)
            if isinstance(last, CallEnded):
                self._live.pop(last.call_id, None)
        elif isinstance(last, CallEnded):
            self._unsent(last, records)
        else:
            self._early.records = records

    def _unsent(self, ended: CallEnded, records: tuple[Record, ...]) -> None:
        """A call that was refused: no attempt of it has begun its span."""
        if self.is_idle or ended.target.protocol == "app":
            return
        if ended.outcome.kind == "ok" or ended.attempts or ended.reason == "cancelled":
            return
        from opentelemetry.context import get_current
        from opentelemetry.trace import get_current_span, get_tracer

        context, target = get_current(), ended.target
        current = get_current_span(context)
        outer = None
        if target.protocol == "grpc" and take(current, target.full_method):
            outer = current  # botocore's instrumentation stands inside, never here
        tracer = self.tracer or self._tracers.get(target)
        if tracer is None and outer is not None:
            tracer = get_tracer(names.METER)
        if tracer is not None and not is_suppressed(context):
            waited_s = ended.elapsed_s
            made = CallSpans(
                tracer, context, target, ended.call_id, outer=outer, waited_s=waited_s
            )
            _tell(made, records)


def _of_call(records: tuple[Record, ...]) -> AttemptEnded | CallEnded | Decided | None:
    """The last of *records* that names a call."""
    for record in reversed(records):
        if isinstance(record, AttemptEnded | CallEnded | Decided):
            return record
    return None


def _tell(spans: CallSpans, records: tuple[Record, ...]) -> None:
    for record in records:
        match record:
            case AttemptEnded():
                spans.attempt_ended(record)
            case CallEnded():
                spans.call_ended(record)
            case Decided():
                spans.decided(record)
            case BreakerChanged():
                spans.breaker_changed(record)
            case _:
                pass
