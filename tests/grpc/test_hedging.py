"""Hedged calls against real servers, blocking and `.future()`."""

import threading

import grpc
import pytest

import resilience
import resilience.grpc
from resilience.telemetry import names
from resilience.telemetry.traces import TraceSink
from tests.grpc.peers.tracing import PROVIDER


HEDGED = """
version: 1
edition: "2026.11"
name: test
grpc:
  all: {retry: {initial_backoff: 1ms, max_backoff: 2ms}}
  methods:
    shop.Cart/Get:
      idempotency: safe
      hedging: {hedging_delay: 10ms, max_extra_load: 1.0}
    shop.Cart/Charge:
      idempotency: keyed
      hedging: {hedging_delay: 10ms, max_extra_load: 1.0}
    shop.Cart/Put:
      hedging: {hedging_delay: 10ms, max_extra_load: 1.0}
"""
LONG_S = 5.0


class Straggler:
    """A handler that waits until it is cancelled, or let go."""

    def __init__(self):
        self.began = threading.Event()
        self.cancelled = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, request, context):
        if not context.add_callback(self._over):
            self._over()  # it was cancelled on its way
        self.began.set()
        self.let_go.wait(LONG_S)
        return b"late"

    def _over(self):
        if not self.let_go.is_set():
            self.cancelled.set()
            self.let_go.set()


class Turns:
    """The first attempt straggles; its rival ends, in whatever order they arrive."""

    def __init__(self, first, rival):
        self._first = first
        self._rival = rival

    def __call__(self, request, context):
        if not is_rival(context.invocation_metadata()):
            return self._first(request, context)
        self._first.began.wait(LONG_S)
        if callable(self._rival):
            return self._rival(request, context)
        context.abort(self._rival, "scripted")
        return None


def is_rival(metadata):
    return "x-retry-attempt" in dict(metadata)


def in_order(seen):
    """What the server saw of a call and its rival: threads may swap the two."""
    return sorted(seen, key=lambda one: is_rival(one.metadata))


def let_go_late(straggler):
    """Let it go when its attempt is later than the delay."""

    def run():
        straggler.began.wait(LONG_S)
        threading.Timer(0.05, straggler.let_go.set).start()

    threading.Thread(target=run).start()


def tagged(request, context):
    """An answer with metadata of its own."""
    context.set_trailing_metadata((("who", "rival"),))
    return b"quick"


@pytest.fixture
def straggler():
    made = Straggler()
    yield made
    made.let_go.set()


@pytest.fixture
def engine(make_engine, request):
    return make_engine(HEDGED.replace("10ms", getattr(request, "param", "10ms")))


def call(channel, style, method="Get", request=b"1", **others):
    """The response, and the call object where the style has one."""
    made = channel.unary_unary(f"/shop.Cart/{method}")
    if style == "blocking":
        return made(request, **others), None
    if style == "with_call":
        return made.with_call(request, **others)
    future = made.future(request, **others)
    return future.result(), future


STYLES = ["blocking", "with_call", "future"]


@pytest.mark.parametrize("style", STYLES)
def test_first_success_wins(server, channel, straggler, records, style):
    """The rival's answer and metadata are the call's; the loser's server hears it."""
    server.script = [Turns(straggler, tagged)] * 2
    response, native = call(channel, style)

    assert b"quick" == response
    assert straggler.cancelled.wait(LONG_S)
    if native is not None:
        assert grpc.StatusCode.OK is native.code()
        assert ("who", "rival") in tuple(native.trailing_metadata())
    (ended,) = records.of("CallEnded")

    assert (2, 1, "ok") == (ended.attempts, ended.hedges, ended.reason)
    assert [(2, "ok"), (1, "superseded")] == [
        (r.number, r.reason) for r in records.of("AttemptEnded")
    ]


@pytest.mark.parametrize("style", STYLES)
def test_fatal_status_ends_the_call(server, channel, straggler, style):
    """A fatal status of the rival is the call's, and cancels the first attempt."""
    server.script = [Turns(straggler, grpc.StatusCode.NOT_FOUND)] * 2
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, style)

    assert grpc.StatusCode.NOT_FOUND is caught.value.code()
    assert "scripted" == caught.value.details()
    assert straggler.cancelled.wait(LONG_S)
    told = resilience.report(caught.value)

    assert ["NOT_FOUND", "CANCELLED"] == [attempt.code for attempt in told.attempts]


def test_blocking_error_is_grpcio_s_own(server, channel, straggler):
    """Whoever catches what blocking calls raise natively goes on catching it."""
    server.script = [Turns(straggler, grpc.StatusCode.NOT_FOUND)] * 2
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "blocking")

    assert "_InactiveRpcError" == type(caught.value).__name__


@pytest.mark.parametrize("engine", ["1h"], indirect=True)
def test_failure_sends_a_rival_at_once(server, channel, records):
    """A failure that is not fatal does not wait for the delay."""
    server.script = [grpc.StatusCode.UNAVAILABLE]
    engine = channel._engine
    engine.bind(channel._route("/shop.Cart/Get").target).hedging.extra_load._credit = 9

    assert b"1" == call(channel, "blocking")[0]
    (ended,) = records.of("CallEnded")

    assert (2, 1, "UNAVAILABLE") == (ended.attempts, ended.hedges, ended.first_code)


