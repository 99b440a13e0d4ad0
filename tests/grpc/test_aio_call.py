"""The asyncio call object: grpcio's own semantics over any number of attempts."""

import asyncio
import threading

import grpc
import grpc.aio
import pytest

import resilience
import resilience.grpc


GET = "/shop.Cart/Get"
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
SLOW = """
version: 1
edition: "2026.11"
name: test
grpc:
  all: {retry: {initial_backoff: 60s, max_backoff: 60s, jitter: none}}
  methods:
    shop.Cart/Get: {idempotency: safe}
"""


@pytest.fixture
def hanging(server):
    """The server holds each call until the test lets it go."""
    release, arrived = threading.Event(), threading.Event()

    def hold(request, context):
        arrived.set()
        release.wait(10)
        return request

    server.script[:] = [hold] * 3
    yield release, arrived
    release.set()


async def arrival(arrived):
    await asyncio.get_running_loop().run_in_executor(None, arrived.wait, 5)


@pytest.fixture
async def waiting(server, make_engine, records):
    """A call that waits a minute for its second attempt, and its channel."""
    engine = make_engine(SLOW)
    server.script[:] = [UNAVAILABLE]
    bare = grpc.aio.insecure_channel(server.address)
    channel = resilience.grpc.aio.intercept_channel(bare, engine, target="cart")
    call = channel.unary_unary(GET)(b"a")
    while not records.of("AttemptEnded"):  # noqa: ASYNC110 - a sink has no event
        await asyncio.sleep(0)
    yield call, channel
    await channel.close()


async def test_success_after_repeats(aio_channel, server):
    """The response and the status are those of the last attempt."""
    server.script[:] = [UNAVAILABLE, UNAVAILABLE]
    call = aio_channel.unary_unary(GET)(b"a")

    assert not call.done()
    assert await call == b"a"
    assert await call.code() is grpc.StatusCode.OK
    assert await call.details() == ""
    assert call.done()
    assert not call.cancelled()
    assert not call.cancel()
    assert await call == b"a"


async def test_it_is_one_of_grpcs_calls(aio_channel):
    """Code that checks for grpcio's own classes finds them."""
    call = aio_channel.unary_unary(GET)(b"a")
    await call

    assert isinstance(call, grpc.aio.UnaryUnaryCall)
    assert isinstance(aio_channel, grpc.aio.Channel)


async def test_the_native_error_is_one_object(aio_channel, server):
    """Awaiting twice raises the same native error, which has the report."""
    server.script[:] = [(grpc.StatusCode.NOT_FOUND, "gone", (("k", "v"),))]
    call = aio_channel.unary_unary(GET)(b"a")
    errors = []
    for _ in range(2):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        errors.append(raised.value)

    assert errors[0] is errors[1]
    assert resilience.report(errors[0]).reason == "not-retryable"
    assert await call.code() is grpc.StatusCode.NOT_FOUND
    assert await call.details() == "gone"
    assert (await call.trailing_metadata())["k"] == "v"
    assert isinstance(await call.initial_metadata(), grpc.aio.Metadata)
    assert "gone" in await call.debug_error_string()
    with pytest.raises(grpc.aio.AioRpcError):
        await call.wait_for_connection()


async def check_cancelled(call):
    assert call.cancelled()
    assert call.done()
    assert not call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await call.code() is grpc.StatusCode.CANCELLED
    assert await call.details() == "Locally cancelled by application!"
    assert () == tuple(await call.initial_metadata())
    assert () == tuple(await call.trailing_metadata())
    assert await call.debug_error_string() is None
    await asyncio.sleep(0)  # the driver's task hears of it
    await asyncio.sleep(0)


@pytest.mark.parametrize("when", ["at once", "in an attempt"])
async def test_cancel_in_an_attempt(aio_channel, hanging, records, when):
    """Cancelling ends the attempt and the call at once."""
    call = aio_channel.unary_unary(GET)(b"a")
    if when == "in an attempt":
        await arrival(hanging[1])

    assert call.cancel()
    await check_cancelled(call)
    assert ["cancelled"] == [ended.reason for ended in records.of("CallEnded")]


async def test_cancel_between_two_attempts(waiting, server, records):
    """Cancelling in a backoff ends the call at once; no attempt follows."""
    call, _ = waiting

    assert call.cancel()
    await check_cancelled(call)
    assert ["cancelled"] == [ended.reason for ended in records.of("CallEnded")]
    assert len(server.seen) == 1


async def test_cancelling_who_awaits_cancels_the_call(aio_channel, hanging):
    """As in grpcio: a cancelled `await call` takes the call with it."""
    call = aio_channel.unary_unary(GET)(b"a")

    async def wait():
        return await call

    task = asyncio.create_task(wait())
    await arrival(hanging[1])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await check_cancelled(call)


@pytest.mark.parametrize(
    "name",
    ["code", "details", "initial_metadata", "trailing_metadata", "debug_error_string"],
)
async def test_giving_up_on_a_detail_leaves_the_call_alone(aio_channel, hanging, name):
    """`asyncio.wait_for(call.code(), ...)` stops only the asking."""
    call = aio_channel.unary_unary(GET)(b"a")
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(getattr(call, name)(), 0.01)
    hanging[0].set()

    assert await call == b"a"


async def test_several_may_wait(aio_channel, server):
    """Any number of tasks may await one call."""
    server.script[:] = [UNAVAILABLE]
    call = aio_channel.unary_unary(GET)(b"a")

    async def wait():
        return await call

    assert [b"a"] * 3 == await asyncio.gather(*(wait() for _ in range(3)))


