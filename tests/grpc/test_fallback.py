"""Fallbacks of gRPC calls with one answer."""

import asyncio

import grpc
import grpc.aio
import pytest

import resilience
import resilience.grpc


GET = "/shop.Cart/Get"
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
POLICY = """
version: 1
edition: "2026.11"
name: test
grpc:
  all: {fallback: last, retry: {max_attempts: 1}}
"""


@pytest.fixture
def engine(make_engine):
    return make_engine(POLICY)


@pytest.fixture(params=["call", "with_call", "stream_unary", "aio", "aio_sum"])
def ask(request, server):
    """Return a function that makes one call in one of the ways that fall back."""

    async def awaited(engine):
        async with grpc.aio.insecure_channel(server.address) as bare:
            channel = resilience.grpc.aio.intercept_channel(bare, engine, target="cart")
            if request.param == "aio_sum":
                call = channel.stream_unary("/shop.Cart/Sum")(iter([b"a"]))
            else:
                call = channel.unary_unary(GET)(b"a")
            found = await call
            assert found == await call
            return found

    def run(engine):
        if request.param.startswith("aio"):
            return asyncio.run(awaited(engine))
        with grpc.insecure_channel(server.address) as bare:
            channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
            if request.param == "stream_unary":
                return channel.stream_unary("/shop.Cart/Sum")(iter([b"a"]))
            if request.param == "call":
                return channel.unary_unary(GET)(b"a")
            response, call = channel.unary_unary(GET).with_call(b"a")
            assert call.code() is UNAVAILABLE
            return response

    run.kind = request.param
    return run


def test_a_lost_call(ask, engine, server):
    """The fallback is given the request and the native error, and answers."""
    server.stop()
    seen = []
    engine.fallback("last", lambda failed: seen.append(failed) or b"old")

    assert ask(engine) == b"old"
    (failed,) = seen
    assert UNAVAILABLE is failed.error.code()
    assert failed.name in {"shop.Cart/Get", "shop.Cart/Sum"}
    streams = ask.kind in {"stream_unary", "aio_sum"}
    assert (None if streams else b"a") == failed.request


def test_a_healthy_call(ask, engine):
    """A call that is answered never meets its fallback."""
    engine.fallback("last", lambda _: pytest.fail("it was asked"))
    if ask.kind != "with_call":
        assert ask(engine) == b"a"


@pytest.mark.parametrize("code", ["NOT_FOUND", "INVALID_ARGUMENT", "UNAUTHENTICATED"])
def test_an_answer_is_not_replaced(engine, server, code):
    """A status that the application chose is the caller's to see."""
    engine.fallback("last", lambda _: b"old")
    server.script[:] = [grpc.StatusCode[code]]
    with grpc.insecure_channel(server.address) as bare:
        channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(GET)(b"a")

    assert code == caught.value.code().name


def test_a_fallback_that_fails(ask, engine, server):
    """The native error is raised, with a note."""
    server.stop()
    engine.fallback("last", lambda _: 1 / 0)
    with pytest.raises(grpc.RpcError) as caught:
        ask(engine)

    assert UNAVAILABLE is caught.value.code()
    assert any("ZeroDivisionError" in note for note in caught.value.__notes__)


def test_an_asynchronous_fallback(ask, engine, server):
    """It is awaited where the call is."""
    server.stop()

    @engine.fallback("last")
    async def last(_):
        await asyncio.sleep(0)
        return b"old"

    if ask.kind.startswith("aio"):
        assert ask(engine) == b"old"
    else:
        with pytest.raises(grpc.RpcError):
            ask(engine)


def test_a_cancelled_call(engine, server):
    """Who cancels a call wants no answer."""
    engine.fallback("last", lambda _: b"old")

    async def run():
        async with grpc.aio.insecure_channel(server.address) as bare:
            channel = resilience.grpc.aio.intercept_channel(bare, engine, target="cart")
            call = channel.unary_unary(GET)(b"a")
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    asyncio.run(run())


@pytest.mark.parametrize("style", ["call", "with_call", "aio"])
def test_a_hedged_call(make_engine, server, style):
    """A hedged call whose attempts all failed is answered as any other, and once."""
    rules = "idempotency: safe, hedging: {hedging_delay: 5s}"
    engine = make_engine(POLICY.replace("retry:", f"{rules}, retry:"))
    seen = []
    engine.fallback("last", lambda failed: seen.append(failed) or b"old")
    server.stop()

    async def awaited():
        async with grpc.aio.insecure_channel(server.address) as bare:
            channel = resilience.grpc.aio.intercept_channel(bare, engine, target="cart")
            return await channel.unary_unary(GET)(b"a")

    if style == "aio":
        response = asyncio.run(awaited())
    else:
        with grpc.insecure_channel(server.address) as bare:
            channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
            method = channel.unary_unary(GET)
            if style == "call":
                response = method(b"a")
            else:
                response, call = method.with_call(b"a")
                assert UNAVAILABLE is call.code()

    assert b"old" == response
    (failed,) = seen
    assert (b"a", UNAVAILABLE) == (failed.request, failed.error.code())


@pytest.mark.parametrize("fallback", [b"old", None], ids=["answers", "fails"])
def test_a_hedged_call_that_is_refused(make_engine, fallback):
    """A breaker that refuses a hedged call leaves it to the fallback, or raises."""
    rules = "idempotency: safe, hedging: {hedging_delay: 5s}, breaker: {forced: open}"
    engine = make_engine(POLICY.replace("retry:", f"{rules}, retry:"))
    engine.fallback("last", lambda failed: fallback or _raise(failed.error))
    with grpc.insecure_channel("127.0.0.1:1") as bare:
        channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
        method = channel.unary_unary(GET)
        if fallback:
            assert fallback == method(b"a")
            return
        with pytest.raises(resilience.Rejected):
            method(b"a")


def _raise(error):
    raise error
