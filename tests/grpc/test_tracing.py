"""Traces: one span for a call, one child for each attempt, told to the server.

In every arity and style, and wherever OpenTelemetry's own instrumentation stands.
"""

import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.grpc import (
    GrpcInstrumentorClient,
    client_interceptor,
)
from opentelemetry.instrumentation.grpc.grpcext import intercept_channel
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind, StatusCode

import resilience.grpc
from resilience.telemetry import names
from resilience.telemetry.traces import TraceSink
from tests.grpc.peers.attempts import ARITIES, failing, silent
from tests.grpc.peers.clients import STYLES, core_policy, ways
from tests.grpc.peers.tracing import OUTSIDE, PROVIDER, WAYS, with_global


PATH = "/shop.unary_unary/Do"
LIST = "/shop.unary_stream/Do"


def sent_by(attempts):
    """The spans that the server was told of, one for each attempt."""
    told = [attempt.values("traceparent") for attempt in attempts.seen]
    assert all(len(values) == 1 for values in told), told
    return [int(value.split("-")[2], 16) for [value] in told]


def ids(spans):
    return [span.context.span_id for span in spans]


def answer(client, arity):
    """What a call gives; the instrumentation makes plain generators of some."""
    if client.style == "asyncio" or not arity.endswith("stream"):
        return client.call(arity, b"a").messages
    request = b"a" if arity == "unary_stream" else iter([b"a"])
    return list(getattr(client._channel, arity)(f"/shop.{arity}/Do")(request))


@pytest.mark.parametrize("call", ways(ARITIES), ids="-".join)
@pytest.mark.parametrize("way", WAYS)
def test_one_tree(make_traced, attempts, spans, way, call):
    """One span for the call, one child for each attempt, told to the server."""
    arity, style = call
    attempts.script[:] = [failing(), failing()]
    messages = answer(make_traced(way, style), arity)
    root, children = spans.tree(3)
    path = f"/shop.{arity}/Do"

    assert messages == [b"a"]
    assert ids(children) == sent_by(attempts)
    assert root.name == (path if way in OUTSIDE else f"Sent.shop.{arity}.Do")
    assert [event.name for event in root.events] == [names.EVENT_RETRY] * 2


@pytest.mark.parametrize(("arity", "style"), ways(ARITIES))
def test_spans_of_ours(make_traced, attempts, spans, arity, style):
    """Without an instrumentation names, attributes and statuses are those of A72."""
    attempts.script[:] = [failing()]
    make_traced("alone", style).call(arity, b"a")
    root, children = spans.tree(2)
    first, second = children

    assert [f"Attempt.shop.{arity}.Do"] * 2 == [span.name for span in children]
    assert [0, 1] == [span.attributes["previous-rpc-attempts"] for span in children]
    assert [False] * 2 == [span.attributes["transparent-retry"] for span in children]
    assert {SpanKind.CLIENT} == {span.kind for span in children}
    assert first.status.status_code is StatusCode.ERROR
    assert first.status.description == "ABORTED, scripted"
    assert first.attributes["rpc.grpc.status_code"] == 10
    assert second.status.status_code is root.status.status_code is StatusCode.OK
    assert root.attributes[names.ATTEMPTS_MADE] == 2
    assert first.end_time <= second.start_time
    assert second.end_time <= root.end_time


@pytest.mark.parametrize(("arity", "style"), ways(ARITIES))
def test_a_clean_success(make_traced, attempts, spans, arity, style):
    """A healthy call has two spans and no events."""
    make_traced("alone", style).call(arity, b"a")
    root, [child] = spans.tree(1)

    assert root.events == child.events == ()
    assert child.status.status_code is StatusCode.OK


@pytest.mark.parametrize("style", STYLES)
def test_the_context_around_the_call(make_traced, attempts, spans, style):
    """The call's span is a child of what surrounds it, and retries stay in it."""
    attempts.script[:] = [failing()]
    client = make_traced("alone", style)
    tracer = trace.get_tracer("test")
    if style == "asyncio":

        async def called():
            with tracer.start_as_current_span("handler"):
                return await client._channel.unary_unary(PATH)(b"a")

        client._run(called())
    else:
        with tracer.start_as_current_span("handler"):
            method = client._channel.unary_unary(PATH)
            if style == "blocking":
                method(b"a")
            else:
                method.future(b"a").result()
    found = {span.name: span for span in spans.wait_for(4)}
    sent = found["Sent.shop.unary_unary.Do"]

    assert sent.parent.span_id == found["handler"].context.span_id
    assert {sent.context.trace_id} == {span.context.trace_id for span in found.values()}


def test_metadata_is_kept(make_traced, attempts, spans):
    """Repeated keys and their order stay; only older words on the trace go."""
    given = (("k", "1"), ("traceparent", "00-old"), ("l", "2"), ("k", "3"))
    make_traced("alone", "blocking").call("unary_unary", b"a", metadata=given)
    _, [child] = spans.tree(1)
    [attempt] = attempts.seen
    shown = [pair for pair in attempt.metadata if pair[0] in ("k", "l")]

    assert shown == [("k", "1"), ("l", "2"), ("k", "3")]
    assert ids([child]) == sent_by(attempts)


