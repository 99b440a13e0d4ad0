"""A drill in blocking gRPC: the engine meets faults as it meets real ones."""

import sys
import threading
import time

import grpc
import pytest

import resilience
import resilience.grpc
from tests.drilling.drills import armed


GET, PUT = "/shop.Cart/Get", "/shop.Cart/Put"
# Nothing but the number of attempts decides here: what breakers and budgets make of
# faults is theirs to prove.
POLICY = """
version: 1
name: test
mode: {mode}
grpc:
  all:
    breaker: off
    retry_budget: off
    retry: {{initial_backoff: 1ms, max_backoff: 2ms}}
  methods:
    shop.Cart/Get: {{idempotency: safe}}
"""
LOST = "kind: lost, ratio: 1.0, lasts: 60s, methods: [shop.Cart/*]"
UNAVAILABLE = "kind: status, code: UNAVAILABLE, ratio: 1.0, lasts: 60s, targets: [cart]"


def dial_channel(address, engine):
    bare = grpc.insecure_channel(address)
    return resilience.grpc.intercept_channel(bare, engine, target="cart")


def dial_hooks(address, engine):
    hook = resilience.grpc.client_interceptor(engine, target="cart")
    return grpc.intercept_channel(grpc.insecure_channel(address), hook)


@pytest.fixture(params=[dial_channel, dial_hooks], ids=["channel", "interceptor"])
def dial(request, server, make_engine):
    """`dial(mode="enforce")`: a channel of either kind to the server."""
    made = []

    def make(mode="enforce"):
        engine = make_engine(POLICY.format(mode=mode))
        made.append(request.param(server.address, engine))
        return made[-1]

    yield make
    for channel in made:
        channel.close()


def call(style, channel, method, **given):
    """One call, in one of the two ways; both raise the same errors."""
    multicallable = channel.unary_unary(method)
    if style == "blocking":
        return multicallable(b"x", **given)
    return multicallable.future(b"x", **given).result()


both_styles = pytest.mark.parametrize("style", ["blocking", "future"])


def failure(style, channel, method, **given):
    with pytest.raises(grpc.RpcError) as caught:
        call(style, channel, method, **given)
    return caught.value


@both_styles
def test_a_lost_answer_was_executed(style, dial, server, monkeypatch):
    """The server executes what has its answer lost, and the drill counts it."""
    with armed(monkeypatch, LOST) as drill:
        error = failure(style, dial(), GET)

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "Connection reset by peer (drill test)" in error.details()
    assert len(server.seen) == 3
    seen = drill.calls.one()

    assert (seen.attempts, seen.answered, seen.is_ok) == (3, 3, False)


@both_styles
def test_a_lost_answer_may_have_reached_the_server(style, dial, server, monkeypatch):
    """What nothing makes harmless is not repeated after its answer was lost."""
    with armed(monkeypatch, LOST):
        error = failure(style, dial(), PUT)
    attempts = resilience.report(error).attempts

    assert [(a.reached, a.decision) for a in attempts] == [("maybe", "fail")]
    assert len(server.seen) == 1


@both_styles
def test_without_a_policy_the_caller_meets_the_fault(style, dial, server, monkeypatch):
    """Bypassed calls meet faults, too: that is what a policy is compared with."""
    with armed(monkeypatch, LOST) as drill:
        error = failure(style, dial("bypass"), GET)

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    seen = drill.calls.one()

    assert (seen.attempts, seen.answered) == (1, 1)


@both_styles
def test_a_status_before_the_server(style, dial, server, monkeypatch):
    """An error answer in place of the server's: nothing is executed."""
    with armed(monkeypatch, UNAVAILABLE) as drill:
        error = failure(style, dial(), GET)

    assert error.details() == "injected (drill test)"
    assert server.seen == []
    assert drill.injected == {"status": 3}


@both_styles
def test_a_pushback_is_obeyed(style, dial, server, monkeypatch):
    """A status may ask for a wait, as a server's trailing metadata does."""
    line = UNAVAILABLE.replace("UNAVAILABLE", "RESOURCE_EXHAUSTED, pushback: 40ms")
    with armed(monkeypatch, line):
        error = failure(style, dial(), GET)
    waits = [attempt.wait_s for attempt in resilience.report(error).attempts]

    assert waits[0] == pytest.approx(0.04)


@both_styles
@pytest.mark.parametrize(("where", "executed"), [("before", 0), ("after", 1)])
def test_a_delay_meets_the_timeout(
    style, where, executed, *, dial, server, monkeypatch
):
    """A delay beyond the timeout ends the attempt in time, executed or not."""
    line = f"kind: delay, delay: 30s, where: {where}, ratio: 1.0, lasts: 60s"
    with armed(monkeypatch, f"{line}, targets: [cart]"):
        channel = dial()
        grpc.channel_ready_future(channel).result(10)
        began = time.monotonic()
        error = failure(style, channel, PUT, timeout=0.2)

    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 10
    assert len(server.seen) == executed


@both_styles
def test_a_delay_within_the_timeout(style, dial, server, monkeypatch):
    """A shorter delay is only late."""
    line = "kind: delay, delay: 20ms, ratio: 1.0, lasts: 60s, targets: [cart]"
    with armed(monkeypatch, line) as drill:
        assert call(style, dial(), PUT) == b"x"

    assert drill.calls.one().elapsed_s >= 0.02


@both_styles
def test_what_is_cut_may_have_reached_the_server(style, dial, monkeypatch):
    """A call whose connection is cut is not repeated unless that is harmless."""
    line = "kind: cut, ratio: 1.0, lasts: 60s, targets: [cart]"
    with armed(monkeypatch, line):
        error = failure(style, dial(), PUT)

    assert [a.reached for a in resilience.report(error).attempts] == ["maybe"]


