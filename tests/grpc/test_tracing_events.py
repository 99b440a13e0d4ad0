"""What was decided stands on the call's span as events, whoever made that span."""

import grpc
import pytest
from opentelemetry.instrumentation.grpc import client_interceptor
from opentelemetry.instrumentation.grpc.grpcext import intercept_channel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

import resilience.grpc
from resilience.telemetry import names
from resilience.telemetry.traces import TraceSink
from tests.grpc.peers.attempts import ARITIES, failing, silent
from tests.grpc.peers.clients import STEERED, STYLES, TARGET, core_policy, until, ways
from tests.grpc.peers.tracing import OUTSIDE, PROVIDER, WAYS


GET = "/shop.Cart/Get"
SCOPE = f"grpc:target={TARGET}"
BREAKER = "idempotency: safe\nbreaker: {kind: classic, min_calls: 20}"


def events(span, *attributes):
    """Names of events, each with the values of *attributes*."""
    return [
        (event.name, *(event.attributes.get(name) for name in attributes))
        for event in span.events
        if event.name.startswith("resilience.")  # not the instrumentation's own
    ]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("style", STYLES)
def test_why_it_was_repeated_and_why_no_more(make_traced, attempts, spans, way, style):
    """Each failed attempt is an event with code, reason and wait, the last one too."""
    attempts.script[:] = [failing() for _ in range(3)]
    make_traced(way, style).call("unary_unary", b"a")
    root, _ = spans.tree(3)
    wanted = (names.ATTEMPT, names.CODE, names.REASON)

    assert events(root, *wanted) == [
        (names.EVENT_RETRY, 1, "ABORTED", "retry"),
        (names.EVENT_RETRY, 2, "ABORTED", "retry"),
        (names.EVENT_STOP, 3, "ABORTED", "attempts-exhausted"),
    ]
    assert root.events[0].attributes[names.WAIT] <= 0.002
    assert root.attributes[names.REASON] == "attempts-exhausted"
    if way not in OUTSIDE:  # there the status is the instrumentation's
        assert root.status.status_code is StatusCode.ERROR


def test_pushback(make_traced, attempts, spans):
    """A delay that the server asked for is told."""
    attempts.script[:] = [failing(pushback="3")]
    make_traced("alone", "blocking").call("unary_unary", b"a")
    root, _ = spans.tree(2)

    assert events(root, names.PUSHBACK, names.WAIT) == [
        (names.EVENT_RETRY, 0.003, 0.003)
    ]


@pytest.mark.parametrize("style", STYLES)
def test_rejected(make_traced, spans, style):
    """A call that was refused has a span of its own, with the reason."""
    client = make_traced("alone", style, BREAKER)
    client.call("unary_unary", b"a")
    client.engine.breaker(SCOPE).force_open()
    spans.tree(1)
    spans.clear()
    client.call("unary_unary", b"a")
    [root] = spans.wait_for(1)

    assert root.name == "Sent.shop.unary_unary.Do"
    assert events(root, names.REASON) == [(names.EVENT_REJECTED, "breaker-open")]
    assert root.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("style", STYLES)
def test_rejected_with_an_instrumentation_inside(make_traced, spans, style):
    """A refused call meets no instrumentation; its span is made all the same."""
    client = make_traced("inside", style, BREAKER)
    client.call("unary_unary", b"a")
    client.engine.breaker(SCOPE).force_open()
    spans.tree(1)
    spans.clear()
    client.call("unary_unary", b"a")
    [root] = spans.wait_for(1)

    assert events(root, names.REASON) == [(names.EVENT_REJECTED, "breaker-open")]


@pytest.mark.parametrize("style", ["blocking", "asyncio"])
def test_rejected_with_an_instrumentation_outside(make_traced, spans, style):
    """The instrumentation's span of a refused call says that it was refused."""
    client = make_traced("outside", style, BREAKER)
    client.call("unary_unary", b"a")
    client.engine.breaker(SCOPE).force_open()
    spans.tree(1)
    spans.clear()
    client.call("unary_unary", b"a")
    [root] = spans.wait_for(1)

    assert events(root, names.REASON) == [(names.EVENT_REJECTED, "breaker-open")]


def test_the_call_that_opened_a_breaker(make_traced, attempts, spans):
    """The call whose failure moved a breaker tells which one, and on what evidence."""
    attempts.script[:] = [failing("UNAVAILABLE", "Socket closed") for _ in range(3)]
    more = "idempotency: safe\nbreaker: {kind: classic, min_calls: 3, window: 30s}"
    make_traced("alone", "blocking", more).call("unary_unary", b"a")
    root, _ = spans.tree(3)
    [change] = [one for one in root.events if one.name == names.EVENT_BREAKER]

    assert change.attributes[names.SCOPE] == SCOPE
    assert change.attributes[names.STATE] == "open"
    assert "3 of 3" in change.attributes[names.EVIDENCE]


def test_observed(make_traced, attempts, spans):
    """In observe nothing is repeated, and what would have been is an event."""
    attempts.script[:] = [failing()]
    client = make_traced("alone", "blocking")
    client.engine.mode = "observe"
    end = client.call("unary_unary", b"a")
    root, _ = spans.tree(1)

    assert end.code == "ABORTED"
    assert (names.EVENT_OBSERVED, "retry", "retry") in events(
        root, names.MECHANISM, names.DECISION
    )


