"""A drill in asyncio gRPC: the same faults, in the same places."""

import asyncio
import sys
import time

import grpc
import grpc.aio
import pytest

import resilience
import resilience.grpc.aio
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


async def dial_channel(address, engine):
    bare = grpc.aio.insecure_channel(address)
    return resilience.grpc.aio.intercept_channel(bare, engine, target="cart")


async def dial_hooks(address, engine):
    hooks = resilience.grpc.aio.client_interceptors(engine, target="cart")
    return grpc.aio.insecure_channel(address, interceptors=hooks)


@pytest.fixture(params=[dial_channel, dial_hooks], ids=["channel", "interceptors"])
async def dial(request, server, make_engine):
    """Makes channels of either kind to the server."""
    made = []

    async def make(mode="enforce"):
        engine = make_engine(POLICY.format(mode=mode))
        made.append(await request.param(server.address, engine))
        return made[-1]

    yield make
    for channel in made:
        await channel.close()


async def failure(channel, method, **given):
    with pytest.raises(grpc.RpcError) as caught:
        await channel.unary_unary(method)(b"x", **given)
    return caught.value


def line(kind, whom="targets: [cart]"):
    return f"kind: {kind}, ratio: 1.0, lasts: 60s, {whom}"


@pytest.mark.parametrize(("mode", "attempts"), [("enforce", 3), ("bypass", 1)])
async def test_a_lost_answer_was_executed(mode, attempts, dial, server, monkeypatch):
    """The server executes what has its answer lost, and the drill counts it."""
    with armed(monkeypatch, line("lost")) as drill:
        error = await failure(await dial(mode), GET)

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "Connection reset by peer (drill test)" in error.details()
    assert len(server.seen) == attempts
    seen = drill.calls.one()

    assert (seen.attempts, seen.answered) == (attempts, attempts)


async def test_a_lost_answer_may_have_reached_the_server(dial, server, monkeypatch):
    """What nothing makes harmless is not repeated after its answer was lost."""
    with armed(monkeypatch, line("lost")):
        error = await failure(await dial(), PUT)
    attempts = resilience.report(error).attempts

    assert [(a.reached, a.decision) for a in attempts] == [("maybe", "fail")]
    assert len(server.seen) == 1


async def test_a_status_before_the_server(dial, server, monkeypatch):
    """An error answer in place of the server's: nothing is executed."""
    with armed(monkeypatch, line("status, code: UNAVAILABLE")) as drill:
        error = await failure(await dial(), GET)

    assert error.details() == "injected (drill test)"
    assert server.seen == []
    assert drill.injected == {"status": 3}


@pytest.mark.parametrize("mode", ["enforce", "bypass"])
@pytest.mark.parametrize(("where", "executed"), [("before", 0), ("after", 1)])
async def test_a_delay_meets_the_timeout(
    mode, where, executed, *, dial, server, monkeypatch
):
    """A delay beyond the timeout ends the attempt in time, executed or not."""
    with armed(monkeypatch, line(f"delay, delay: 30s, where: {where}")):
        channel = await dial(mode)
        await channel.channel_ready()
        began = time.monotonic()
        error = await failure(channel, PUT, timeout=0.2)

    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 10
    assert len(server.seen) == executed


async def test_what_is_cut_may_have_reached_the_server(dial, monkeypatch):
    """A call whose connection is cut is not repeated unless that is harmless."""
    with armed(monkeypatch, line("cut")):
        error = await failure(await dial(), PUT)

    assert [a.reached for a in resilience.report(error).attempts] == ["maybe"]


async def test_refused_connections_are_repeated(server, make_engine, monkeypatch):
    """A refusal never reached the server: anything may be tried again."""
    with armed(monkeypatch, line("refuse")):
        engine = make_engine(POLICY.format(mode="enforce"))
        channel = await dial_channel(server.address, engine)
        error = await failure(channel, PUT)
        await channel.close()
    attempts = resilience.report(error).attempts

    assert [a.reached for a in attempts] == ["no"] * 3
    assert server.seen == []


