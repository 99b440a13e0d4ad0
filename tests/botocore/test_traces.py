"""Traces of AWS calls: one span for each attempt, and who they are children of."""

import pytest
from botocore.exceptions import ClientError
from opentelemetry import trace
from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import resilience
import resilience.botocore
from resilience.telemetry import names
from resilience.telemetry.traces import TraceSink
from tests.botocore.answers import js, xml


WAYS = ["alone", "instrumented"]
IDS = {"x-amz-request-id": "R1", "x-amz-id-2": "H1"}
PUT = {"Bucket": "b", "Key": "k", "Body": b"data"}


class Traced:
    """What is exported, and clients whose calls are traced in one of `WAYS`."""

    def __init__(self, way, connect, make_engine):
        self.way = way
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")
        self._connect = connect
        self._make_engine = make_engine

    def client(self, service, rules=None, mode="enforce", **more):
        engine = self._make_engine(rules, mode=mode)
        if self.way == "alone":
            engine.add_sink(TraceSink(self.provider))
        return self._connect(service, engine, **more)

    def tree(self, attempts):
        """Return the call's span and those of its attempts, in their order."""
        spans = sorted(
            self.exporter.get_finished_spans(), key=lambda span: span.start_time
        )
        (root,) = [span for span in spans if span.parent is None]
        children = [span for span in spans if span is not root]
        ids = [span.parent.span_id for span in children]
        assert [root.context.span_id] * attempts == ids, [s.name for s in spans]
        return root, children


@pytest.fixture(params=WAYS)
def traced(request, connect, make_engine):
    made = Traced(request.param, connect, make_engine)
    instrumentor = BotocoreInstrumentor()
    if made.way == "instrumented":
        instrumentor.instrument(tracer_provider=made.provider)
    yield made
    if made.way == "instrumented":
        instrumentor.uninstrument()


@pytest.fixture
def alone(connect, make_engine):
    return Traced("alone", connect, make_engine)


def told(wire):
    """Return the parents that the server was told of, one for each request."""
    found = [header.split(";")[1] for header in wire.header("x-amzn-trace-id")]
    return [int(parent.removeprefix("Parent="), 16) for parent in found]


def counts(spans):
    return [span.attributes.get("http.request.resend_count") for span in spans]


def test_one_tree(traced, wire):
    """One span for the call, one child for each attempt; the server hears of each."""
    client = traced.client("sqs")
    wire.plans = [500, "drop"]
    client.list_queues()
    root, children = traced.tree(3)
    name = "Sent.sqs.ListQueues" if traced.way == "alone" else "SQS.ListQueues"

    assert name == root.name
    assert ["Attempt.sqs.ListQueues"] * 3 == [span.name for span in children]
    assert {SpanKind.CLIENT} == {span.kind for span in children}
    assert told(wire) == [span.context.span_id for span in children]
    assert [None, 1, 2] == counts(children)
    assert 3 == root.attributes[names.ATTEMPTS_MADE]
    assert [names.EVENT_RETRY] * 2 == [event.name for event in root.events]


def test_what_an_attempt_says(traced, wire):
    """Names as the instrumentation has them; the error, the status and both ids."""
    client = traced.client("s3")
    wire.plans = [xml(503, "SlowDown", IDS), (200, {"x-amz-request-id": "R2"}, b"")]
    client.put_object(**PUT)
    root, (first, second) = traced.tree(2)

    assert "aws-api" == first.attributes["rpc.system"]
    assert ("S3", "PutObject") == (
        first.attributes["rpc.service"],
        first.attributes["rpc.method"],
    )
    assert (503, 200) == tuple(
        span.attributes["http.response.status_code"] for span in (first, second)
    )
    assert ("R1", "H1") == (
        first.attributes["aws.request_id"],
        first.attributes["aws.extended_request_id"],
    )
    assert "R2" == second.attributes["aws.request_id"]
    assert "SlowDown" == first.attributes["error.type"]
    assert first.status.status_code is StatusCode.ERROR
    assert second.status.status_code is StatusCode.OK
    (retry,) = root.events
    assert ("R1", "overload") == (
        retry.attributes["aws.request_id"],
        retry.attributes[names.KIND],
    )


def test_their_order(traced, wire):
    """An attempt ends before the next begins, and none outlives its call."""
    client = traced.client("sqs")
    wire.plans = [500]
    client.list_queues()
    root, (first, second) = traced.tree(2)

    assert root.start_time <= first.start_time <= first.end_time
    assert first.end_time <= second.start_time <= second.end_time <= root.end_time