def test_an_observing_breaker_before_the_first_attempt(make_traced, spans):
    """What was decided before there was a span stands on it as well."""
    more = "idempotency: safe\nbreaker: {kind: classic, mode: observe}"
    client = make_traced("alone", "blocking", more)
    client.call("unary_unary", b"a")
    client.engine.breaker(SCOPE).force_open()
    spans.tree(1)
    spans.clear()
    client.call("unary_unary", b"a")
    root, _ = spans.tree(1)

    assert events(root, names.MECHANISM, names.DECISION) == [
        (names.EVENT_OBSERVED, "breaker", "reject")
    ]


def test_unprocessed_work(bad_peer, make_traced, spans):
    """A free repeat is marked so, and is no previous attempt."""
    peer = bad_peer("rst", 7)
    more = "idempotency: safe\ntrust_transport_details: true\ntimeout: 300ms"
    client = make_traced("alone", "blocking", more, address=peer.address)
    client.call("unary_unary", b"a")
    until(lambda: any(span.parent is None for span in spans.wait_for(1)))
    children = [span for span in spans.wait_for(4) if span.parent is not None][:3]

    assert [False, True, True] == [
        span.attributes[names.TRANSPARENT_RETRY] for span in children
    ]
    assert [0, 0, 0] == [span.attributes[names.PREVIOUS_ATTEMPTS] for span in children]


@pytest.mark.parametrize(("arity", "style"), ways(ARITIES, STEERED))
def test_a_call_that_is_cancelled(make_traced, attempts, spans, arity, style):
    """Cancelling ends both spans, and says so."""
    attempts.script[:] = [silent]
    running = make_traced("alone", style).begin(arity, b"a")
    attempts.wait_for(1)
    running.cancel()
    root, [child] = spans.tree(1)

    assert events(root, names.REASON) == [(names.EVENT_STOP, "cancelled")]
    assert child.status.description.startswith("CANCELLED")


@pytest.mark.parametrize("style", STYLES)
def test_whose_deadline_it_was(make_traced, attempts, spans, style):
    """The call's span names who set its deadline."""
    client = make_traced("alone", style)
    client.call("unary_unary", b"a", timeout=5.0)
    root, _ = spans.tree(1)

    assert root.attributes[names.DEADLINE_ORIGIN] == "explicit"


def test_a_call_inside_a_stream_of_the_same_method(make_traced, attempts, spans):
    """A span that was taken for one call is not taken for another made inside it."""
    client = make_traced("outside", "blocking")
    method = client._channel.unary_stream("/shop.unary_stream/Do")
    for _ in method(b"a"):
        assert list(method(b"b")) == [b"b"]
    ended = spans.wait_for(4)
    roots = [span for span in ended if span.name.startswith("/")]

    assert len(ended) == 4
    assert len(roots) == 2
    assert {span.context.span_id for span in roots} == {
        span.parent.span_id for span in ended if span.name.startswith("Attempt.")
    }


def test_what_is_not_sampled(attempts):
    """A call that is not sampled is sent, and tells the server so."""
    sink = TraceSink(TracerProvider(sampler=ALWAYS_OFF))
    engine = resilience.PolicyEngine.from_text(core_policy(), sinks=(sink,))
    attempts.script[:] = [failing()]
    with grpc.insecure_channel(attempts.address) as bare, engine:
        channel = resilience.grpc.intercept_channel(bare, engine, target=TARGET)
        channel.unary_unary("/shop.unary_unary/Do")(b"a")
    told = [attempt.values("traceparent")[0] for attempt in attempts.seen]

    assert [0, 0] == [int(value.split("-")[3], 16) & 1 for value in told]
    assert engine.fanout.failures == 0


def test_a_tracer_that_fails(attempts):
    """A tracer that raises is counted, and no call fails by it."""

    class Broken(TracerProvider):
        def get_tracer(self, *_, **__):
            return self

        def start_span(self, *_, **__):
            raise OSError

    sink = TraceSink(Broken())
    engine = resilience.PolicyEngine.from_text(core_policy(), sinks=(sink,))
    with grpc.insecure_channel(attempts.address) as bare, engine:
        channel = resilience.grpc.intercept_channel(bare, engine, target=TARGET)

        assert channel.unary_unary("/shop.unary_unary/Do")(b"a") == b"a"
    assert engine.fanout.failures == 1


def test_hooks_of_the_instrumentation_are_called(attempts, spans):
    """Request and response hooks see the attempt's span, as they would bare."""
    seen = []
    theirs = client_interceptor(
        PROVIDER,
        request_hook=lambda span, request: seen.append((span, request)),
        response_hook=lambda span, answer: seen.append((span, answer)),
    )
    engine = resilience.PolicyEngine.from_text(core_policy())
    with grpc.insecure_channel(attempts.address) as bare, engine:
        channel = resilience.grpc.intercept_channel(
            intercept_channel(bare, theirs), engine, target=TARGET
        )
        channel.unary_unary("/shop.unary_unary/Do")(b"a")
    _, [child] = spans.tree(1)

    assert [(child.context.span_id, b"a")] * 2 == [
        (span.get_span_context().span_id, said) for span, said in seen
    ]


def test_nothing_is_kept_of_calls_that_have_ended(make_traced, attempts, spans):
    """The sink forgets a call with its end."""
    sink = TraceSink(PROVIDER)
    client = make_traced("alone", "future", sinks=(sink,))
    for _ in range(20):
        client.call("unary_unary", b"a")
    until(lambda: not sink._live)

    assert len(spans.wait_for(40)) == 40
