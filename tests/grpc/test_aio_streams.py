"""Asyncio streams: repeated until the first message, never after it.

Three ways in: a plain channel, one with an interceptor below ours, and ours as
interceptors themselves.
"""

import asyncio
import contextlib
import gc
import socket
import threading
import weakref

import grpc
import grpc.aio
import pytest

import resilience.grpc
from tests.grpc.peers.aio_streams import (
    PassStreamStream,
    PassStreamUnary,
    PassUnaryStream,
    answers,
    given,
    start,
)
from tests.grpc.peers.streams import ARITIES, UNAVAILABLE, Peer, fail, fail_late, named


WAYS = ("plain", "above", "interceptors")


@pytest.fixture
def peer():
    made = Peer()
    yield made
    made.stop()


@pytest.fixture
def engine(make_engine):
    return make_engine(named("aio"))


@pytest.fixture(params=WAYS)
async def channel(request, peer, engine):
    layers = []
    if request.param == "above":
        layers = [PassUnaryStream(), PassStreamUnary(), PassStreamStream()]
    elif request.param == "interceptors":
        layers = resilience.grpc.aio.client_interceptors(engine, target="t")
    async with grpc.aio.insecure_channel(peer.address, interceptors=layers) as bare:
        if request.param == "interceptors":
            yield bare
        else:
            yield resilience.grpc.aio.intercept_channel(bare, engine, target="t")


@pytest.fixture
async def plain(peer, engine):
    async with grpc.aio.insecure_channel(peer.address) as bare:
        yield resilience.grpc.aio.intercept_channel(bare, engine, target="t")


EXPECTED = {"unary_stream": [b"a"], "stream_unary": [b"a,b"]}


@pytest.mark.parametrize("style", ["read", "iterate"])
@pytest.mark.parametrize("arity", ARITIES)
async def test_all_requests_are_sent_again(channel, peer, arity, style):
    """An attempt that failed before its first answer costs the caller nothing."""
    peer.script = [fail, fail]
    call = start(channel, arity)
    assert await answers(call, style) == EXPECTED.get(arity, [b"a", b"b"])
    assert await call.code() is grpc.StatusCode.OK
    assert len(peer.seen) == 3
    assert peer.seen[-1] == ([b"a"] if arity == "unary_stream" else [b"a", b"b"])


@pytest.mark.parametrize("requests", [[b"a", b"b"], (b"a", b"b")])
@pytest.mark.parametrize("arity", ["stream_unary", "stream_stream"])
async def test_plain_iterables_are_sent_again(channel, peer, arity, requests):
    """Requests that need no waiting for; each attempt has them all."""
    peer.script = [fail, fail]
    call = start(channel, arity, requests=requests)
    assert await answers(call) == EXPECTED.get(arity, [b"a", b"b"])
    assert peer.seen[-1] == [b"a", b"b"]


@pytest.mark.parametrize("arity", ["stream_unary", "stream_stream"])
async def test_written_requests_are_sent_again(channel, peer, arity):
    """What `write` has sent is replayed, and what it sends later follows it."""
    peer.script = [fail]
    short = "".join(word[0] for word in arity.split("_"))
    call = getattr(channel, arity)(f"/shop.Cart/Get{short}")()
    await call.write(b"a")
    while len(peer.seen) < 2:  # noqa: ASYNC110 - a server in threads has no event here
        await asyncio.sleep(0.001)
    await call.write(b"b")
    await call.done_writing()
    assert await answers(call, "read") == EXPECTED.get(arity, [b"a", b"b"])
    assert peer.seen == [[b"a"], [b"a", b"b"]]


@pytest.mark.parametrize("style", ["read", "iterate"])
@pytest.mark.parametrize("arity", ["unary_stream", "stream_stream"])
async def test_nothing_is_repeated_after_the_first_message(channel, peer, arity, style):
    """What the caller has seen is never followed by a second beginning."""
    peer.script = [fail_late]
    call = start(channel, arity)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await answers(call, style)
    assert (raised.value.code(), raised.value.details()) == (UNAVAILABLE, "scripted")
    assert await call.code() is UNAVAILABLE
    assert len(peer.seen) == 1


