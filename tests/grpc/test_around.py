"""What layers around a protected channel see: contexts, frames, metadata."""

import contextvars
import gc
import time

import grpc
import pytest

import resilience
import resilience.grpc
from resilience.grpc.connectivity import no_witness
from resilience.grpc.held import Holding
from resilience.grpc.metadata import for_attempt
from resilience.grpc.multicallable import UnaryUnaryMultiCallable
from resilience.grpc.route import Route


GET = "/shop.Cart/Get"
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def test_a_protected_channel_inside_another_does_not_multiply(server, make_engine):
    """Wrapping twice by mistake makes no attempts beyond one layer's."""
    server.script[:] = [UNAVAILABLE] * 9
    with grpc.insecure_channel(server.address) as bare:
        inner = resilience.grpc.intercept_channel(bare, make_engine(), target="cart")
        outer = resilience.grpc.intercept_channel(inner, make_engine(), target="cart")
        with pytest.raises(grpc.RpcError):
            outer.unary_unary(GET)(b"a")

    assert len(server.seen) == 3


def test_a_reload_takes_effect_on_multicallables_made_before(server, engine, channel):
    """A multicallable follows the engine, not the policy it was made under."""
    method = channel.unary_unary(GET)
    method(b"a")
    engine.mode = "bypass"
    server.script[:] = [UNAVAILABLE]

    with pytest.raises(grpc.RpcError) as raised:
        method(b"a")
    assert resilience.report(raised.value) is None


def test_an_interrupt_goes_through_unchanged(channel, engine, records):
    """KeyboardInterrupt in an attempt propagates, and the call is recorded as ended."""

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        channel.unary_unary(GET, request_serializer=interrupt)(b"a")

    assert ["cancelled"] == [ended.reason for ended in records.of("CallEnded")]


def test_the_error_keeps_nothing_alive(server, engine, channel):
    """A raised error makes no reference cycle with the frame that raised it."""
    server.script[:] = [grpc.StatusCode.NOT_FOUND]
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary(GET)(b"a")
        frames = []
        trace = raised.value.__traceback__
        while trace is not None:
            frames.append(trace.tb_frame)
            trace = trace.tb_next
        held = [
            value
            for frame in frames[1:]
            for value in frame.f_locals.values()
            if value is raised.value
        ]
    finally:
        gc.enable()

    assert [] == held


def test_contextvars_reach_every_attempt(server, engine):
    """Layers below see the caller's context on repeats of a future, too."""
    var = contextvars.ContextVar("var", default="lost")
    seen = []

    class Below(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation, details, request):
            seen.append(var.get())
            return continuation(details, request)

    server.script[:] = [UNAVAILABLE, UNAVAILABLE]
    with grpc.insecure_channel(server.address) as bare:
        below = grpc.intercept_channel(bare, Below())
        channel = resilience.grpc.intercept_channel(below, engine, target="cart")
        var.set("mine")
        assert channel.unary_unary(GET).future(b"a").result() == b"a"

    assert ["mine"] * 3 == seen


def test_an_answer_without_a_message_is_no_success(server, engine, records):
    """A status OK behind which nothing came is not counted as success."""

    class Empty(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation, details, request):
            outcome = continuation(details, request)
            outcome._response = None
            return outcome

    with grpc.insecure_channel(server.address) as bare:
        below = grpc.intercept_channel(bare, Empty())
        channel = resilience.grpc.intercept_channel(below, engine, target="cart")
        assert channel.unary_unary(GET)(b"a") is None

    (ended,) = records.of("CallEnded")
    assert ended.outcome.kind == "transport"


def test_metadata_of_the_first_attempt_is_the_callers_object(engine):
    """On a healthy call the caller's very metadata object is handed down."""
    given = [("k", "1")]
    handed = []

    class Inner(grpc.UnaryUnaryMultiCallable):
        def __call__(self, request, timeout=None, metadata=None, credentials=None):
            handed.append(metadata)
            return b"ok"

        with_call = future = None

    route = Route(engine, "cart", GET, no_witness)
    holding = Holding(None)
    UnaryUnaryMultiCallable(Inner(), route, holding, Inner)(b"a", metadata=given)

    assert handed[0] is given
    assert for_attempt(given, 1, "k", None) is given


def test_a_deadline_bounds_all_attempts(server, make_engine, policy):
    """A server that always fails costs no more than the caller's time."""
    slow = policy.replace("initial_backoff: 1ms, max_backoff: 2ms", "max_attempts: 9")
    engine = make_engine(slow)
    server.script[:] = [UNAVAILABLE] * 50
    began = time.monotonic()
    with grpc.insecure_channel(server.address) as bare:
        channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
        with pytest.raises(grpc.RpcError):
            channel.unary_unary(GET)(b"a", timeout=0.15)

    assert time.monotonic() - began < 0.25
