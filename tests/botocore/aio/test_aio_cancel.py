"""Cancelling an awaited call: it propagates unchanged and gives everything back."""

import asyncio

import pytest

import resilience
from tests.botocore.stalling.modes import _list, accepts


async def cancelled(call, reached):
    """Cancel the task of *call* once *reached* says so; its end."""
    task = asyncio.ensure_future(call)
    while not reached():  # noqa: ASYNC110 - it happens in another thread
        await asyncio.sleep(0.001)
    task.cancel("mine")
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    return caught.value


async def test_in_an_attempt(serve, connect, make_engine, sink):
    """The caller's own cancellation comes out, and the call ends as cancelled."""
    server = serve(accepts)
    engine = make_engine({"breaker": "off"})
    client = await connect("s3", engine, endpoint_url=server.url)

    ended = await cancelled(_list(client), lambda: server.seen)

    assert ("mine",) == ended.args
    (call,) = sink.of("CallEnded")
    assert "cancelled" == call.reason
    assert 1 == server.connections


async def test_in_a_wait(wire, connect, make_engine, clock, sink):
    """Nothing is sent after the wait that was cancelled."""
    waits = asyncio.Event()

    async def asleep(seconds):
        waits.set()
        await asyncio.Event().wait()

    clock.asleep = asleep
    client = await connect("sqs", make_engine())
    wire.plans = [500] * 9

    await cancelled(client.list_queues(), waits.is_set)

    assert 1 == wire.count
    assert ["cancelled"] == [call.reason for call in sink.of("CallEnded")]


async def test_within_a_deadline(serve, connect, make_engine):
    """A deadline around the call makes no timeout of a cancellation."""
    server = serve(accepts)
    engine = make_engine({"breaker": "off"})
    client = await connect("s3", engine, endpoint_url=server.url)

    async def call():
        with resilience.deadline(30):
            await _list(client)

    await cancelled(call(), lambda: server.seen)


async def test_probe_permit_goes_back(serve, wire, connect, make_engine):
    """A probe that was cancelled is no probe: the next call may be one."""
    server = serve(accepts)
    breaker = {"kind": "classic", "scope": ["target"], "min_calls": 1, "probes": 1}
    breaker |= {"failure_ratio": 0.1, "open_for": "1ms", "concurrent_probes": 1}
    engine = make_engine({"retry": "off", "breaker": breaker})
    client = await connect("sqs", engine)
    wire.plans = [500]
    with pytest.raises(client.exceptions.ClientError):
        await client.list_queues()
    stalled = await connect("sqs", engine, endpoint_url=server.url)
    await asyncio.sleep(0.002)

    await cancelled(stalled.list_queues(), lambda: server.seen)
    answer = await client.list_queues()

    assert 200 == answer["ResponseMetadata"]["HTTPStatusCode"]


async def test_timeout_around_a_call_is_the_callers(serve, connect, make_engine):
    """`asyncio.timeout` around a call raises what it always did."""
    server = serve(accepts)
    client = await connect(
        "s3", make_engine({"breaker": "off"}), endpoint_url=server.url
    )

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await _list(client)


async def test_many_calls_at_once(wire, connect, make_engine):
    """Calls of many tasks do not know of one another."""
    client = await connect("sqs", make_engine({"retry": {"max_attempts": 2}}))
    wire.plans = [500] * 4

    answers = await asyncio.gather(
        *(client.list_queues() for _ in range(12)), return_exceptions=True
    )

    failed = [one for one in answers if isinstance(one, Exception)]
    assert 12 == len(answers)
    assert wire.count == 12 + sum(
        len(resilience.report(one).attempts) - 1 for one in failed
    ) + sum(
        one["ResponseMetadata"]["RetryAttempts"]
        for one in answers
        if not isinstance(one, Exception)
    )
