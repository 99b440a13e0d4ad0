"""The trace sink by itself: what it joins, what it lets be, what it costs nobody."""

import subprocess
import sys

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from resilience import PolicyEngine
from resilience.core.event import ARRIVED
from resilience.core.outcome import Outcome
from resilience.core.target import Target
from resilience.telemetry import names
from resilience.telemetry.traces import TraceSink


CART = Target(protocol="grpc", name="cart", service="shop.Cart", method="GetCart")


def traced():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return TraceSink(provider), exporter


def begun(sink):
    """A call that has arrived, and its spans."""
    engine = PolicyEngine(sinks=[sink])
    call = engine.new_call(engine.bind(CART))
    call.advance(ARRIVED, engine.now())
    spans = sink.begin(call, CART, sink.tracer, Context())
    return call, spans


def test_a_repeat_that_was_due_and_not_made(records):
    """What stopped a call after a wait stands on its span, beside what was planned."""
    sink, exporter = traced()
    call, spans = begun(sink)
    spans.start_attempt(1, previous=0, is_free=False)
    sink.emit(records.attempt(call_id=call.id))
    sink.emit(records.call(records.refused, call_id=call.id, reason="breaker-open"))
    _, sent = exporter.get_finished_spans()

    assert [(names.EVENT_RETRY, "retry"), (names.EVENT_STOP, "breaker-open")] == [
        (event.name, event.attributes[names.REASON]) for event in sent.events
    ]


def test_ambiguous_calls_are_marked(records):
    """A failed call that the server may have executed says so."""
    sink, exporter = traced()
    call, _spans = begun(sink)
    sink.emit(records.call(records.refused, call_id=call.id, ambiguous=True))
    [sent] = exporter.get_finished_spans()

    assert sent.attributes[names.IS_AMBIGUOUS] is True


def test_functions_have_no_spans(records):
    """Refused calls of plain functions make no span."""
    sink, exporter = traced()
    target = Target(protocol="app", name="rates", service="rates", method="quote")
    refused = Outcome("UNAVAILABLE", "local", "no")
    sink.emit(records.call(refused, target=target, attempts=0, reason="breaker-open"))

    assert exporter.get_finished_spans() == ()


def test_what_was_decided_for_another_call(records):
    """A breaker's change before the call arrived is not told of it."""
    sink, exporter = traced()
    sink.emit(records.breaker(now=-1.0))
    call, spans = begun(sink)
    sink.claim(spans, call)
    sink.emit(records.call(call_id=call.id))
    [sent] = exporter.get_finished_spans()

    assert sent.events == ()


def test_decisions_for_a_call_that_is_not_traced(records):
    """What another call on the same thread recorded is never told of this one."""
    sink, exporter = traced()
    call, spans = begun(sink)
    sink.emit(records.attempt(call_id="other", now=call.started_at))
    sink.claim(spans, call)
    sink.emit(records.call(call_id=call.id))
    [sent] = exporter.get_finished_spans()

    assert sent.events == ()


def test_after_a_fork(records):
    """The child of a fork ends no span of its parent's."""
    sink, exporter = traced()
    call, _spans = begun(sink)
    sink.renew()
    sink.emit(records.call(call_id=call.id))

    assert exporter.get_finished_spans() == ()


def test_without_a_provider(records):
    """No provider is no span, whatever the global one is."""
    sink = TraceSink()
    sink.emit(records.call(records.refused, attempts=0, reason="breaker-open"))

    assert sink.tracer is None


def test_global_provider_when_asked_for():
    """`from_global` traces with OpenTelemetry's global provider."""
    assert TraceSink.from_global().tracer is not None


_UNTRACED = """
import sys, grpc, resilience, resilience.grpc, resilience.grpc.aio
from resilience.grpc.connectivity import no_witness
from resilience.grpc.route import Route
from resilience.telemetry.traces import TraceSink
TraceSink()
route = Route(resilience.PolicyEngine(), "cart", "/shop.Cart/Get", no_witness)
sys.exit(route.tracing is not None or "opentelemetry" in sys.modules)
"""


def test_nobody_pays_who_does_not_trace():
    """Without sink and instrumentation nothing of OpenTelemetry is even imported."""
    done = subprocess.run([sys.executable, "-c", _UNTRACED], check=False)

    assert done.returncode == 0
