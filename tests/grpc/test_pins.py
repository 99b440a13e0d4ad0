"""What this package relies on and grpcio does not promise. One test for each reliance.

When one of these fails after a grpcio release, the adapter needs a look, not the test.
"""

import asyncio

import grpc
import grpc.aio
import pytest

from resilience.grpc.connectivity import aio_witness, sync_witness
from resilience.grpc.interceptor import entry_point


GET = "/shop.Cart/Get"


class Keep(grpc.UnaryUnaryClientInterceptor):
    """Keeps continuations and what they return."""

    def __init__(self):
        self.continuations, self.returned = [], []

    def intercept_unary_unary(self, continuation, details, request):
        self.continuations.append(continuation)
        self.returned.append(continuation(details, request))
        return self.returned[-1]


def test_continuations_tell_their_entry_point(server):
    """`entry_point` reads grpcio's private names for blocking calls and futures."""
    keep = Keep()
    with grpc.insecure_channel(server.address) as bare:
        method = grpc.intercept_channel(bare, keep).unary_unary(GET)
        method(b"a")
        method.with_call(b"a")
        method.future(b"a").result()

    assert ["blocking", "blocking", "future"] == [
        entry_point(continuation) for continuation in keep.continuations
    ]


def test_a_blocking_continuation_returns_errors(server):
    """Errors are returned by the continuation, never raised."""
    keep = Keep()
    server.script[:] = [grpc.StatusCode.NOT_FOUND]
    with grpc.insecure_channel(server.address) as bare:
        method = grpc.intercept_channel(bare, keep).unary_unary(GET)
        with pytest.raises(grpc.RpcError) as raised:
            method(b"a")

    assert keep.returned[0] is raised.value


def test_a_local_fault_has_no_text_of_the_core(server):
    """What Python's layer makes has an empty debug text, what C-core makes has one."""

    def fail(_):
        raise ValueError

    with grpc.insecure_channel(server.address) as bare:
        with pytest.raises(grpc.RpcError) as local:
            bare.unary_unary(GET, request_serializer=fail)(b"a")
        with pytest.raises(grpc.RpcError) as remote:
            bare.unary_unary("/shop.Cart/Missing")(b"a")

    assert not local.value.debug_error_string()
    assert remote.value.debug_error_string()


def test_a_future_keeps_its_debug_text_in_its_state(server):
    """A future's text can be read without its blocking accessor."""
    server.script[:] = [grpc.StatusCode.NOT_FOUND]
    with grpc.insecure_channel(server.address) as bare:
        future = bare.unary_unary(GET).future(b"a")
        assert future.exception() is future

    assert future._state.debug_error_string == future.debug_error_string()


def test_a_blocking_channels_state_can_be_read(server, refused_address):
    """The core channel is found behind wrappers, and tells its state."""
    with (
        grpc.insecure_channel(server.address) as good,
        grpc.insecure_channel(refused_address) as bad,
    ):
        stacked = grpc.intercept_channel(grpc.intercept_channel(good, Keep()), Keep())
        witness = sync_witness(stacked)
        assert witness() == "IDLE"
        stacked.unary_unary(GET)(b"a")
        with pytest.raises(grpc.RpcError, match="failed to connect"):
            bad.unary_unary(GET)(b"a")

        assert witness() == "READY"
        assert sync_witness(bad)() == "TRANSIENT_FAILURE"
    assert witness() == ""
    assert sync_witness(object())() == ""


async def test_an_asyncio_channels_state_can_be_read(server, refused_address):
    """The state of an asyncio channel is public."""
    async with grpc.aio.insecure_channel(refused_address) as bad:
        with pytest.raises(grpc.aio.AioRpcError, match="failed to connect"):
            await bad.unary_unary(GET)(b"a")

        assert aio_witness(bad)() == "TRANSIENT_FAILURE"
    assert aio_witness(object())() == ""


async def test_asyncio_calls_of_a_closed_channel_are_cancelled(server):
    """Closing cancels a call: it raises CancelledError and says so itself."""
    import threading

    release = threading.Event()
    server.script[:] = [lambda request, context: release.wait(5) and request]
    channel = grpc.aio.insecure_channel(server.address)
    call = channel.unary_unary(GET)(b"a")
    task = asyncio.ensure_future(call.code())
    await asyncio.sleep(0.01)
    await channel.close()
    release.set()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert call.cancelled()
    assert await task is grpc.StatusCode.CANCELLED


def test_native_retries_strip_the_header(server, engine):
    """C-core strips `grpc-previous-rpc-attempts` while its retries are on."""
    metadata = (("grpc-previous-rpc-attempts", "1"), ("x-retry-attempt", "1"))
    for options in ([], [("grpc.enable_retries", 0)]):
        with grpc.insecure_channel(server.address, options) as bare:
            bare.unary_unary(GET)(b"a", metadata=metadata)

    assert [[], ["1"]] == [s.values("grpc-previous-rpc-attempts") for s in server.seen]
    assert [["1"], ["1"]] == [s.values("x-retry-attempt") for s in server.seen]
