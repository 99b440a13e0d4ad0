"""The engine behind grpcio's own hooks, and interceptors below a protected channel."""

import asyncio
import threading

import grpc
import grpc.aio
import pytest

import resilience
import resilience.grpc


GET, CHARGE = "/shop.Cart/Get", "/shop.Cart/Charge"
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def intercepted(server, engine):
    """A blocking channel with our interceptor."""
    with grpc.insecure_channel(server.address) as bare:
        yield grpc.intercept_channel(
            bare, resilience.grpc.client_interceptor(engine, target="cart")
        )


@pytest.fixture
async def aio_intercepted(server, engine):
    """An asyncio channel with our interceptors."""
    interceptors = resilience.grpc.aio.client_interceptors(engine, target="cart")
    address = server.address
    async with grpc.aio.insecure_channel(address, interceptors=interceptors) as made:
        yield made


def test_the_blocking_interceptor_repeats(intercepted, server):
    """Errors that grpcio returns, not raises, are seen and repeated."""
    server.script[:] = [UNAVAILABLE, UNAVAILABLE]

    assert intercepted.unary_unary(GET)(b"a") == b"a"
    assert [[], ["1"], ["2"]] == [
        seen.values("x-retry-attempt") for seen in server.seen
    ]


def test_the_blocking_interceptor_returns_the_native_pair(intercepted):
    """`with_call` gives the response and grpcio's own call object."""
    response, call = intercepted.unary_unary(GET).with_call(b"a")

    assert (b"a", grpc.StatusCode.OK) == (response, call.code())


def test_the_blocking_interceptor_raises_the_native_error(intercepted, server):
    """The last native error comes unchanged, with its report."""
    server.script[:] = [UNAVAILABLE] * 3

    with pytest.raises(grpc.RpcError) as raised:
        intercepted.unary_unary(GET)(b"a")
    assert raised.value.details() == "scripted"
    assert len(resilience.report(raised.value).attempts) == 3


def test_the_blocking_interceptors_future_does_not_block(intercepted, server):
    """Behind the hook, too, a future is a future: repeats need nobody to wait."""
    server.script[:] = [UNAVAILABLE]
    future = intercepted.unary_unary(GET).future(b"a")

    assert isinstance(future, grpc.Future)
    assert future.result(timeout=5) == b"a"


def test_the_blocking_interceptor_keeps_call_details(intercepted, server):
    """Metadata, timeout and key reach the server as from a protected channel."""
    metadata = [("k", "1"), ("k", "2")]
    intercepted.unary_unary(CHARGE)(b"a", timeout=30, metadata=metadata)
    (seen,) = server.seen

    assert ["1", "2"] == seen.values("k")
    assert 29 < seen.time_remaining < 30.2
    assert len(seen.values("idempotency-key")) == 1


def test_the_blocking_interceptor_rejects(intercepted, engine):
    """A refusal comes out as the error that it is."""
    intercepted.unary_unary(GET)(b"a")
    engine.breaker(engine.snapshot()["scopes"][0]["scope"]).force_open()

    with pytest.raises(resilience.Rejected):
        intercepted.unary_unary(GET)(b"a")
    with pytest.raises(resilience.Rejected):
        intercepted.unary_unary(GET).future(b"a").result()


def test_streams_give_what_bare_ones_give(intercepted):
    """Every arity goes through the interceptor with all of its messages."""
    listed = list(intercepted.unary_stream("/shop.Cart/List")(b"a"))
    summed = intercepted.stream_unary("/shop.Cart/Sum")(iter([b"a", b"b"]))
    chatted = list(intercepted.stream_stream("/shop.Cart/Chat")(iter([b"a", b"b"])))

    assert ([b"a"] * 3, b"ab", [b"a", b"b"]) == (listed, summed, chatted)


def test_another_frameworks_continuation_passes(engine, records):
    """What grpcio did not start is not touched, and that is said once."""
    interceptor = resilience.grpc.client_interceptor(engine, target="cart")

    class Details:
        method = GET

    answer = object()
    for _ in range(2):
        assert answer is interceptor.intercept_unary_unary(
            lambda details, request: answer, Details(), b"a"
        )
    assert ["unknown-continuation"] == [n.code for n in records.of("Notice")]


def test_bypass_is_the_bare_continuation(intercepted, engine, server):
    """In bypass the interceptor does nothing."""
    engine.mode = "bypass"
    server.script[:] = [UNAVAILABLE]

    with pytest.raises(grpc.RpcError) as raised:
        intercepted.unary_unary(GET)(b"a")
    assert resilience.report(raised.value) is None


async def test_the_asyncio_interceptor_repeats(aio_intercepted, server):
    """The hook returns our call at once; it makes the attempts."""
    server.script[:] = [UNAVAILABLE, UNAVAILABLE]

    assert await aio_intercepted.unary_unary(GET)(b"a") == b"a"
    assert [[], ["1"], ["2"]] == [
        seen.values("x-retry-attempt") for seen in server.seen
    ]


async def test_the_asyncio_interceptor_raises_the_native_error(aio_intercepted, server):
    """The native error comes unchanged, with its report; status and metadata agree."""
    server.script[:] = [(grpc.StatusCode.NOT_FOUND, "gone", (("k", "v"),))]
    call = aio_intercepted.unary_unary(GET)(b"a")

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    assert resilience.report(raised.value).reason == "not-retryable"
    assert await call.code() is grpc.StatusCode.NOT_FOUND
    assert (await call.trailing_metadata())["k"] == "v"


