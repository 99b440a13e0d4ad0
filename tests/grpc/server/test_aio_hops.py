"""Asyncio servers in a row: one budget, and one layer that retries."""

import asyncio
import contextlib

import grpc
import grpc.aio
import pytest

import resilience.grpc
from resilience.grpc.aio.server import server_interceptor
from resilience.grpc.errors import ErrorMap


POLICY = """
version: 1
edition: "2026.11"
name: hops
grpc:
  all: {idempotency: safe, retry: {initial_backoff: 1ms, max_backoff: 2ms}}
"""


@pytest.fixture
def hops(serve_aio, make_engine):
    """Makes a call of A, which calls B, which calls C, the given handler."""

    def protected(channel):
        engine = make_engine(POLICY)
        made = resilience.grpc.aio.intercept_channel(channel, engine, target="next")
        return made.unary_unary("/shop.Cart/uu")

    async def make(handler, errors=None):
        call = protected(await serve_aio(server_interceptor(errors=errors), uu=handler))
        for _ in range(2):

            async def relay(request, context, inner=call):
                return await inner(request)

            interceptor = server_interceptor(errors=errors)
            call = protected(await serve_aio(interceptor, uu=relay))
        return call

    return make


@pytest.mark.parametrize("errors", [None, ErrorMap()], ids=["plain", "mapped"])
async def test_only_the_layer_nearest_the_fault_retries(hops, errors):
    """Three attempts in all, where three layers of three would have made 27."""
    seen = []

    async def fail(request, context):
        seen.append(request)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "down")

    call = await hops(fail, errors)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"x", timeout=10)

    told = dict(tuple(caught.value.trailing_metadata()))
    assert 3 == len(seen)
    assert "-1" == told["grpc-retry-pushback-ms"]


@pytest.mark.slow
async def test_nobody_works_past_the_callers_deadline(hops):
    """The last of three servers has less time than the first, and is told to stop."""
    loop, stopped, seen = asyncio.get_running_loop(), asyncio.Event(), []

    async def hang(request, context):
        seen.append(context.time_remaining())
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(loop.time())
            stopped.set()

    call = await hops(hang, ErrorMap())
    began = loop.time()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"x", timeout=0.2)

    ended = loop.time()
    async with asyncio.timeout(10):
        await stopped.wait()
    assert grpc.StatusCode.DEADLINE_EXCEEDED is caught.value.code()
    assert seen[0] < 0.2
    assert ended - began < 0.35
    assert seen[1] - began < 0.35


async def test_a_callers_leaving_reaches_the_last(hops):
    """Cancelled at the edge, the handler at the far end stops."""
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def hang(request, context):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    call = (await hops(hang))(b"x", timeout=60)
    async with asyncio.timeout(10):
        await begun.wait()

        call.cancel()

        await stopped.wait()
    with contextlib.suppress(asyncio.CancelledError):
        await call
    assert call.cancelled()