def test_a_failed_call(traced, wire):
    """Why no further attempt was made stands on the call's span."""
    client = traced.client("sqs")
    wire.plans = [js(400, "ValidationException")]
    with pytest.raises(ClientError):
        client.list_queues()
    root, (attempt,) = traced.tree(1)

    assert [(names.EVENT_STOP, "not-retryable")] == [
        (event.name, event.attributes[names.REASON])
        for event in root.events
        if event.name != "exception"
    ]
    assert attempt.status.status_code is StatusCode.ERROR


def test_a_redirect_is_no_attempt(traced, wire):
    """A redirect stays within its attempt's span, which counts the second sending."""
    client = traced.client("s3")
    region = {"x-amz-bucket-region": "eu-west-1"}
    wire.plans = [xml(301, "PermanentRedirect", region), (200, {}, b"")]
    client.put_object(**PUT)
    root, children = traced.tree(1)

    assert [1] == counts(children)
    assert 1 == root.attributes[names.ATTEMPTS_MADE]
    assert told(wire) == [children[0].context.span_id] * 2


def test_observing(traced, wire, monkeypatch):
    """Botocore's own repeats have spans too, and are counted alike."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    client = traced.client("sqs", mode="observe")
    wire.plans = [500]
    client.list_queues()
    _, children = traced.tree(2)

    assert [None, 1] == counts(children)


def test_the_context_comes_back(traced, wire):
    """What surrounds a call is current after it, however it ended."""
    client = traced.client("sqs")
    ends = [lambda: None, lambda: 1 / 0, _interrupt]
    for end in ends:
        client.meta.events.register_last("before-send", lambda end=end, **_: end())
        wire.plans = [500] * 9
        with traced.tracer.start_as_current_span("handler") as around:
            with pytest.raises((ClientError, ZeroDivisionError, KeyboardInterrupt)):
                client.list_queues()

            assert trace.get_current_span() is around
    assert not trace.get_current_span().get_span_context().is_valid


def _interrupt():
    raise KeyboardInterrupt


def test_a_child_of_what_surrounds_it(alone, wire):
    """The call's span is a child of the one that is current."""
    client = alone.client("sqs")
    with alone.tracer.start_as_current_span("handler"):
        client.list_queues()
    found = {span.name: span for span in alone.exporter.get_finished_spans()}
    call = found["Sent.sqs.ListQueues"]

    assert call.parent.span_id == found["handler"].context.span_id
    assert call.status.status_code is StatusCode.OK
    assert wire.header("x-amzn-trace-id")[0].startswith("Root=1-")
    assert wire.header("x-amzn-trace-id")[0].endswith(";Sampled=1")


def test_a_header_of_others_is_kept(alone, wire):
    """What somebody wrote for the server stays as it is."""
    client = alone.client("sqs")
    client.meta.events.register_first(
        "request-created.*.*",
        lambda request, **_: request.headers.add_header("X-Amzn-Trace-Id", "mine"),
    )
    client.list_queues()

    assert ["mine"] == wire.header("x-amzn-trace-id")


def test_a_worker_thread(alone, session, wire):
    """Calls made in a thread of ours are traced like others."""
    client = alone.client("sqs")
    engine = resilience.botocore.owner_of(client)
    assert engine is not None
    made = alone._make_engine()
    made.add_sink(TraceSink(alone.provider))
    resilience.botocore.register(session, made, worker_threads=True)
    wire.plans = [500]
    with resilience.deadline(30):
        client.list_queues()

    alone.tree(2)


def test_a_call_that_is_refused(alone, make_engine):
    """Nothing was sent, and the call's span says why."""
    client = alone.client("sqs", {"breaker": {"forced": "open"}})
    with pytest.raises(resilience.Rejected):
        client.list_queues()
    root, _ = alone.tree(0)

    assert [names.EVENT_REJECTED] == [event.name for event in root.events]


def test_without_a_sink_nothing_is_added(connect, make_engine, wire):
    """Who does not trace sends no header."""
    connect("sqs", make_engine()).list_queues()

    assert [None] == wire.header("x-amzn-trace-id")


def test_a_sink_that_fails(alone, wire, monkeypatch):
    """A tracer that breaks is counted, and the call goes on."""
    client = alone.client("sqs")

    def broken(*_, **__):
        raise RuntimeError

    monkeypatch.setattr("resilience.botocore.tracing._told", broken)
    client.list_queues()

    assert 1 == wire.count
