"""Levels, probes' marks and sheds across real servers in a row: edge, middle, last."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

import resilience
import resilience.grpc
from resilience import PolicyEngine, Rejected
from resilience.grpc.server import server_interceptor
from resilience.testing import CollectingSink, VirtualClock


POLICY = """
version: 1
edition: "2026.11"
name: marks
all: {breaker: {kind: adaptive}}
grpc: {all: {idempotency: safe}}
"""
PATH = "/shop.Cart/uu"
SCOPE = "grpc:target=next"
LEVEL, PROBE = "x-resilience-level", "x-resilience-probe"
HIGHEST = 0.9999
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def believe(_):
    return True


class Row:
    """An edge client, a middle server and a last one, which keeps what it is sent."""

    def __init__(self, serve, make, relay=None, trusted=believe, text=POLICY) -> None:
        self.edge, self.middle = make(text), make(text)
        self.sent = []
        self.answer = lambda _: b"r"
        last = serve(uu=self._last)
        self.to_last = self._protected(last, self.middle)
        relay = relay or (lambda request, _: self.to_last(request))
        self.behind = serve(server_interceptor(trusted=trusted), uu=relay)
        self.call = self._protected(self.behind, self.edge)

    def _last(self, request, context):
        self.sent.append(marks_in(context))
        return self.answer(context)

    @staticmethod
    def _protected(server, engine):
        channel = resilience.grpc.intercept_channel(
            server.channel, engine, target="next"
        )
        return channel.unary_unary(PATH)

    def open(self, engine):
        """Open *engine*'s breaker for the next hop."""
        self.breaker(engine).admit(engine.now(), lambda: 0.5)  # it knows the time
        engine.breaker(SCOPE).open()

    def open_until_now(self, engine, clock):
        """The same, so long ago that it lets a probe through."""
        self.open(engine)
        refused = self.breaker(engine).admit(engine.now(), lambda: 0.0)
        clock.advance(refused.retry_at - engine.now() + 0.001)

    def breaker(self, engine):
        target = resilience.grpc.route.target_of("next", PATH)
        return engine.bind(target).breaker


def marks_in(context):
    return {
        key: value
        for key, value in context.invocation_metadata()
        if key.startswith("x-resilience-")
    }


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def make(clock):
    """Makes engines whose time stands still, and whose calls draw the highest level."""
    made = []

    def one(text):
        engine = PolicyEngine.from_text(text, sinks=[CollectingSink()], clock=clock)
        engine._random = lambda: HIGHEST
        made.append(engine)
        return engine

    yield one
    for engine in made:
        engine.close()


@pytest.fixture
def lowest(monkeypatch):
    """Work for which no level was sent has the lowest one."""
    monkeypatch.setattr("resilience.grpc.server_calls.os.urandom", bytes)


@pytest.fixture
def row(serve, make):
    return lambda *args, **named: Row(serve, make, *args, **named)


def trailing(error):
    return dict(error.trailing_metadata() or ())


def test_healthy_calls_carry_nothing(row):
    """While no breaker limits, no hop is told anything."""
    made = row()

    assert b"r" == made.call(b"x")

    assert [{}] == made.sent


def test_a_probe_is_told_to_every_layer(row, clock):
    """What an open breaker lets through carries level and mark, all the way down."""
    made = row()
    made.open_until_now(made.edge, clock)

    made.call(b"x")

    assert [{LEVEL: "0.9999", PROBE: "1"}] == made.sent


def test_who_is_not_trusted_tells_nothing(row, clock):
    """Levels and marks of a stranger go no further, and let nothing through."""
    made = row(trusted=None)
    made.open_until_now(made.edge, clock)

    made.call(b"x")

    assert [{}] == made.sent


def test_a_mark_is_let_through_by_the_next_breaker(row):
    """An open breaker in the middle admits as its own probe what came as one."""
    made = row()
    made.open(made.middle)
    given = ((LEVEL, "0.0001"), (PROBE, "1"))

    response, _ = made.behind.call(metadata=given)

    assert b"r" == response
    assert [{LEVEL: "0.0001", PROBE: "1"}] == made.sent
    assert 1 == made.breaker(made.middle).probes


@pytest.mark.parametrize(
    "given",
    [
        ((LEVEL, "0.0001"),),
        ((LEVEL, "0.0001"), (PROBE, "2")),
        ((LEVEL, "0.0001"), (PROBE, "")),
        ((LEVEL, "1.5"), (LEVEL, "0.0001"), ("x-resilience-probes", "1")),
    ],
)
def test_malformed_marks_count_as_none(row, given):
    """Only `1` is a mark, and only `0.` with digits a level."""
    made = row()
    made.open(made.middle)

    response, _ = made.behind.call(metadata=given)

    assert response is None
    assert [] == made.sent


@pytest.mark.usefixtures("lowest")
def test_a_strangers_mark_lets_nothing_through(row):
    """A mark is believed from trusted peers only."""
    made = row(trusted=lambda _: False)
    made.open(made.middle)

    response, _ = made.behind.call(metadata=((LEVEL, "0.9999"), (PROBE, "1")))

    assert response is None
    assert [] == made.sent


def test_one_mark_lets_one_call_through_for_each_scope(row):
    """A handler that calls in a loop spends its mark with the first one."""
    ends = []

    def relay(request, _):
        for _ in range(5):
            try:
                ends.append(made.to_last(request))
            except Rejected as error:
                ends.append(error.reason)
        return b"done"

    made = row(relay)
    made.open(made.middle)

    made.behind.call(metadata=((LEVEL, "0.0001"), (PROBE, "1")))

    assert [b"r", *["breaker-open"] * 4] == ends


