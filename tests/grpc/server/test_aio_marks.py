"""Levels, marks and sheds across asyncio servers, and what an abort tells."""

import asyncio
from types import SimpleNamespace

import grpc
import grpc.aio
import pytest

import resilience
import resilience.grpc
from resilience import PolicyEngine
from resilience.grpc.aio.server import server_interceptor
from resilience.testing import CollectingSink, VirtualClock


POLICY = """
version: 1
edition: "2026.11"
name: marks
all: {breaker: {kind: adaptive}}
grpc: {all: {idempotency: safe}}
"""
SCOPE = "grpc:target=next"
LEVEL, PROBE = "x-resilience-level", "x-resilience-probe"
ABORTED = grpc.StatusCode.ABORTED


@pytest.fixture
def engine():
    """An engine whose time stands still, and whose calls draw a middling level."""
    with PolicyEngine.from_text(
        POLICY, sinks=[CollectingSink()], clock=VirtualClock()
    ) as made:
        made._random = lambda: 0.5
        yield made


@pytest.fixture
async def middle(serve_aio, engine):
    """Makes a channel to a server that calls another one with *relay*.

    Metadata of ours that the other one was sent is in its list `sent`.
    """

    async def make(relay, trusted=lambda _: True):
        sent = []

        async def last(request, context):
            sent.append(
                {
                    key: value
                    for key, value in context.invocation_metadata()
                    if key.startswith("x-resilience-")
                }
            )
            return b"r"

        channel = resilience.grpc.aio.intercept_channel(
            await serve_aio(uu=last), engine, target="next"
        )
        inner = channel.unary_unary("/shop.Cart/uu")

        async def handler(request, context):
            return await relay(inner, context)

        ours = server_interceptor(trusted=trusted)
        made = (await serve_aio(ours, uu=handler)).unary_unary("/shop.Cart/uu")
        return SimpleNamespace(call=made, sent=sent)

    return make


async def straight(inner, context):
    return await inner(b"x")


def open_breaker(engine):
    """Open the breaker, which lets nothing through by itself at once."""
    target = resilience.grpc.route.target_of("next", "/shop.Cart/uu")
    engine.bind(target).breaker.admit(engine.now(), lambda: 0.5)
    engine.breaker(SCOPE).open()


async def trailing(call):
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return dict(tuple(error.trailing_metadata()))
    return {}


async def test_a_mark_is_let_through_and_told_on(middle, engine):
    """An open breaker admits what came as a probe, and it stays one."""
    made = await middle(straight)
    open_breaker(engine)

    given = ((LEVEL, "0.0001"), (PROBE, "1"))

    assert b"r" == await made.call(b"x", metadata=given)
    assert [{LEVEL: "0.0001", PROBE: "1"}] == made.sent


async def test_strangers_are_not_believed(middle, engine):
    """Their marks go no further."""
    made = await middle(straight, trusted=None)

    await made.call(b"x", metadata=((LEVEL, "0.0001"), (PROBE, "1")))

    assert [{}] == made.sent


async def test_tasks_and_executors_share_one_level(middle, engine):
    """Work that a handler hands on is as dear as the handler's call itself."""

    async def relay(inner, context):
        loop = asyncio.get_running_loop()

        def elsewhere():
            made = asyncio.run_coroutine_threadsafe(straight(inner, None), loop)
            return made.result()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(straight(inner, context))
        await loop.run_in_executor(None, resilience.propagate(elsewhere))
        await engine.acall("app:a/b", lambda _: straight(inner, context))
        return b"done"

    made = await middle(relay)

    await made.call(b"x", metadata=((LEVEL, "0.1234"),))

    assert [{LEVEL: "0.1234"}] * 3 == made.sent


async def test_an_abort_from_an_except_block_tells_of_the_shed(middle, engine):
    """What grpcio sends at once says already why, and that nobody should repeat it."""

    async def relay(inner, context):
        try:
            return await inner(b"x")
        except grpc.RpcError:
            await context.abort(ABORTED, "sorry", (("own", "1"),))

    made = await middle(relay)
    open_breaker(engine)

    told = await trailing(made.call(b"x", metadata=((LEVEL, "0.0001"),)))

    assert ("1", "-1", "breaker-open") == (
        told["own"],
        told["grpc-retry-pushback-ms"],
        told["x-resilience-shed"],
    )
    assert {"x-resilience-server", "x-resilience-call"} < {*told}


async def test_a_shed_that_is_raised_is_told(middle, engine):
    """A handler that lets the refusal through says as much."""
    made = await middle(straight)
    open_breaker(engine)

    told = await trailing(made.call(b"x", metadata=((LEVEL, "0.0001"),)))

    assert "breaker-open" == told["x-resilience-shed"]


class Sorry(grpc.Status):
    code, details = ABORTED, "sorry"
    trailing_metadata = (("own", "1"),)


@pytest.mark.parametrize("how", ["abort", "set before", "status"])
async def test_aborts_with_metadata_of_their_own_have_our_ids(middle, how):
    """Nothing that a handler says is lost, and nothing of ours."""

    async def relay(inner, context):
        if how == "abort":
            await context.abort(ABORTED, "sorry", trailing_metadata=(("own", "1"),))
        elif how == "status":
            await context.abort_with_status(Sorry())
        context.set_trailing_metadata((("own", "1"),))
        await context.abort(ABORTED, "sorry")

    made = await middle(relay)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await made.call(b"x")

    told = dict(tuple(caught.value.trailing_metadata()))
    assert (ABORTED, "sorry") == (caught.value.code(), caught.value.details())
    assert {"own", "x-resilience-server", "x-resilience-call"} == {*told}


async def test_a_handlers_context_is_grpcios_in_all_else(middle):
    """What a handler reads and sets goes through."""
    seen = []

    async def relay(inner, context):
        context.set_code(ABORTED)
        context.set_details("set")
        seen.extend((context.details(), context.peer()[:4]))
        with pytest.raises(AttributeError):
            context.nothing()
        with pytest.raises(TypeError):
            await context.abort(ABORTED, "x", ["no tuple"])
        return b"r"

    made = await middle(relay)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await made.call(b"x")

    assert (ABORTED, "set") == (caught.value.code(), caught.value.details())
    assert ["set", "ipv4"] == seen