async def test_callbacks_get_this_very_call(aio_channel, server, caplog):
    """Callbacks run once, with the object that the caller holds; errors are logged."""
    server.script[:] = [UNAVAILABLE]
    got = []

    def fail(_):
        msg = "mine"
        raise ValueError(msg)

    call = aio_channel.unary_unary(GET)(b"a")
    call.add_done_callback(fail)
    call.add_done_callback(got.append)
    await call
    call.add_done_callback(got.append)

    assert [call, call] == got
    assert "mine" in caplog.text


async def test_a_call_that_nobody_awaits_is_made(aio_channel, server, records):
    """Fire and forget works: the driver is kept until the end."""
    server.script[:] = [UNAVAILABLE]
    aio_channel.unary_unary(GET)(b"a")
    for _ in range(1000):
        if records.of("CallEnded"):
            break
        await asyncio.sleep(0.002)

    assert len(server.seen) == 2


async def test_a_call_may_be_made_before_its_loop_runs_it(aio_channel):
    """The call is under way without being awaited first."""
    call = aio_channel.unary_unary(GET)(b"a")

    assert await call.code() is grpc.StatusCode.OK
    assert await call == b"a"


async def test_time_remaining_is_the_calls(aio_channel):
    """The time left is that of the whole call; None when it has no end."""
    limited = aio_channel.unary_unary(GET)(b"a", timeout=30)
    free = aio_channel.unary_unary(GET)(b"a")

    assert 29 < limited.time_remaining() <= 30
    assert free.time_remaining() is None
    await limited
    await free


async def test_a_rejected_call_fails_when_awaited(aio_channel, engine, server):
    """A refusal is an `AioRpcError`, and the call object answers like a failed one."""
    await aio_channel.unary_unary(GET)(b"a")
    engine.breaker(engine.snapshot()["scopes"][0]["scope"]).force_open()
    call = aio_channel.unary_unary(GET)(b"a")

    assert call.done()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    assert isinstance(raised.value, resilience.Rejected)
    assert await call.code() is UNAVAILABLE
    assert "open" in await call.details()
    assert len(server.seen) == 1


async def test_closing_cancels_calls_in_an_attempt(server, engine, hanging):
    """A call whose channel is closed under it ends as cancelled, as in grpcio."""
    bare = grpc.aio.insecure_channel(server.address)
    channel = resilience.grpc.aio.intercept_channel(bare, engine, target="cart")
    call = channel.unary_unary(GET)(b"a")
    await arrival(hanging[1])
    await channel.close()

    await check_cancelled(call)


async def test_closing_cancels_calls_between_attempts(waiting):
    """A call that waits for its next attempt has none to wait for any more."""
    call, channel = waiting
    await channel.close(grace=5)

    await check_cancelled(call)


async def test_closing_with_grace_lets_attempts_end(server, engine, hanging):
    """An attempt under way may end within the grace."""
    release, arrived = hanging
    bare = grpc.aio.insecure_channel(server.address)
    channel = resilience.grpc.aio.intercept_channel(bare, engine, target="cart")
    call = channel.unary_unary(GET)(b"a")
    await arrival(arrived)
    closing = asyncio.create_task(channel.close(grace=5))
    await asyncio.sleep(0)
    release.set()
    await closing

    assert await call == b"a"


async def test_the_channel_is_a_context_manager(server, engine):
    """Leaving the block closes the inner channel."""
    bare = grpc.aio.insecure_channel(server.address)
    wrapped = resilience.grpc.aio.intercept_channel(bare, engine, target="cart")
    async with wrapped as channel:
        assert channel is wrapped
        await asyncio.wait_for(channel.channel_ready(), 5)
        assert channel.get_state() is grpc.ChannelConnectivity.READY

    assert channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN


async def test_a_task_is_not_lost_to_its_loops_end(server, engine, hanging, records):
    """A loop that shuts down ends the call; the engine hears of it."""
    bare = grpc.aio.insecure_channel(server.address)
    channel = resilience.grpc.aio.intercept_channel(bare, engine, target="cart")
    call = channel.unary_unary(GET)(b"a")
    await arrival(hanging[1])
    call.native._call_response.cancel()  # as `asyncio.run` does at its end
    with pytest.raises(asyncio.CancelledError):
        await call
    await channel.close()

    assert len(records.of("CallEnded")) == 1


async def test_bad_metadata_fails_instead_of_hanging(aio_channel):
    """Metadata that C-core refuses ends every method of the call; grpcio's own hang."""
    call = aio_channel.unary_unary(GET)(b"a", metadata=(("A b", "x"),))

    with pytest.raises(grpc.aio.InternalError):
        await call
    assert await asyncio.wait_for(call.code(), 1) is grpc.StatusCode.INTERNAL


async def test_a_wait_is_not_lost_to_its_loops_end(waiting, records):
    """A loop that shuts down in a backoff ends the call as cancelled, too."""
    call, _ = waiting
    handle = call._driver._handle
    handle.task.cancel()  # as `asyncio.run` does at its end
    with pytest.raises(asyncio.CancelledError):
        await call

    assert call.cancelled()
    assert ["cancelled"] == [ended.reason for ended in records.of("CallEnded")]


async def test_awaiting_between_an_end_and_its_news_does_not_spin(aio_channel, hanging):
    """A native task may have ended before we hear of it: waiters still let us."""
    call = aio_channel.unary_unary(GET)(b"a")
    call._reading = asyncio.get_running_loop().create_future()
    call._reading.set_result(None)

    async def wait():
        return await call

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    hanging[0].set()

    assert await asyncio.wait_for(task, 5) == b"a"