async def test_a_drill_that_stops_lets_calls_go_on(dial, monkeypatch):
    """A call that waits in a fault goes on when the drill stops, and is answered."""
    with armed(monkeypatch, line("delay, delay: 30s")) as drill:
        call = (await dial()).unary_unary(PUT)(b"x")
        await asyncio.sleep(0)
        drill.stop("enough")

        assert await asyncio.wait_for(call, 5) == b"x"


@pytest.mark.parametrize("mode", ["enforce", "bypass"])
async def test_a_call_is_cancelled_in_its_fault(mode, dial, server, monkeypatch):
    """Cancelling reaches a call that waits in a fault: it ends, and is never sent."""
    with armed(monkeypatch, line("delay, delay: 30s")):
        call = (await dial(mode)).unary_unary(PUT)(b"x")
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        for _ in range(3):  # hooks hear of it a turn later
            await asyncio.sleep(0)

        assert call.cancelled()
    assert server.seen == []


@pytest.mark.parametrize("mode", ["enforce", "bypass"])
async def test_a_stream_is_cut_midway(mode, dial, monkeypatch):
    """A cut stream gives its first messages, then the error of a broken connection."""
    messages = []

    async def read(channel):
        async for message in channel.unary_stream("/shop.Cart/List")(b"x"):
            messages.append(message)  # noqa: PERF401 - it ends in an error

    with armed(monkeypatch, line("cut, messages: 2")):
        channel = await dial(mode)
        with pytest.raises(grpc.RpcError) as caught:
            await read(channel)

    assert messages == [b"x", b"x"]
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("mode", ["enforce", "bypass"])
@pytest.mark.parametrize("kind", ["lost", "status, code: UNAVAILABLE, where: after"])
async def test_a_stream_that_is_lost_gives_nothing(mode, kind, dial, monkeypatch):
    """A stream whose answer is lost is executed, and none of it is seen."""
    with armed(monkeypatch, line(kind, "methods: [shop.Cart/List]")):
        channel = await dial(mode)
        with pytest.raises(grpc.RpcError) as caught:
            [m async for m in channel.unary_stream("/shop.Cart/List")(b"x")]

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("mode", ["enforce", "bypass"])
async def test_streamed_requests_pass(mode, dial, monkeypatch):
    """Requests that stream meet faults as others do, and arrive whole in the end."""
    with armed(monkeypatch, line("delay, delay: 5ms")):
        channel = await dial(mode)
        total = await channel.stream_unary("/shop.Cart/Sum")([b"a", b"b"])
        chat = channel.stream_stream("/shop.Cart/Chat")()
        await chat.write(b"a")
        first = await chat.read()
        await chat.done_writing()

        assert (total, first, await chat.read()) == (b"ab", b"a", grpc.aio.EOF)
        assert await chat.code() is grpc.StatusCode.OK


async def test_calls_that_no_fault_hits(dial, monkeypatch):
    """Who is not aimed at is answered as ever, and counted."""
    with armed(monkeypatch, line("lost", "methods: [shop.Cart/List]")) as drill:
        answer = await (await dial()).unary_unary(GET)(b"x")

    assert answer == b"x"
    seen = drill.calls.one()

    assert (seen.code, seen.attempts, seen.answered) == ("OK", 1, 1)


async def test_without_the_variable_there_is_no_seam(server, engine):
    """A channel without a drill is around the very channel that it was given."""
    async with grpc.aio.insecure_channel(server.address) as bare:
        made = resilience.grpc.aio.intercept_channel(bare, engine, target="cart")
        hooks = resilience.grpc.aio.client_interceptors(engine, target="cart")
        own = sys.modules["resilience.grpc.aio.interceptor"]

        assert type(made) is sys.modules["resilience.grpc.aio.channel"].Channel
        assert made._channel is bare
        assert type(hooks[0]) is own._UnaryUnary