@pytest.mark.parametrize("arity", ARITIES)
async def test_headers_that_were_shown_are_not_taken_back(channel, peer, arity):
    """Non-empty initial metadata that the caller asked for makes the attempt last."""
    peer.script = [peer.fail_after_headers]
    call = start(channel, arity)
    headers = await call.initial_metadata()
    assert [tuple(pair) for pair in headers] == [("k", "1"), ("k", "2")]
    peer.released.set()
    with pytest.raises(grpc.aio.AioRpcError):
        await answers(call)
    assert len(peer.seen) == 1


async def test_headers_of_the_attempt_that_counts(channel, peer):
    """Those of an attempt that failed without any are not waited for in vain."""

    def with_headers(requests, context):
        context.send_initial_metadata((("k", "1"),))
        yield from requests

    peer.script = [fail, with_headers]
    call = start(channel, "unary_stream")
    headers = await call.initial_metadata()
    assert [tuple(pair) for pair in headers] == [("k", "1")]
    assert await answers(call) == [b"a"]


@pytest.mark.parametrize("requests", ["list", "generator"])
async def test_a_full_buffer_makes_the_attempt_the_last(channel, peer, requests):
    """More requests than may be kept: sent all the same, but never again."""

    def fail_at_the_end(requests, context):
        list(requests)
        context.abort(UNAVAILABLE, "scripted")
        yield b""

    many = [b"a"] * 1001
    for count, attempts in ((1001, 1), (1000, 2)):
        peer.seen.clear()
        peer.script = [fail_at_the_end]
        sent = many[:count] if requests == "list" else given(many[:count])
        call = start(channel, "stream_unary", requests=sent)
        if attempts == 1:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call
            assert raised.value.code() is UNAVAILABLE
        else:
            await call
        assert peer.seen == [many[:count]] * attempts


async def test_an_attempt_without_a_first_message_is_replaced(channel, peer):
    """The first-message timeout ends the attempt, not the call."""
    peer.script = [peer.wait]
    assert await answers(start(channel, "unary_stream", method="Slow")) == [b"a"]
    assert len(peer.seen) == 2


async def test_the_last_attempt_without_a_first_message_says_so(channel, peer):
    """The caller reads which limit it was, and its length."""
    peer.script = [peer.wait] * 3
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await answers(start(channel, "unary_stream", method="Slow"))
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert raised.value.details() == "first message timeout: no message within 0.1 s"


@pytest.mark.parametrize("style", ["read", "iterate"])
async def test_a_silence_between_messages_ends_the_stream(channel, peer, style):
    """The caller reads DEADLINE_EXCEEDED, and which limit it was."""

    def stall(requests, context):
        yield next(requests)
        yield from peer.wait(requests, context)

    peer.script = [stall]
    call = start(channel, "unary_stream", method="Idle")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await answers(call, style)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "idle timeout" in raised.value.details()
    assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(peer.seen) == 1


@pytest.mark.parametrize("arity", ARITIES)
async def test_cancelling_ends_a_pending_wait(plain, peer, arity):
    """A call between two attempts is cancelled as one in an attempt."""
    peer.script = [fail]
    call = start(plain, arity, method="Later")
    told = []
    call.add_done_callback(told.append)
    while not getattr(call, "_flight", call).is_waiting():  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.001)
    assert not call.done()
    assert call.cancel()
    assert not call.cancel()
    assert (call.done(), call.cancelled(), told) == (True, True, [call])
    assert await call.code() is grpc.StatusCode.CANCELLED
    with pytest.raises(asyncio.CancelledError):
        await answers(call)


@pytest.mark.parametrize("arity", ARITIES)
async def test_a_cancelled_reader_cancels_the_call(channel, peer, arity):
    """In an attempt that does not answer, as natively."""
    gone = threading.Event()

    def linger(requests, context):
        if not context.add_callback(gone.set):  # it has gone already
            gone.set()
        yield from peer.wait(requests, context)

    peer.script = [linger]
    call = start(channel, arity)
    reader = asyncio.create_task(answers(call))
    while not peer.seen:  # noqa: ASYNC110 - a server in threads has no event here
        await asyncio.sleep(0.001)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert call.cancelled()
    assert await asyncio.to_thread(gone.wait, 10)
    assert len(peer.seen) == 1


