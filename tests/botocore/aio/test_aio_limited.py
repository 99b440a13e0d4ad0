"""A limit of one, through aiobotocore."""

import asyncio

import pytest

import resilience
from resilience.botocore.rejected import BotocoreRejected
from tests.botocore.stalling.modes import _list, accepts
from tests.botocore.test_limited import Held, engine_of, limiter_of


async def turns(until):
    while not until():  # noqa: ASYNC110 - it happens in another thread
        await asyncio.sleep(0.001)


async def test_one_after_the_other(wire, connect):
    """The second call waits without a thread, and is sent when the first has ended."""
    held = Held()
    wire.plans = [held]
    limit = {"initial_limit": 1, "max_limit": 1, "max_wait": "20s"}
    with engine_of(limit) as engine:
        client = await connect("sqs", engine)
        first = asyncio.create_task(client.list_queues())
        await turns(held.reached.is_set)
        second = asyncio.create_task(client.list_queues())
        await turns(lambda: limiter_of(engine).waiting)
        assert wire.count == 1
        held.let_go.set()
        await asyncio.wait_for(asyncio.gather(first, second), 20)

        assert wire.count == 2
        assert limiter_of(engine).in_flight == 0


async def test_cancelled(serve, connect):
    """Cancelled while it waits or while it runs, it holds no place any more."""
    server = serve(accepts)
    limit = {"initial_limit": 1, "max_limit": 1, "max_wait": "20s"}
    with engine_of(limit) as engine:
        client = await connect("s3", engine, endpoint_url=server.url)
        first = asyncio.create_task(_list(client))
        await turns(lambda: server.seen)
        second = asyncio.create_task(_list(client))
        await turns(lambda: limiter_of(engine).waiting)
        second.cancel()
        await asyncio.wait([second])
        assert (limiter_of(engine).in_flight, limiter_of(engine).waiting) == (1, 0)
        first.cancel()
        await asyncio.wait([first])

        assert limiter_of(engine).in_flight == 0


async def test_refused(wire, connect):
    """Where nothing may wait the second is refused unsent."""
    held = Held()
    wire.plans = [held]
    limit = {"initial_limit": 1, "max_limit": 1, "max_wait": "off"}
    with engine_of(limit) as engine:
        client = await connect("sqs", engine)
        first = asyncio.create_task(client.list_queues())
        await turns(held.reached.is_set)
        with pytest.raises(BotocoreRejected) as caught:
            await client.list_queues()
        held.let_go.set()
        await first

        assert resilience.report(caught.value).reason == "limiter"
        assert wire.count == 1