@both_styles
def test_refused_connections_are_repeated(style, server, make_engine, monkeypatch):
    """A refusal never reached the server: anything may be tried again."""
    line = "kind: refuse, ratio: 1.0, lasts: 60s, targets: [cart]"
    with armed(monkeypatch, line):
        engine = make_engine(POLICY.format(mode="enforce"))
        channel = dial_channel(server.address, engine)
        error = failure(style, channel, PUT)
        channel.close()
    attempts = resilience.report(error).attempts

    assert [a.reached for a in attempts] == ["no"] * 3
    assert server.seen == []


def test_a_drill_that_stops_lets_calls_go_on(dial, server, monkeypatch):
    """A call that waits in a fault goes on when the drill stops, and is answered."""
    line = "kind: delay, delay: 30s, ratio: 1.0, lasts: 60s, targets: [cart]"
    with armed(monkeypatch, line) as drill:
        future = dial().unary_unary(PUT).future(b"x")
        drill.stop("enough")

        assert future.result(5) == b"x"


def test_a_future_is_cancelled_in_its_fault(dial, server, monkeypatch):
    """Cancelling reaches a call that waits in a fault: it ends, and is never sent."""
    line = "kind: delay, delay: 30s, ratio: 1.0, lasts: 60s, targets: [cart]"
    ended = threading.Event()
    with armed(monkeypatch, line):
        future = dial().unary_unary(PUT).future(b"x")
        future.add_done_callback(lambda _: ended.set())

        assert future.cancel()
        assert ended.wait(5)
        assert future.code() is grpc.StatusCode.CANCELLED
    assert server.seen == []


@pytest.mark.parametrize("mode", ["enforce", "bypass"])
def test_a_stream_is_cut_midway(mode, dial, monkeypatch):
    """A cut stream gives its first messages, then the error of a broken connection."""
    line = "kind: cut, messages: 2, ratio: 1.0, lasts: 60s, targets: [cart]"
    with armed(monkeypatch, line):
        stream = dial(mode).unary_stream("/shop.Cart/List")(b"x")
        messages = [next(stream), next(stream)]
        with pytest.raises(grpc.RpcError) as caught:
            next(stream)

    assert messages == [b"x", b"x"]
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("mode", ["enforce", "bypass"])
@pytest.mark.parametrize("kind", ["lost", "status, code: UNAVAILABLE, where: after"])
def test_a_stream_that_is_lost_gives_nothing(mode, kind, dial, monkeypatch):
    """A stream whose answer is lost is executed, and none of it is seen."""
    line = f"kind: {kind}, ratio: 1.0, lasts: 60s, methods: [shop.Cart/List]"
    with armed(monkeypatch, line):
        stream = dial(mode).unary_stream("/shop.Cart/List")(b"x")
        with pytest.raises(grpc.RpcError) as caught:
            next(stream)

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_streamed_requests_pass(dial, monkeypatch):
    """Requests that stream meet faults as others do, and arrive whole in the end."""
    line = "kind: delay, delay: 5ms, ratio: 1.0, lasts: 60s, targets: [cart]"
    with armed(monkeypatch, line):
        channel = dial()
        total = channel.stream_unary("/shop.Cart/Sum")(iter([b"a", b"b"]))
        both = list(channel.stream_stream("/shop.Cart/Chat")(iter([b"a", b"b"])))

    assert (total, both) == (b"ab", [b"a", b"b"])


@both_styles
def test_calls_that_no_fault_hits(style, dial, server, monkeypatch):
    """Who is not aimed at is answered as ever, and counted."""
    line = "kind: lost, ratio: 1.0, lasts: 60s, methods: [shop.Cart/List]"
    with armed(monkeypatch, line) as drill:
        assert call(style, dial(), GET) == b"x"

    seen = drill.calls.one()

    assert (seen.code, seen.attempts, seen.answered) == ("OK", 1, 1)


def test_nobody_mistakes_it(dial, records, monkeypatch):
    """The sinks hear that a drill is armed, and every injected error is signed."""
    with armed(monkeypatch, UNAVAILABLE) as drill:
        failure("blocking", dial(), GET)
        drill.stop("enough")
    said = [r.message for r in records.of("Notice") if r.code == "drill"]
    ended = records.of("AttemptEnded")

    assert "is armed" in said[0]
    assert said[-1] == "drill test is over (enough): 3 status injected"
    assert all("(drill test)" in record.outcome.message for record in ended)


def test_without_the_variable_there_is_no_seam(server, engine):
    """A channel without a drill is around the very channel that it was given."""
    with grpc.insecure_channel(server.address) as bare:
        made = resilience.grpc.intercept_channel(bare, engine, target="cart")
        hook = resilience.grpc.client_interceptor(engine, target="cart")

        assert type(made) is resilience.grpc.channel.Channel
        assert made._channel is bare
        assert (
            type(hook) is sys.modules["resilience.grpc.interceptor"].ClientInterceptor
        )


HEDGED = """
version: 1
name: test
grpc:
  methods:
    shop.Cart/Get:
      idempotency: safe
      hedging: {hedging_delay: 5ms, max_extra_load: 1.0}
"""


def test_a_hedge_overtakes_a_delay(server, make_engine, monkeypatch):
    """A hedge meets faults of its own, and the call that it overtakes is cancelled."""
    line = "kind: delay, delay: 30s, ratio: 0.5, lasts: 60s, targets: [cart]"
    with armed(monkeypatch, line) as drill:  # the seed hits the first attempt only
        channel = dial_channel(server.address, make_engine(HEDGED))

        assert call("blocking", channel, GET) == b"x"
        channel.close()
    seen = drill.calls.one()

    assert (seen.attempts, seen.injected) == (2, ("delay",))
    assert len(server.seen) == 1
