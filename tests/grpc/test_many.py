"""Many calls at once, some failing, some cancelled: each ends exactly once."""

import asyncio
import random
import time

import grpc
import pytest


GET = "/shop.Cart/Get"
CALLS = 150


@pytest.fixture
def shaky(server):
    """A server that fails about every third attempt."""
    chance = random.Random(7)
    server.script[:] = [
        grpc.StatusCode.UNAVAILABLE if chance.random() < 0.3 else None
        for _ in range(10 * CALLS)
    ]
    return server


async def test_asyncio_calls_end_once_each(shaky, aio_channel, records):
    """Awaited, asked or cancelled at any moment, every call ends, and ends once."""
    method = aio_channel.unary_unary(GET)
    chance = random.Random(8)
    ends = []

    async def one(number):
        call = method(b"%d" % number)
        call.add_done_callback(ends.append)
        match chance.randrange(4):
            case 0:
                await asyncio.sleep(chance.random() / 100)
                call.cancel()
                assert await call.code() is not None
            case 1:
                await call.code()
            case 2:
                task = asyncio.create_task(call.code())
                await asyncio.sleep(chance.random() / 100)
                task.cancel()
        try:
            assert await call == b"%d" % number
        except (grpc.RpcError, asyncio.CancelledError):
            assert await call.code() is not grpc.StatusCode.OK

    await asyncio.wait_for(asyncio.gather(*map(one, range(CALLS))), 30)
    await asyncio.sleep(0)

    assert len(ends) == CALLS
    assert len(records.of("CallEnded")) == CALLS


def test_futures_end_once_each(shaky, channel, records):
    """Asked or cancelled at any moment, every future ends, and ends once."""
    method = channel.unary_unary(GET)
    chance = random.Random(9)
    ends = []
    futures = [method.future(b"%d" % number) for number in range(CALLS)]
    for future in futures:
        future.add_done_callback(ends.append)
    for future in chance.sample(futures, CALLS // 3):
        future.cancel()
    for number, future in enumerate(futures):
        try:
            assert future.result(timeout=20) == b"%d" % number
        except (grpc.RpcError, grpc.FutureCancelledError):
            assert future.code() is not grpc.StatusCode.OK
    end = time.monotonic() + 5  # callbacks of other threads may be on their way
    while time.monotonic() < end and len(records.of("CallEnded")) + len(ends) < 300:
        time.sleep(0.001)

    assert len({id(future) for future in ends}) == len(ends) == CALLS
    assert len(records.of("CallEnded")) == CALLS
