"""Traces of awaited calls: the same tree as that of blocking ones."""

import asyncio

import pytest
from botocore.exceptions import ClientError
from opentelemetry import trace
from opentelemetry.instrumentation import botocore as instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from resilience.telemetry import names
from resilience.telemetry.traces import TraceSink


# Older ones know blocking clients only.
INSTRUMENTOR = getattr(instrumentation, "AiobotocoreInstrumentor", None)
WAYS = ["alone"] if INSTRUMENTOR is None else ["alone", "instrumented"]


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture(params=WAYS)
def engine(request, exporter, make_engine):
    """Return an engine whose calls are traced in one of two ways."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    made = make_engine()
    if request.param == "alone":
        made.add_sink(TraceSink(provider))
        yield made
        return
    instrumentor = INSTRUMENTOR()
    instrumentor.instrument(tracer_provider=provider)
    yield made
    instrumentor.uninstrument()


def tree(exporter):
    """Return the spans of the calls, and those of their attempts."""
    spans = sorted(exporter.get_finished_spans(), key=lambda span: span.start_time)
    roots = [span for span in spans if span.parent is None]
    return roots, [span for span in spans if span not in roots]


@pytest.mark.skipif(
    INSTRUMENTOR is None, reason="older ones know blocking clients only"
)
async def test_who_stopped_is_not_asked(exporter, connect, make_engine):
    """The provider is that of the instrumentation at work, not of one that ended."""
    before, now = TracerProvider(), TracerProvider()
    now.add_span_processor(SimpleSpanProcessor(exporter))
    blocking, awaited = instrumentation.BotocoreInstrumentor(), INSTRUMENTOR()
    blocking.instrument(tracer_provider=before)
    blocking.uninstrument()
    awaited.instrument(tracer_provider=now)
    try:
        client = await connect("sqs", make_engine())
        await client.list_queues()
    finally:
        awaited.uninstrument()
    (root,), (attempt,) = tree(exporter)

    assert attempt.parent.span_id == root.context.span_id


async def test_one_tree(engine, exporter, connect, wire):
    """One child for each attempt, which the server hears of."""
    client = await connect("sqs", engine)
    wire.plans = [500]
    await client.list_queues()
    (root,), children = tree(exporter)
    ids = [span.context.span_id for span in children]

    assert [root.context.span_id] * 2 == [span.parent.span_id for span in children]
    assert [f"Parent={one:016x}" for one in ids] == [
        header.split(";")[1] for header in wire.header("x-amzn-trace-id")
    ]
    assert [None, 1] == [
        span.attributes.get("http.request.resend_count") for span in children
    ]
    assert 2 == root.attributes[names.ATTEMPTS_MADE]
    assert not trace.get_current_span().get_span_context().is_valid


async def test_dynamodb(engine, exporter, connect, wire):
    """An answer whose body is only awaited is not read for a span."""
    client = await connect("dynamodb", engine)
    wire.default = (200, {"x-amz-crc32": "2745614147"}, b"{}")
    await client.list_tables()
    (_,), (attempt,) = tree(exporter)

    assert attempt.status.is_ok


async def test_side_by_side(engine, exporter, connect, wire):
    """Calls of several tasks keep to their own trees."""
    client = await connect("sqs", engine)
    wire.plans = [500, 500]
    await asyncio.gather(*(client.list_queues() for _ in range(4)))
    roots, children = tree(exporter)
    known = {root.context.span_id: root.context.trace_id for root in roots}

    assert (4, 6) == (len(roots), len(children))
    assert all(known[span.parent.span_id] == span.context.trace_id for span in children)


async def test_a_failed_call(engine, exporter, connect, wire):
    """The error and what surrounds the call are as without spans."""
    client = await connect("sqs", engine)
    wire.default = (400, {}, b'{"__type": "ValidationException", "message": "m"}')
    with trace.use_span(trace.INVALID_SPAN):
        with pytest.raises(ClientError):
            await client.list_queues()
        assert trace.get_current_span() is trace.INVALID_SPAN
    (_,), (attempt,) = tree(exporter)

    assert "ValidationException" == attempt.attributes["error.type"]
