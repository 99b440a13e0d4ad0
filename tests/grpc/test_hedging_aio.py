"""Hedged asyncio calls against real servers."""

import asyncio
import gc

import grpc
import grpc.aio
import pytest

import resilience
from tests.grpc.test_hedging import (
    LONG_S,
    Straggler,
    Turns,
    engine,
    straggler,
    tagged,
)


__all__ = ["engine", "straggler"]


async def seen(event):
    """Wait for an event of the server's threads without blocking the loop."""
    return await asyncio.to_thread(event.wait, LONG_S)


async def test_first_success_wins(server, aio_channel, straggler, records):
    """The rival's answer and metadata are the call's; the loser's server hears it."""
    server.script = [Turns(straggler, tagged)] * 2
    call = aio_channel.unary_unary("/shop.Cart/Get")(b"1")

    assert b"quick" == await call
    assert grpc.StatusCode.OK is await call.code()
    assert ("who", "rival") in tuple(await call.trailing_metadata())
    assert await seen(straggler.cancelled)
    (ended,) = records.of("CallEnded")

    assert (2, 1, "ok") == (ended.attempts, ended.hedges, ended.reason)


@pytest.mark.parametrize("engine", ["1h"], indirect=True)
async def test_quick_answer(server, aio_channel, records):
    """Nothing is hedged before the delay."""
    assert b"1" == await aio_channel.unary_unary("/shop.Cart/Get")(b"1")
    assert 1 == len(server.seen)


async def test_fatal_status_ends_the_call(server, aio_channel, straggler):
    """A fatal status of the rival is the call's, and cancels the first attempt."""
    server.script = [Turns(straggler, grpc.StatusCode.NOT_FOUND)] * 2
    call = aio_channel.unary_unary("/shop.Cart/Get")(b"1")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call

    assert grpc.StatusCode.NOT_FOUND is caught.value.code()
    assert grpc.StatusCode.NOT_FOUND is await call.code()
    assert await seen(straggler.cancelled)
    assert 2 == len(resilience.report(caught.value).attempts)


async def test_no_hedge_without_idempotency(server, aio_channel, straggler):
    """What is not declared harmless is never sent twice, however late."""
    server.script = [straggler]
    call = aio_channel.unary_unary("/shop.Cart/Put")(b"1")
    await asyncio.sleep(0.05)
    straggler.let_go.set()

    assert b"late" == await call
    assert 1 == len(server.seen)


async def test_cancelled_task(server, aio_channel, straggler):
    """Cancelling who awaits the call cancels all its attempts."""
    other = Straggler()
    server.script = [straggler, other]

    async def ask():
        return await aio_channel.unary_unary("/shop.Cart/Get")(b"1")

    task = asyncio.create_task(ask())

    assert await seen(straggler.began)
    assert await seen(other.began)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await seen(straggler.cancelled)
    assert await seen(other.cancelled)


async def test_cancel(server, aio_channel, straggler):
    """The call object's own `cancel` does the same."""
    other = Straggler()
    server.script = [straggler, other]
    call = aio_channel.unary_unary("/shop.Cart/Get")(b"1")

    assert await seen(straggler.began)
    assert await seen(other.began)
    assert call.cancel()
    assert call.cancelled()
    assert grpc.StatusCode.CANCELLED is await call.code()
    assert await seen(straggler.cancelled)
    assert await seen(other.cancelled)


async def test_timeout(server, aio_channel, straggler):
    """The caller's timeout ends the call and both its attempts."""
    other = Straggler()
    server.script = [straggler, other]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await aio_channel.unary_unary("/shop.Cart/Get")(b"1", timeout=0.2)

    assert grpc.StatusCode.DEADLINE_EXCEEDED is caught.value.code()
    assert 2 == len(resilience.report(caught.value).attempts)
    for one in (straggler, other):  # on a busy machine one may not have arrived
        assert await seen(one.cancelled) or not one.began.is_set()


async def test_many(server, aio_channel, engine):
    """A hundred calls at once: each is answered, and nothing is left behind."""
    get = aio_channel.unary_unary("/shop.Cart/Get")
    found = await asyncio.gather(*(get(b"%d" % number) for number in range(100)))
    gc.collect()

    assert [b"%d" % number for number in range(100)] == found
    assert set() == aio_channel._calls.active


async def test_functions(make_engine, records):
    """`engine.acall` hedges async functions; the loser is cancelled."""
    engine = make_engine(
        """
        version: 1
        edition: "2026.11"
        name: test
        app:
          all: {hedging: {hedging_delay: 5ms, max_extra_load: 1.0}}
        """
    )
    cancelled = []

    async def fetch(attempt):
        if attempt.number == 1:
            try:
                await asyncio.sleep(LONG_S)
            except asyncio.CancelledError:
                cancelled.append(attempt.number)
                raise
        return attempt.number

    found = await engine.acall("app:rates/quote", fetch, idempotency="safe")
    await asyncio.sleep(0)

    assert (2, [1]) == (found, cancelled)
    assert 1 == records.of("CallEnded")[0].hedges


async def test_functions_cancelled(make_engine):
    """Cancelling who awaits a hedged function cancels its attempts."""
    engine = make_engine(
        """
        version: 1
        edition: "2026.11"
        name: test
        app:
          all: {hedging: {hedging_delay: 1ms, max_extra_load: 1.0}}
        """
    )
    began, ended = asyncio.Event(), []

    async def fetch(attempt):
        if attempt.number == 2:
            began.set()
        try:
            await asyncio.sleep(LONG_S)
        finally:
            ended.append(attempt.number)

    asked = engine.acall("app:rates/quote", fetch, idempotency="safe")
    task = asyncio.create_task(asked)
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)

    assert [1, 2] == sorted(ended)


def test_blocking_functions_say_so(make_engine, records):
    """`engine.call` is not hedged, and a notice says so once."""
    engine = make_engine(
        """
        version: 1
        edition: "2026.11"
        name: test
        app:
          all: {hedging: {hedging_delay: 1ms}}
        """
    )
    for _ in range(2):
        engine.call("app:rates/quote", lambda attempt: attempt.number)

    assert 1 == sum(notice.code == "hedging" for notice in records.of("Notice"))
