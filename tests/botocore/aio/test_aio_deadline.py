"""Awaited calls never outlive their deadline, and attempts are cut in time."""

import asyncio
import time

import pytest
from botocore.exceptions import (
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

import resilience
from resilience.botocore import BotocoreRejected
from tests.botocore.stalling.modes import MODES, _get, _list, accepts
from tests.botocore.stalling.server import Unreachable


pytestmark = pytest.mark.slow
DEADLINE_S = 0.15
LATE_S = 2
"""Far above what is measured (benchmarks/aws_overrun_aio.py), for busy machines; far
below what a native call would take, which is for ever."""
OBJECT = b'HTTP/1.1 200 OK\r\ncontent-length: 4000\r\netag: "a"\r\n\r\nx'


def stalls_object(peer):
    peer.handshake()
    peer.request()
    peer.send(OBJECT)
    peer.stall()


def drips_object(peer):
    peer.handshake()
    peer.request()
    peer.send(OBJECT)
    peer.drip(b"x" * 4000)


async def in_time(call, error):
    began = time.monotonic()
    with resilience.deadline(DEADLINE_S), pytest.raises(error) as caught:
        await call()
    late = time.monotonic() - began - DEADLINE_S

    assert late < LATE_S
    return caught.value


@pytest.fixture
def engine(make_engine):
    return make_engine({"breaker": "off"})


@pytest.fixture
def dial(connect, engine, http, stalling_certificates):
    """Return a function that makes a protected S3 client of a URL."""

    async def make(url):
        bundle = stalling_certificates[0]
        return await connect("s3", engine, http=http, endpoint_url=url, verify=bundle)

    return make


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("name", MODES)
async def test_stalls(name, tls, serve, dial):
    """Whatever the server does, the call ends by its deadline in botocore's words."""
    mode = MODES[name]
    server = serve(mode.script, tls=tls or mode.tls_only)
    client = await dial(server.url)

    ended = await in_time(
        lambda: mode.call(client), (ReadTimeoutError, ConnectTimeoutError)
    )

    assert "deadline" == resilience.report(ended).reason


@pytest.mark.parametrize("name", ["stalls in TLS", "drips TLS"])
async def test_a_handshake_that_is_cut_is_closed(name, serve, dial):
    """The loop watches no more sockets than before the call."""
    mode = MODES[name]
    client = await dial(serve(mode.script, tls=True).url)
    watched = asyncio.get_running_loop()._selector.get_map()
    before = set(watched)

    await in_time(lambda: mode.call(client), ConnectTimeoutError)

    assert before == set(watched)


@pytest.mark.parametrize("script", [stalls_object, drips_object])
async def test_bodies(script, http, serve, connect, engine):
    """A body is bound by the deadline of its call."""
    client = await connect("s3", engine, http=http, endpoint_url=serve(script).url)

    async def read():
        answer = await _get(client)
        await answer["Body"].read()

    await in_time(read, ReadTimeoutError)


async def test_a_body_outside_of_its_block(serve, connect, engine):
    """It holds wherever the body is read."""
    client = await connect("s3", engine, endpoint_url=serve(stalls_object).url)
    began = time.monotonic()
    with resilience.deadline(DEADLINE_S):
        answer = await _get(client)

    with pytest.raises(ReadTimeoutError):
        await answer["Body"].read()

    assert time.monotonic() - began < DEADLINE_S + LATE_S


async def test_connecting(http, connect, engine):
    """A connection that does not come says that nothing was sent."""
    unreachable = Unreachable()
    client = await connect("s3", engine, http=http, endpoint_url=unreachable.url)

    ended = await in_time(lambda: _list(client), ConnectTimeoutError)
    unreachable.close()

    assert not resilience.report(ended).ambiguous


async def test_credentials_that_do_not_come(serve, connect, engine):
    """What is awaited before anything is sent ends in time, and says so."""
    server = serve(accepts)
    client = await connect("s3", engine, endpoint_url=server.url)

    async def refresh(**_):
        await asyncio.Event().wait()

    client.meta.events.register_first("request-created.s3", refresh)
    ended = await in_time(lambda: _list(client), BotocoreRejected)

    assert "deadline" == ended.reason
    assert 0 == server.connections


async def test_an_attempt_that_is_too_long_is_tried_again(serve, connect, make_engine):
    """An attempt is cut by `attempt_timeout`, and the next one answers."""

    def first_stalls(peer):
        peer.handshake()
        peer.request()
        if len(server.seen) == 1:
            peer.stall()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    server = serve(first_stalls)
    engine = make_engine({"breaker": "off", "attempt_timeout": "150ms"})
    client = await connect("s3", engine, endpoint_url=server.url)

    await client.head_object(Bucket="b", Key="k")

    assert 2 == len(server.seen)


async def test_observing_cuts_nothing(serve, connect, make_engine):
    """Under observe a slow answer is the caller's own matter."""

    def slow(peer):
        peer.request()
        peer.rest(0.1)
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    engine = make_engine({"attempt_timeout": "10ms"}, mode="observe")
    client = await connect("s3", engine, endpoint_url=serve(slow).url)

    with resilience.deadline(0.01):
        answer = await client.head_object(Bucket="b", Key="k")

    assert 200 == answer["ResponseMetadata"]["HTTPStatusCode"]


async def test_a_deadline_that_has_passed(wire, connect, engine):
    """Nothing is sent."""
    client = await connect("s3", engine)

    with resilience.deadline(0), pytest.raises(BotocoreRejected):
        await _list(client)

    assert 0 == wire.count


async def test_refused_connection(http, connect, engine, unused_tcp_port, clock):
    """Nobody listens: tried again, for nothing was sent."""
    url = f"http://127.0.0.1:{unused_tcp_port}"
    client = await connect("s3", engine, http=http, endpoint_url=url)

    with pytest.raises(EndpointConnectionError) as caught:
        await client.put_object(Bucket="b", Key="k", Body=b"1")

    assert 3 == len(resilience.report(caught.value).attempts)
