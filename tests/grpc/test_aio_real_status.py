"""A server that ends a call while the client still writes: its status is what shows.

grpcio overwrites it with a local INTERNAL when the write under way fails; of a hundred
bare calls some dozens end so.
"""

import asyncio
import contextlib

import grpc
import grpc.aio
import pytest

import resilience
import resilience.grpc
from resilience.grpc.aio import flight as flights
from resilience.grpc.aio.ends import End


CALLS = 120


def _end(requests, context):
    if dict(context.invocation_metadata()).get("fails"):
        context.abort(grpc.StatusCode.DATA_LOSS, "planned")
    return iter(())


def _said(code, details):
    empty = grpc.aio.Metadata()
    return End(code, details, empty, "", empty)


WRITE_FAILED = _said(grpc.StatusCode.INTERNAL, "Internal error from Core")


@pytest.fixture
async def channel(server):
    handlers = {
        "Ss": grpc.stream_stream_rpc_method_handler(_end),
        "Su": grpc.stream_unary_rpc_method_handler(
            lambda requests, context: b"".join(_end(requests, context))
        ),
    }
    generic = grpc.method_handlers_generic_handler("shop.Early", handlers)
    server._server.add_generic_rpc_handlers((generic,))
    with resilience.PolicyEngine() as engine:
        async with grpc.aio.insecure_channel(server.address) as bare:
            yield resilience.grpc.aio.intercept_channel(bare, engine, target="t")


async def _write_on(call):
    with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
        for _ in range(20):
            await call.write(b"x" * 3000)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("arity", ["stream_stream", "stream_unary"])
async def test_a_failed_write_hides_no_status(channel, arity, fails):
    """Whichever of the two comes first."""
    name = "".join(word[0] for word in arity.split("_")).title()
    method = getattr(channel, arity)(f"/shop.Early/{name}")
    metadata = (("fails", "1"),) if fails else ()

    async def one():
        call = method(metadata=metadata)
        await _write_on(call)
        with contextlib.suppress(grpc.RpcError):
            await (call.read() if arity == "stream_stream" else call)
        return await call.code()

    codes = set()
    for _ in range(CALLS // 8):
        codes.update(await asyncio.gather(*(one() for _ in range(8))))
    expected = grpc.StatusCode.DATA_LOSS if fails else grpc.StatusCode.OK
    assert codes == {expected}


async def test_a_failed_write_before_the_status_is_waited_out(channel):
    """What grpcio says of the write ends nothing: the status is yet to come."""
    call = channel.stream_stream("/shop.Cart/Chat")()
    await call.write(b"a")
    assert await call.read() == b"a"
    flight = call._flight
    flight._has_ended(flight.number, flight.native, WRITE_FAILED)
    assert not call.done()
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_a_failed_write_after_the_status_is_no_news(channel):
    """Older grpcio tells of it once more: nothing is waited for, the status stays."""
    call = channel.stream_stream("/shop.Cart/Chat")()
    await call.write(b"a")
    assert await call.read() == b"a"
    flight, real = call._flight, _said(grpc.StatusCode.UNAVAILABLE, "scripted")
    flight._readers = 1  # who waits for a message has the end kept back
    flight._has_ended(flight.number, flight.native, real)
    flight._has_ended(flight.number, flight.native, WRITE_FAILED)
    assert flight._real_end is None
    assert flight._kept_back == (flight.number, real)
    call.cancel()


async def test_nobody_waits_for_the_status_of_what_is_over(channel, monkeypatch):
    """The wait for a real status ends with its attempt."""
    monkeypatch.setattr(flights, "_STATUS_WAIT_S", 60)
    call = channel.stream_stream("/shop.Cart/Chat")()
    await call.write(b"a")
    assert await call.read() == b"a"
    flight = call._flight
    monkeypatch.setattr(flights, "end_of", _premature)
    flight._has_ended(flight.number, flight.native, WRITE_FAILED)
    waiting = flight._real_end
    call.cancel()
    await asyncio.wait_for(waiting, 5)
    assert call.cancelled()


async def _premature(native):
    return WRITE_FAILED
