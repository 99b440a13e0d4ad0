"""Awaited calls are cut in time without a timer of their own each."""

import asyncio

import pytest
from aiobotocore.response import AioStreamingBody
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

import resilience
from resilience.botocore.aio.cuts import APART_S, NEVER, Cuts
from resilience.botocore.guard import ATTRIBUTE
from tests.botocore.stalling.modes import _list, accepts


LATE = ConnectTimeoutError, ReadTimeoutError
"""How a cut call ends: a slow machine may not have connected by then."""


class Loop:
    """A loop whose time a test turns."""

    def __init__(self):
        self.now, self.timers = 100.0, []

    def time(self):
        return self.now

    def call_at(self, when, callback, *, context):
        assert not [*context]  # nothing of whoever asks is kept
        timer = Timer(when, callback)
        self.timers.append(timer)
        return timer

    @property
    def waiting(self):
        return [timer.when for timer in self.timers if timer.waits]

    def turn(self, now):
        self.now = now
        for timer in [*self.timers]:
            if timer.waits and timer.when <= now:
                timer.waits = False
                timer.callback()


class Timer:
    def __init__(self, when, callback):
        self.when, self.callback, self.waits = when, callback, True

    def cancel(self):
        self.waits = False


class Call:
    """A call that says when it was cut."""

    def __init__(self, loop, then=NEVER):
        self.loop, self.then, self.cuts = loop, then, []

    def cut(self):
        self.cuts.append(self.loop.now)
        return self.then


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def enter(loop):
    """Return a function that enters a call whose time ends then."""
    cuts = Cuts(loop)

    def one(end, then=NEVER):
        call = Call(loop, then)
        cuts.ends[call] = end
        if end < cuts.rings_at:
            cuts.ring_at(end)
        return call

    one.cuts = cuts
    return one


def test_later_calls_take_no_timer(loop, enter):
    """The timer rings for the earliest end there was."""
    for later in range(50):
        enter(130.0 + later)

    assert [130.0] == loop.waiting
    assert 1 == len(loop.timers)


def test_an_earlier_end_comes_in_time(loop, enter):
    """A call with less time than those under way is cut when that has passed."""
    long, short = enter(130.0), enter(101.0)

    assert [101.0] == loop.waiting
    loop.turn(101.0)

    assert ([], [101.0]) == (long.cuts, short.cuts)
    assert [130.0] == loop.waiting


def test_calls_that_are_over_are_not_cut(loop, enter):
    """When the timer rings for a call that is gone it goes on to the next."""
    gone, under_way = enter(101.0), enter(102.0)
    del enter.cuts.ends[gone]

    loop.turn(101.0)
    assert [102.0] == loop.waiting
    loop.turn(102.0)

    assert ([], [102.0]) == (gone.cuts, under_way.cuts)
    assert [] == loop.waiting


def test_nothing_rings_when_no_end_is_left(loop, enter):
    """The next call after a silence asks for a timer again."""
    gone = enter(101.0)
    del enter.cuts.ends[gone]
    loop.turn(101.0)

    assert [] == loop.waiting
    enter(150.0)
    assert [150.0] == loop.waiting


def test_an_attempt_that_was_cut_may_be_cut_again(loop, enter):
    """What a cut call says is its next end."""
    call = enter(101.0, then=105.0)
    loop.turn(101.0)

    assert [105.0] == loop.waiting
    call.then = NEVER
    loop.turn(105.0)
    assert [101.0, 105.0] == call.cuts


def test_many_ends_are_taken_together(loop, enter):
    """Under many calls the timer leaves some time between two rings."""
    first, *rest = [enter(101.0 + place * 1e-6) for place in range(1000)]
    loop.turn(101.0)

    assert [101.0] == first.cuts
    assert [pytest.approx(101.0 + 1000 * APART_S)] == loop.waiting
    loop.turn(loop.waiting[0])
    assert all(call.cuts for call in rest[:499])


def test_a_ring_before_its_time_is_the_one(loop, enter):
    """Loops ring up to their clock's resolution early."""
    call = enter(101.0)
    loop.now = 100.9999999
    enter.cuts._ring()

    assert [100.9999999] == call.cuts


# -- with clients ----------------------------------------------------------------------


def cuts_of(client):
    return vars(client)[ATTRIBUTE]._cuts