def test_no_hedge_without_idempotency(server, channel, straggler, records):
    """What is not declared harmless is never sent twice, however late."""
    server.script = [straggler]
    future = channel.unary_unary("/shop.Cart/Put").future(b"1")
    straggler.began.wait(LONG_S)
    straggler.let_go.set()

    assert b"late" == future.result()
    assert 1 == len(server.seen)
    assert 0 == records.of("CallEnded")[0].hedges


def test_metadata_and_request(server, channel, straggler):
    """Hedges send the same bytes and key, and say how many attempts came before."""
    server.script = [straggler]
    request = bytearray(b"before")
    future = channel.unary_unary("/shop.Cart/Charge", request_serializer=bytes).future(
        request, metadata=(("a", "1"), ("a", "2"))
    )
    request[:] = b"after!"

    assert b"before" == future.result()
    first, hedge = in_order(server.seen)

    assert first.request == hedge.request == b"before"
    assert ["1", "2"] == hedge.values("a")
    assert first.values("idempotency-key") == hedge.values("idempotency-key")
    assert ([], ["1"]) == (
        first.values("x-retry-attempt"),
        hedge.values("x-retry-attempt"),
    )


def test_cancel(server, channel, straggler):
    """Cancelling the future cancels all its attempts."""
    other = Straggler()
    server.script = [straggler, other]
    future = channel.unary_unary("/shop.Cart/Get").future(b"1")

    assert straggler.began.wait(LONG_S)
    assert other.began.wait(LONG_S)
    assert future.cancel()
    assert straggler.cancelled.wait(LONG_S)
    assert other.cancelled.wait(LONG_S)
    with pytest.raises(grpc.FutureCancelledError):
        future.result()


def test_done_callback(server, channel, straggler):
    """It is called once, with the future that was returned."""
    server.script = [straggler]
    told, seen = threading.Event(), []
    future = channel.unary_unary("/shop.Cart/Get").future(b"1")
    future.add_done_callback(lambda done: (seen.append(done), told.set()))

    assert told.wait(LONG_S)
    assert straggler.cancelled.wait(LONG_S)
    assert [future] == seen


def test_deadline_ends_all(server, channel, straggler):
    """The caller's timeout ends the call and both its attempts."""
    other = Straggler()
    server.script = [straggler, other]
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "blocking", timeout=0.2)

    assert grpc.StatusCode.DEADLINE_EXCEEDED is caught.value.code()
    assert 2 == len(resilience.report(caught.value).attempts)
    for one in (straggler, other):  # on a busy machine one may not have arrived
        assert one.cancelled.wait(LONG_S) or not one.began.is_set()


def test_closed_engine(server, make_engine, straggler):
    """Closing the engine ends no attempt that is under way; none is hedged then."""
    engine = make_engine(HEDGED.replace("10ms", "1h"))
    server.script = [straggler]
    with grpc.insecure_channel(server.address) as bare:
        channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
        future = channel.unary_unary("/shop.Cart/Get").future(b"1")
        straggler.began.wait(LONG_S)
        engine.close()
        straggler.let_go.set()

        assert b"late" == future.result()


def test_closed_channel(server, channel):
    """What gRPC raises at once is raised at once."""
    made = channel.unary_unary("/shop.Cart/Get")
    channel.close()

    with pytest.raises(ValueError, match="Channel closed"):
        made(b"1")


def test_observed(server, make_engine, straggler, records):
    """Observed, one attempt is sent; that there would be a rival is written down."""
    engine = make_engine(HEDGED.replace("10ms, max", "10ms, mode: observe, max"))
    server.script = [straggler]
    with grpc.insecure_channel(server.address) as bare:
        channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
        let_go_late(straggler)

        assert b"late" == channel.unary_unary("/shop.Cart/Get")(b"1")
    (decided,) = records.of("Decided")

    assert ("hedging", "hedge") == (decided.mechanism, decided.decision)
    assert 1 == len(server.seen)


def test_interceptor_does_not_hedge(server, engine, straggler):
    """A blocking call under grpcio's own hook gives no handle: no hedge."""
    hook = resilience.grpc.client_interceptor(engine, target="cart")
    server.script = [straggler]
    with grpc.insecure_channel(server.address) as bare:
        channel = grpc.intercept_channel(bare, hook)
        let_go_late(straggler)

        assert b"late" == channel.unary_unary("/shop.Cart/Get")(b"1")
    assert 1 == len(server.seen)


def test_spans(server, engine, channel, straggler, spans):
    """One span for the call, one for each attempt; the loser's says that it lost."""
    engine.add_sink(TraceSink(PROVIDER))
    server.script = [Turns(straggler, tagged)] * 2
    call(channel, "blocking")
    root, (first, hedge) = spans.tree(2)

    assert 1 == root.attributes[names.HEDGES]
    assert ("ERROR", "OK") == (
        first.status.status_code.name,
        hedge.status.status_code.name,
    )
    assert (0, 1) == (
        first.attributes[names.PREVIOUS_ATTEMPTS],
        hedge.attributes[names.PREVIOUS_ATTEMPTS],
    )
    seen = in_order(server.seen)
    told = [one.values("traceparent")[0].split("-")[2] for one in seen]

    assert told == [f"{span.context.span_id:016x}" for span in (first, hedge)]