def test_metadata_that_is_none_is_complained_about_as_bare(make_traced):
    """What is no metadata gets gRPC's own complaint."""
    client = make_traced("alone", "blocking")

    with pytest.raises(TypeError):
        client._channel.unary_unary(PATH)(b"a", metadata=5)


def test_an_attempt_runs_in_its_span(make_traced, attempts, spans):
    """What runs inside an attempt (serializers, interceptors) sees its span."""
    attempts.script[:] = [failing()]
    seen = []

    def serialize(message):
        seen.append(trace.get_current_span().get_span_context().span_id)
        return message

    client = make_traced("inside", "blocking")
    client._channel.unary_unary(PATH, request_serializer=serialize)(b"a")
    _, children = spans.tree(2)

    assert seen == ids(children)
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("style", STYLES)
def test_bypass_is_bare(make_traced, attempts, spans, way, style):
    """In bypass there are only the spans that there would be without us."""
    client = make_traced(way, style)
    client.engine.mode = "bypass"
    client.call("unary_unary", b"a")
    bare = {"alone": 0, "both": 2}.get(way, 1)

    assert len(spans.wait_for(bare)) == bare


@pytest.mark.parametrize("way", ["alone", "global"])
def test_whoever_suppresses_is_obeyed(make_traced, attempts, spans, way):
    """Under `suppress_instrumentation` (exporters use it) nothing is traced."""
    client = make_traced(way, "blocking")
    with suppress_instrumentation():
        client._channel.unary_unary(PATH)(b"a")

    assert spans.wait_for(0) == []
    assert attempts.seen[0].values("traceparent") == []


def test_what_a_filter_leaves_out(attempts, spans):
    """A method that the instrumentation's filter leaves out is not traced."""
    engine = resilience.PolicyEngine.from_text(core_policy())
    theirs = client_interceptor(PROVIDER, filter_=lambda info: False)
    with grpc.insecure_channel(attempts.address) as bare, engine:
        channel = resilience.grpc.intercept_channel(
            intercept_channel(bare, theirs), engine, target="core"
        )
        channel.unary_unary(PATH)(b"a")

    assert spans.wait_for(0) == []


def test_a_channel_older_than_the_instrumentation(attempts, spans):
    """`instrument()` changes channels that are made after it, with us or without."""
    engine = resilience.PolicyEngine.from_text(core_policy())
    with grpc.insecure_channel(attempts.address) as bare, engine:
        channel = resilience.grpc.intercept_channel(bare, engine, target="core")
        with_global(GrpcInstrumentorClient())
        try:
            channel.unary_unary(PATH)(b"a")
        finally:
            GrpcInstrumentorClient().uninstrument()

    assert spans.wait_for(0) == []


def test_a_sink_that_comes_after_the_channel(attempts, spans):
    """Multicallables that exist already are traced from the next call on."""
    engine = resilience.PolicyEngine.from_text(core_policy())
    with grpc.insecure_channel(attempts.address) as bare, engine:
        channel = resilience.grpc.intercept_channel(bare, engine, target="core")
        method = channel.unary_unary(PATH)
        method(b"a")
        engine.add_sink(TraceSink(PROVIDER))
        method(b"a")
    _, [child] = spans.tree(1)

    assert child.name == "Attempt.shop.unary_unary.Do"


_INSTRUMENTED = """
import grpc, resilience, resilience.grpc
from opentelemetry import trace
from tests.grpc.peers.attempts import Attempts, failing
from tests.grpc.peers.clients import core_policy
from tests.grpc.peers.tracing import PROVIDER, SPANS
trace.set_tracer_provider(PROVIDER)
engine = resilience.PolicyEngine.from_text(core_policy())
with Attempts(failing()) as attempts:
    with grpc.insecure_channel(attempts.address) as bare, engine:
        channel = resilience.grpc.intercept_channel(bare, engine, target="core")
        channel.unary_unary("/shop.unary_unary/Do")(b"a")
for span in SPANS.wait_for(5):
    if span.kind is not trace.SpanKind.SERVER:
        print(span.name)
"""


def test_opentelemetry_instrument():
    """The command that instruments a whole program leads to the same tree."""
    run = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", run, sys.executable, "-c", _INSTRUMENTED],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.split() == ["Sent.shop.unary_unary.Do", PATH, PATH], done.stderr


@pytest.mark.parametrize("arity", ARITIES)
@pytest.mark.parametrize("way", WAYS)
def test_cancelling_leaves_the_context_in_order(
    make_traced, attempts, caplog, way, arity
):
    """A call that is cancelled on the event loop takes off what it put there."""
    attempts.script[:] = [silent]
    running = make_traced(way, "asyncio").begin(arity, b"a")
    attempts.wait_for(1)
    running.cancel()
    end = running.end()

    assert end.code == "CANCELLED"
    assert "detach" not in caplog.text