async def test_healthy_calls_leave_nothing(connect, wire, make_engine):
    """When they are over nothing of them is kept, and one timer is there."""
    engine = make_engine({"timeout": "60s", "attempt_timeout": "30s"})
    client = await connect("sqs", engine)

    await asyncio.gather(*(client.list_queues() for _ in range(9)))
    rings_at = cuts_of(client).rings_at
    await client.list_queues()

    assert {} == cuts_of(client).ends
    assert rings_at == cuts_of(client).rings_at
    assert 10 == wire.count


async def test_a_call_while_a_task_ends(serve, connect, make_engine):
    """In a task that was cancelled a call that is cut still ends in its own error."""
    engine = make_engine({"breaker": "off", "attempt_timeout": "20ms", "retry": "off"})
    client = await connect("s3", engine, endpoint_url=serve(accepts).url)

    async def work():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with pytest.raises(LATE):
                await _list(client)
            return asyncio.current_task().cancelling()

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    task.cancel()

    assert 1 == await task


async def test_the_callers_cancellation_comes_first(serve, connect, make_engine):
    """A call that is cut while its task is cancelled does not hide that."""
    server = serve(accepts)
    engine = make_engine({"breaker": "off", "timeout": "30s"})
    client = await connect("s3", engine, endpoint_url=server.url)
    task = asyncio.ensure_future(_list(client))
    while not server.seen:  # noqa: ASYNC110 - it happens in another thread
        await asyncio.sleep(0.001)
    (flight,) = cuts_of(client).ends
    flight.cut()
    task.cancel("mine")

    with pytest.raises(asyncio.CancelledError):
        await task
    assert {} == cuts_of(client).ends


async def test_sent_by_a_task_of_its_own(serve, connect, make_engine, monkeypatch):
    """An attempt is cut by itself where somebody has it made in another task."""
    engine = make_engine({"breaker": "off", "attempt_timeout": "20ms", "retry": "off"})
    client = await connect("s3", engine, endpoint_url=serve(accepts).url)
    kind = type(client._endpoint)
    native = kind._send_request

    async def apart(endpoint, *given):
        return await asyncio.shield(native(endpoint, *given))

    monkeypatch.setattr(kind, "_send_request", apart)
    with pytest.raises(LATE):
        await _list(client)

    assert 0 == asyncio.current_task().cancelling()


async def test_no_cancellation_is_left_behind(serve, connect, make_engine):
    """After a cut the task is one that nobody has asked to end."""
    engine = make_engine({"breaker": "off", "retry": "off"})
    client = await connect("s3", engine, endpoint_url=serve(accepts).url)

    with resilience.deadline(0.02), pytest.raises(LATE):
        await _list(client)

    assert 0 == asyncio.current_task().cancelling()


async def test_a_body_that_has_come_is_aiobotocores_own(serve, connect, make_engine):
    """A small one comes with its headers: nothing can cut it any more."""

    def whole(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nall of it")

    client = await connect("s3", make_engine(), endpoint_url=serve(whole).url)

    answer = await client.get_object(Bucket="b", Key="k")

    assert type(answer["Body"]) is AioStreamingBody
    assert b"all of it" == await answer["Body"].read()


async def test_a_body_that_comes_later_is_watched(serve, connect, make_engine):
    """What is still to come may be cut."""

    def halves(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf")
        peer.stall()

    client = await connect("s3", make_engine(), endpoint_url=serve(halves).url)

    answer = await client.get_object(Bucket="b", Key="k")

    assert type(answer["Body"]) is not AioStreamingBody
    answer["Body"].close()


async def test_only_a_followed_call_adds_handlers(connect, wire, make_engine):
    """Handlers that follow a write are there from the first such call on."""
    wire.default = (200, {}, b"")
    operations = {"s3.PutObject": {"idempotency": "keyed"}}
    plain = await connect("s3", make_engine())
    put = {"Bucket": "b", "Key": "k", "Body": b"x"}
    await plain.put_object(**put)
    before = followed(plain)
    keyed = await connect("s3", make_engine(operations=operations))
    await keyed.put_object(**put)

    assert (False, True) == (before, followed(keyed))


def followed(client):
    by_id = client.meta.events._emitter._unique_id_handlers
    return "resilience-before-send-PutObject" in by_id