def test_a_handlers_calls_share_one_level(row):
    """Threads and plain calls under a policy too: one draw for one piece of work."""
    levels, drawn = [], iter((0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8))

    def relay(request, _):
        made.to_last(request)
        with ThreadPoolExecutor(1) as pool:
            work = resilience.propagate(made.to_last)
            pool.submit(work, request).result()
        thread = threading.Thread(
            target=resilience.propagate(made.to_last), args=(b"",)
        )
        thread.start()
        thread.join()
        made.middle.call("app:a/b", lambda _: made.to_last(request))
        return b"done"

    made = row(relay)
    made.middle._random = lambda: next(drawn)
    scope = made.middle.bind(resilience.grpc.route.target_of("next", PATH)).scope
    scope.tells_until = float("inf")

    for _ in range(2):
        made.behind.call()

    levels = [found[LEVEL] for found in made.sent]
    assert [levels[0]] * 4 + [levels[4]] * 4 == levels
    assert levels[0] != levels[4]


def test_a_retry_keeps_the_level(row):
    """The second attempt of a call is as dear as the first."""
    made = row()

    def fail_once(context):
        if len(made.sent) < 2:
            context.abort(UNAVAILABLE, "busy")
        return b"r"

    made.answer = fail_once
    made.behind.call(metadata=((LEVEL, "0.4242"), (PROBE, "1")))

    assert ["0.4242", "0.4242"] == [found[LEVEL] for found in made.sent]
    assert ["1", None] == [found.get(PROBE) for found in made.sent]


@pytest.mark.usefixtures("lowest")
def test_a_shed_below_says_nothing_about_who_tells(row):
    """The middle's own refusal is no failure of the middle, and nobody repeats it."""
    made = row()
    made.edge._random = lambda: 0.0
    made.open(made.middle)

    for _ in range(20):
        with pytest.raises(grpc.RpcError) as caught:
            made.call(b"x")

    told = trailing(caught.value)
    assert ("breaker-open", "-1") == (
        told["x-resilience-shed"],
        told["grpc-retry-pushback-ms"],
    )
    history = resilience.report(caught.value)
    assert ("shed", 1) == (history.reason, len(history.attempts))
    assert 0 == made.breaker(made.edge).snapshot(0.0)["openings"]
    assert "closed" == made.breaker(made.edge).state


@pytest.mark.usefixtures("lowest")
def test_a_shed_is_told_through_every_layer(row, serve, make):
    """Three hops above the breaker that refused it, a shed is still one."""
    made = row()
    made.open(made.middle)
    top = serve(server_interceptor(), uu=lambda request, _: made.call(request))

    _, error = top.call()

    assert "shed" == trailing(error)["x-resilience-shed"]


def test_a_failure_below_is_no_shed(row):
    """What was sent and failed is evidence as ever."""
    made = row()

    def fail(context):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")

    made.answer = fail
    _, error = made.behind.call()

    assert "x-resilience-shed" not in trailing(error)


def test_an_unknown_shed_is_none(row, serve, make):
    """A trailer that says anything else is not believed: the status counts."""

    def abort(request, context):
        context.set_trailing_metadata((("x-resilience-shed", "yes"),))
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")

    made = row()
    call = made._protected(serve(uu=abort), made.edge)

    with pytest.raises(grpc.RpcError) as caught:
        call(b"x")

    assert "not-retryable" == resilience.report(caught.value).reason


@pytest.mark.usefixtures("lowest")
def test_levels_are_told_while_layers_below_shed(row, clock):
    """For ten seconds after a shed, so that all layers shed the same calls."""
    made = row()
    draws = iter([0.0, 0.5, 0.5, 0.5, 0.5])
    made.open(made.middle)
    with pytest.raises(grpc.RpcError):
        made.call(b"x")
    made.middle.breaker(SCOPE).reset()
    made.edge._random = lambda: next(draws)

    clock.advance(9.0)
    made.call(b"x")
    clock.advance(2.0)
    made.call(b"x")

    assert [True, False] == [LEVEL in found for found in made.sent]


@pytest.mark.parametrize(
    "text",
    [
        POLICY + "mode: observe\n",
        POLICY + "mode: bypass\n",
        POLICY.replace("kind: adaptive", "kind: adaptive, mode: observe"),
        POLICY.replace("{kind: adaptive}", "off"),
    ],
    ids=["observe", "bypass", "breaker observes", "breaker off"],
)
def test_who_only_watches_tells_nothing(row, clock, text):
    """Nothing is on the wire that a bare client would not send."""
    made = row(text=text)
    if made.breaker(made.edge):
        made.open_until_now(made.edge, clock)

    made.call(b"x")

    assert [{}] == made.sent


def test_a_layer_without_a_breaker_passes_marks_on(row):
    """Whoever limits nothing himself is no wall between those who do."""
    made = row(text=POLICY.replace("{kind: adaptive}", "off"))

    made.behind.call(metadata=((LEVEL, "0.2500"), (PROBE, "1")))

    assert [{LEVEL: "0.2500", PROBE: "1"}] == made.sent


def test_grpcios_own_hooks_tell_as_much(row, clock):
    """Clients that can only use interceptors take part."""
    made = row()
    hook = resilience.grpc.client_interceptor(made.edge, target="next")
    channel = grpc.intercept_channel(made.behind.channel, hook)
    made.open_until_now(made.edge, clock)

    channel.unary_unary(PATH)(b"x")

    assert [{LEVEL: "0.9999", PROBE: "1"}] == made.sent
