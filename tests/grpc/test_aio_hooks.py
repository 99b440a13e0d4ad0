"""Ours as asyncio interceptors, with others below: what those raise, and wait for."""

import asyncio
import gc

import grpc
import grpc.aio
import pytest

import resilience.grpc
from tests.grpc.peers.aio_streams import answers, start
from tests.grpc.peers.streams import UNAVAILABLE, Peer, named


@pytest.fixture
def peer():
    made = Peer()
    yield made
    made.stop()


@pytest.fixture
def engine(make_engine):
    return make_engine(named("aio"))


class _Giving(grpc.aio.UnaryStreamClientInterceptor):
    """An interceptor below ours with something of its own to raise."""

    def __init__(self, error):
        self.errors = [error]

    async def intercept_unary_stream(self, continuation, details, request):
        if self.errors:
            raise self.errors.pop()
        return await continuation(details, request)


# Older grpcio calls raise again when they are collected, with or without us.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError])
async def test_what_an_inner_interceptor_raises_comes_through(peer, engine, kind):
    """It is no answer to be repeated, nor does anybody wait for ever."""
    ours = resilience.grpc.aio.client_interceptors(engine, target="t")
    layers = [*ours, _Giving(kind())]
    async with grpc.aio.insecure_channel(peer.address, interceptors=layers) as bare:
        with pytest.raises(kind):
            await answers(start(bare, "unary_stream"))
        assert peer.seen == []
    for _ in range(5):
        await asyncio.sleep(0)
        gc.collect()


async def test_a_status_that_an_inner_interceptor_raises_is_repeated(peer, engine):
    """It stands for an attempt's end."""
    empty = grpc.aio.Metadata()
    error = grpc.aio.AioRpcError(UNAVAILABLE, empty, empty, "made here")
    ours = resilience.grpc.aio.client_interceptors(engine, target="t")
    layers = [*ours, _Giving(error)]
    async with grpc.aio.insecure_channel(peer.address, interceptors=layers) as bare:
        assert await answers(start(bare, "unary_stream")) == [b"a"]


async def test_a_hook_that_is_slow_is_timed_with_its_attempt(peer, engine):
    """The first-message limit ends an attempt that an inner interceptor holds up."""

    class Slow(grpc.aio.UnaryStreamClientInterceptor):
        waits = True

        async def intercept_unary_stream(self, continuation, details, request):
            if self.waits:
                self.waits = False
                await asyncio.Event().wait()
            return await continuation(details, request)

    ours = resilience.grpc.aio.client_interceptors(engine, target="t")
    layers = [*ours, Slow()]
    async with grpc.aio.insecure_channel(peer.address, interceptors=layers) as bare:
        assert await answers(start(bare, "unary_stream", method="Slow")) == [b"a"]
        task = asyncio.current_task()
        assert task.cancelling() == 0
