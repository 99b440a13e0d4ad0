"""The driver of the running task."""

import asyncio

import pytest

from resilience.drivers import aio


async def test_success(host):
    """One attempt that succeeds is the call."""

    async def attempt(command):
        await asyncio.sleep(0)
        return host.ok

    finish = await aio.run(host.call(), attempt, host)

    assert (1, "ok") == (finish.number, finish.reason)
    assert [] == host.clock.sleeps


async def test_waits_leave_the_loop_free(host):
    """Calls of several tasks wait side by side."""

    async def attempt(command):
        return host.refused if command.number < 3 else host.ok

    calls = [aio.run(host.call(), attempt, host) for _ in range(5)]
    finishes = await asyncio.gather(*calls)
    waits = [
        sum(a.wait_s for a in host.sink.attempts if a.call_id == ended.call_id)
        for ended in host.sink.calls
    ]

    assert [3] * 5 == [finish.number for finish in finishes]
    assert host.clock.now() == pytest.approx(max(waits))


async def test_cancelled_attempt(host):
    """Cancelling the task cancels its attempt at once, and stays a cancellation."""
    inside, ended = asyncio.Event(), []

    async def attempt(command):
        inside.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(command.number)

    task = asyncio.create_task(aio.run(host.call(), attempt, host))
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [1] == ended
    assert [("cancelled", 1)] == host.ends


async def test_cancelled_wait(host):
    """Cancelling the task in a backoff ends the call with no further attempt."""
    waiting = asyncio.Event()

    async def asleep(_):
        waiting.set()
        await asyncio.Event().wait()

    async def attempt(_):
        return host.refused

    host.asleep = asleep
    task = asyncio.create_task(aio.run(host.call(), attempt, host))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [("cancelled", 1)] == host.ends


async def test_an_outer_timeout_is_the_callers(host):
    """`asyncio.timeout` around a call ends it as that block always does."""

    async def attempt(_):
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await aio.run(host.call(), attempt, host)

    assert [("cancelled", 1)] == host.ends
