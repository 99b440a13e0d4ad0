"""Attempts that fail before anybody comes to read: interceptors below see their end."""

import asyncio

import grpc
import grpc.aio
import pytest

import resilience.grpc
from tests.grpc.peers.aio_streams import answers, start
from tests.grpc.peers.streams import Peer, fail, named


class Watching(grpc.aio.UnaryStreamClientInterceptor):
    """Notes how each stream ended, as one that makes spans does."""

    def __init__(self):
        self.begun = 0
        self.third = asyncio.Event()
        self.ended = []

    async def intercept_unary_stream(self, continuation, details, request):
        self.begun += 1
        if self.begun == 3:
            self.third.set()
        return self._watched(await continuation(details, request))

    async def _watched(self, stream):
        try:
            async for message in stream:
                yield message
        except grpc.aio.AioRpcError as error:
            self.ended.append(error.code().name)
            raise
        else:
            self.ended.append("OK")


@pytest.fixture
def peer():
    made = Peer()
    yield made
    made.stop()


async def test_who_comes_late(peer, make_engine):
    """Two attempts fail before the caller reads: each end is seen, the third too."""
    peer.script = [fail, fail]
    watching = Watching()
    async with grpc.aio.insecure_channel(peer.address, interceptors=[watching]) as bare:
        channel = resilience.grpc.aio.intercept_channel(
            bare, make_engine(named("aio")), target="t"
        )
        call = start(channel, "unary_stream")
        await watching.third.wait()
        found = await answers(call)

    assert found
    assert sorted(watching.ended) == ["OK", "UNAVAILABLE", "UNAVAILABLE"]