@pytest.mark.parametrize("arity", ["unary_stream", "stream_stream"])
async def test_a_dropped_stream_is_cancelled(plain, peer, arity):
    """Nobody reads it: the server is told, and nothing is kept alive."""
    gone = threading.Event()

    def linger(requests, context):
        context.add_callback(gone.set)
        yield b"x"
        yield from peer.wait(requests, context)

    peer.script = [linger]
    call = start(plain, arity, requests=[b"a"])
    assert await call.read() == b"x"
    flight = weakref.ref(call._flight)
    del call
    gc.collect()
    assert await asyncio.to_thread(gone.wait, 10)
    peer.released.set()
    for _ in range(1000):
        gc.collect()
        if flight() is None:
            break
        await asyncio.sleep(0.005)
    assert flight() is None


async def test_a_broken_request_iterator_cancels_the_call(channel, peer):
    """As natively; the application's own error is never a reason to send again."""

    async def broken():
        yield b"a"
        msg = "mine"
        raise ValueError(msg)

    for arity in ("stream_unary", "stream_stream"):
        call = start(channel, arity, requests=broken())
        with pytest.raises(asyncio.CancelledError):
            await answers(call)
        assert call.cancelled()


async def test_the_source_is_read_in_one_task(plain, peer):
    """What an iterator holds open belongs to the task that opened it."""
    tasks = set()

    async def source():
        for message in (b"a", b"b", b"c"):
            tasks.add(asyncio.current_task())
            await asyncio.sleep(0)
            yield message

    peer.script = [fail, fail]
    assert await start(plain, "stream_unary", requests=source()) == b"a,b,c"
    assert len(tasks) == 1


async def test_a_source_is_asked_for_no_more_than_is_sent(channel, peer):
    """Sending waits for the reader of each message; nothing is read ahead of it."""
    asked = []
    go_on = asyncio.Event()

    async def source():
        for number in range(3):
            asked.append(number)
            yield b"a"
            await go_on.wait()

    call = start(channel, "stream_stream", requests=source())
    reading = aiter(call)
    assert await anext(reading) == b"a"
    assert asked == [0]
    go_on.set()
    assert [each async for each in reading] == [b"a", b"a"]


async def test_a_write_into_an_attempt_that_is_cut_goes_on(plain, peer):
    """Also one that waits for its connection, which natively nothing would end."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        async with grpc.aio.insecure_channel(address) as bare:
            engine = resilience.PolicyEngine.from_text(named("cut"))
            channel = resilience.grpc.aio.intercept_channel(bare, engine, target="t")
            call = channel.stream_stream("/shop.Cart/Slowss")(wait_for_ready=True)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call.write(b"a")
            assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            engine.close()


@pytest.mark.parametrize("arity", ARITIES)
async def test_closing_a_channel_meets_calls_in_tasks(peer, engine, arity):
    """Older grpcio looks through all tasks for its own calls, and finds ours."""
    peer.script = [peer.wait]
    bare = grpc.aio.insecure_channel(peer.address)
    channel = resilience.grpc.aio.intercept_channel(bare, engine, target="t")
    call = start(channel, arity)
    name = "code" if arity == "stream_unary" else "read"
    task = asyncio.create_task(getattr(call, name)())
    await asyncio.sleep(0)
    await channel.close()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert await call.code() is grpc.StatusCode.CANCELLED


async def test_styles_are_not_mixed(plain):
    """As natively: an iterator or `write`, iteration or `read`."""
    call = start(plain, "stream_stream")
    with pytest.raises(grpc.aio.UsageError):
        await call.write(b"x")
    await call.read()
    with pytest.raises(grpc.aio.UsageError):
        aiter(call)
    call.cancel()


async def test_a_repeat_sends_the_message_as_it_was(peer, engine):
    """A message that the caller changes later is sent as it was at first."""

    class Message:
        def __init__(self, text):
            self.text = text

    async with grpc.aio.insecure_channel(peer.address) as bare:
        channel = resilience.grpc.aio.intercept_channel(bare, engine, target="t")
        method = channel.unary_stream("/shop.Cart/Getus", lambda message: message.text)
        peer.script = [fail]
        message = Message(b"a")
        call = method(message)
        await call.wait_for_connection()
        message.text = b"changed"
        assert await answers(call) == [b"a"]
        assert peer.seen == [[b"a"], [b"a"]]


async def test_no_task_is_left(channel, peer):
    """Not of an attempt, a reader, a source or a timer."""
    before = asyncio.all_tasks()
    for arity in ARITIES:
        peer.script = [fail, fail]
        await answers(start(channel, arity))
    for _ in range(100):
        if asyncio.all_tasks() == before:
            break
        await asyncio.sleep(0.001)
    assert asyncio.all_tasks() == before
