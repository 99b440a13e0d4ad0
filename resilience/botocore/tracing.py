"""Spans of AWS calls: one for each attempt, under the call's.

The call's span is that of OpenTelemetry's botocore instrumentation where one is around,
else ours. An attempt is sent in the context of its own span, so that the header which
AWS reads (`X-Amzn-Trace-Id`) names it; spans end with the call's records. Nothing here
ever fails a call.
"""

import sys
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from resilience.core.call import Call
from resilience.core.target import Target
from resilience.engine import PolicyEngine
from resilience.telemetry import names, outer
from resilience.telemetry.traces import TraceSink

from .extract import ids_of


if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from resilience.telemetry.spans import CallSpans

Fields = dict[str, str | int | float | bool]
HEADER = "X-Amzn-Trace-Id"
_IDS = {
    "request_id": names.AWS_REQUEST_ID,
    "host_id": names.AWS_EXTENDED_REQUEST_ID,
}


def tracing_of(
    engine: PolicyEngine, target: Target, service_id: str
) -> "Tracing | None":
    """Who makes spans of *target*'s calls; None: nobody wants any.

    OpenTelemetry's instrumentation is joined without being asked, if it is there before
    the operation is first called.
    """
    sink = engine.fanout.tracer
    is_wanted = sink is not None and sink.tracer is not None
    if not is_wanted and outer.AWS_SCOPE not in sys.modules:
        return None
    if sink is None:
        engine.add_sink(TraceSink())
    return Tracing(engine, target, service_id)


class Tracing:
    """Makes spans of one operation's calls. Safe to share between threads."""

    __slots__ = ("attributes", "engine", "target")

    def __init__(self, engine: PolicyEngine, target: Target, service_id: str) -> None:
        self.engine = engine
        self.target = target
        self.attributes: Fields = {
            names.RPC_SYSTEM: "aws-api",
            names.RPC_SERVICE: service_id,
            names.RPC_METHOD: target.method,
        }
        """Of every attempt's span, as the instrumentation names things."""

    def begin(self, call: Call) -> "CallSpans | None":
        """The spans of *call*, whose first attempt is sent now; None: it has none."""
        from opentelemetry.context import get_current
        from opentelemetry.trace import get_current_span

        sink, current = self.engine.fanout.tracer, get_current_span()
        stands = outer.take_aws(current, self.target.method)
        context = get_current()
        if sink is None or outer.is_suppressed(context):
            return None
        tracer = sink.tracer
        if tracer is None and not stands:
            return None
        return sink.begin(
            call,
            self.target,
            tracer or _theirs(),
            context,
            outer=current if stands else None,
            waited_s=self.engine.now() - call.arrived_at,
        )


class Trace:
    """The spans of one call under way. Owned by its thread or task."""

    __slots__ = (
        "_call",
        "_context",
        "_is_begun",
        "_sent",
        "_spans",
        "_token",
        "_tracing",
    )

    def __init__(self, tracing: Tracing, call: Call) -> None:
        self._tracing = tracing
        self._call = call
        self._is_begun = False
        self._sent = 0
        self._spans: CallSpans | None = None
        self._context: Context | None = None
        self._token: Any = None

    def sends(self, headers: MutableMapping[str, Any]) -> None:
        """A request goes out next, with *headers*."""
        try:
            if self._call.ended is None:  # else it is answered here, or not ours
                self._begin(headers)
        except Exception as error:  # noqa: BLE001 - telemetry never fails a call
            self._failed(error)

    def _begin(self, headers: MutableMapping[str, Any]) -> None:
        self._leave()
        tracing = self._tracing
        if not self._is_begun:
            self._is_begun = True
            self._spans = tracing.begin(self._call)
        spans, sink = self._spans, tracing.engine.fanout.tracer
        if spans is None or sink is None:
            return
        sink.claim(spans, self._call)
        span, number = spans.attempt, len(self._call.history) + 1
        if span is None:  # else it was redirected, within one attempt
            span = spans.start_attempt(number, more=tracing.attributes)
            spans.span.set_attribute(names.ATTEMPTS_MADE, number)
        self._sent += 1
        if self._sent > 1:
            span.set_attribute(names.RESEND_COUNT, self._sent - 1)
        self._enter(span, spans)
        if spans.is_ours and HEADER not in headers:
            headers[HEADER] = _told(span)

    def answered(self, response: tuple[Any, Mapping[str, Any]] | None) -> None:
        """The request has its *response*, or ended in an error (None)."""
        try:
            self._leave()
            if self._spans is not None:
                self._spans.answered(_found(response))
        except Exception as error:  # noqa: BLE001 - telemetry never fails a call
            self._failed(error)

    def over(self) -> None:
        """The call is over, whatever happened."""
        if self._token is not None:
            try:
                self._leave()
            except Exception as error:  # noqa: BLE001 - telemetry never fails a call
                self._failed(error)

    def _enter(self, span: "Span", spans: "CallSpans") -> None:
        from opentelemetry.context import attach
        from opentelemetry.trace import set_span_in_context

        self._context = set_span_in_context(span, spans.context)
        self._token = attach(self._context)

    def _leave(self) -> None:
        """Back to the context around the attempt, unless somebody left it before."""
        token, self._token = self._token, None
        if token is None:
            return
        from opentelemetry.context import detach, get_current

        # In another thread, or when what is around the call has ended before us, it is
        # not ours that is current.
        if get_current() is self._context:
            detach(token)

    def _failed(self, error: Exception) -> None:
        engine = self._tracing.engine
        engine.fanout.failed(self, error, engine.now())


def _theirs() -> "Tracer":
    """A tracer of the provider that the instrumentation was given, or the global one.

    It has no public way to tell; not finding it costs spans, never a call.
    """
    from opentelemetry.trace import get_tracer

    module, provider = sys.modules.get(outer.AWS_SCOPE), None
    for name in ("BotocoreInstrumentor", "AiobotocoreInstrumentor"):
        kind = getattr(module, name, None)
        one = None if kind is None else kind()  # there is one of each
        if getattr(one, "is_instrumented_by_opentelemetry", False):
            # One that has stopped still knows whom it told before.
            registry = getattr(one, "extension_registry", None)  # newer ones
            provider = provider or getattr(registry, "_tracer_provider", None)
            provider = provider or getattr(one, "tracer_provider", None)
    return get_tracer(names.METER, tracer_provider=provider)


def _found(response: tuple[Any, Mapping[str, Any]] | None) -> Fields:
    """The attributes that a *response* gives its attempt's span."""
    if response is None:
        return {}
    http, parsed = response
    found: Fields = {names.HTTP_STATUS: http.status_code}
    for name, value in ids_of(parsed.get("ResponseMetadata") or {}):
        found[_IDS[name]] = value
    return found


def _told(span: "Span") -> str:
    """What AWS reads of *span*, in X-Ray's form."""
    context = span.get_span_context()
    trace = f"{context.trace_id:032x}"
    return (
        f"Root=1-{trace[:8]}-{trace[8:]};Parent={context.span_id:016x};"
        f"Sampled={int(context.trace_flags.sampled)}"
    )