async def test_the_asyncio_interceptor_keeps_call_details(aio_intercepted, server):
    """Metadata, timeout and key reach the server as from a protected channel."""
    metadata = grpc.aio.Metadata(("k", "1"), ("k", "2"))
    await aio_intercepted.unary_unary(CHARGE)(b"a", timeout=30, metadata=metadata)
    (seen,) = server.seen

    assert ["1", "2"] == seen.values("k")
    assert 29 < seen.time_remaining < 30.2
    assert len(seen.values("idempotency-key")) == 1


async def test_the_asyncio_interceptor_rejects(aio_intercepted, engine):
    """A refusal comes out as the error that it is."""
    await aio_intercepted.unary_unary(GET)(b"a")
    engine.breaker(engine.snapshot()["scopes"][0]["scope"]).force_open()

    with pytest.raises(resilience.Rejected):
        await aio_intercepted.unary_unary(GET)(b"a")


async def test_the_other_asyncio_arities_pass(aio_intercepted):
    """Streams go through the interceptors untouched."""

    async def requests():
        yield b"a"
        yield b"b"

    listed = [m async for m in aio_intercepted.unary_stream("/shop.Cart/List")(b"a")]
    summed = await aio_intercepted.stream_unary("/shop.Cart/Sum")(requests())
    chat = aio_intercepted.stream_stream("/shop.Cart/Chat")(requests())

    assert ([b"a"] * 3, b"ab") == (listed, summed)
    assert [b"a", b"b"] == [m async for m in chat]


class Below(grpc.UnaryUnaryClientInterceptor):
    """An application's own interceptor, which keeps what it sees."""

    def __init__(self):
        self.seen = []

    def intercept_unary_unary(self, continuation, details, request):
        self.seen.append(details)
        return continuation(details, request)


def test_a_channel_with_interceptors_is_wrapped(server, engine):
    """Interceptors below see each attempt with what it carries."""
    below = Below()
    server.script[:] = [UNAVAILABLE]
    with grpc.insecure_channel(server.address) as bare:
        inner = grpc.intercept_channel(bare, below)
        channel = resilience.grpc.intercept_channel(inner, engine, target="cart")
        assert channel.unary_unary(GET)(b"a") == b"a"
        server.script[:] = [UNAVAILABLE]
        assert channel.unary_unary(GET).future(b"a").result() == b"a"

    assert len(below.seen) == 4
    assert ("x-retry-attempt", "1") in below.seen[1].metadata


def test_an_interceptor_that_raises_is_local(server, engine):
    """A programming error below is raised as it is, and not repeated."""

    class Broken(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation, details, request):
            msg = "bug"
            raise LookupError(msg)

    with grpc.insecure_channel(server.address) as bare:
        inner = grpc.intercept_channel(bare, Broken())
        channel = resilience.grpc.intercept_channel(inner, engine, target="cart")
        with pytest.raises(LookupError) as raised:
            channel.unary_unary(GET)(b"a")
        with pytest.raises(LookupError):
            channel.unary_unary(GET).future(b"a").result()

    assert resilience.report(raised.value).attempts[0].kind == "local"


async def test_an_asyncio_channel_with_interceptors_is_wrapped(server, engine):
    """Asyncio interceptors below see each attempt."""
    seen = []

    class AioBelow(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation, details, request):
            seen.append(details.metadata)
            await asyncio.sleep(0)
            return await continuation(details, request)

    server.script[:] = [UNAVAILABLE]
    address = server.address
    async with grpc.aio.insecure_channel(address, interceptors=[AioBelow()]) as bare:
        channel = resilience.grpc.aio.intercept_channel(bare, engine, target="cart")
        assert await channel.unary_unary(GET)(b"a") == b"a"

    assert len(seen) == 2
    assert seen[1]["x-retry-attempt"] == "1"


LIMITED = """
version: 1
edition: "2026.11"
grpc: {all: {limiter: {initial_limit: 1, max_limit: 1, max_wait: off}}}
"""


async def test_interceptors_limit_too(server, make_engine):
    """Behind grpcio's hooks a call that finds no place is refused unsent."""
    engine, begun, let_go = make_engine(LIMITED), threading.Event(), threading.Event()

    def hold(request, _):
        begun.set()
        let_go.wait(20)
        return request

    server.script = [hold]
    hook = resilience.grpc.client_interceptor(engine, target="cart")
    hooks = resilience.grpc.aio.client_interceptors(engine, target="cart")
    address = server.address
    async with grpc.aio.insecure_channel(address, interceptors=hooks) as aio_channel:
        with grpc.insecure_channel(address) as bare:
            blocking = grpc.intercept_channel(bare, hook).unary_unary(GET)
            first = aio_channel.unary_unary(GET)(b"a")
            waiting = asyncio.ensure_future(asyncio.to_thread(begun.wait, 20))
            await asyncio.wait([waiting])
            with pytest.raises(grpc.RpcError) as refused:
                blocking(b"b")
            with pytest.raises(grpc.RpcError) as refused_too:
                await aio_channel.unary_unary(GET)(b"c")
            let_go.set()
            assert await first == b"a"
            assert blocking(b"d") == b"d"

    reasons = [resilience.report(one.value).reason for one in (refused, refused_too)]
    assert reasons == ["limiter", "limiter"]
    assert len(server.seen) == 2
