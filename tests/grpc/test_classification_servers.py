"""Ends made by grpcio servers and by grpcio's own Python layer: what they mean."""

import os
import signal
import threading

import grpc
import grpc.aio
import pytest

import resilience
import resilience.grpc
from resilience.core.classify import verdict
from resilience.grpc.extract import Attempt, explanation, outcome_of
from tests.core.policies import retry
from tests.grpc.peers.calling import METHOD, end
from tests.grpc.peers.servers import LARGE, SMALL, Gate, aio_server, server


SERVICE = "/shop.Cart/"
WAYS = pytest.mark.parametrize("how", ["call", "future", "aio.call"])
RECEIVE = (("grpc.max_receive_message_length", SMALL),)
SEND = (("grpc.max_send_message_length", SMALL),)


@pytest.fixture(scope="module")
def healthy():
    """The address of a server without limits."""
    with server() as address:
        yield address


@pytest.fixture(scope="module")
def healthy_aio():
    with aio_server() as address:
        yield address


ANSWERS = [
    ("Fault", "UNKNOWN", "application", "yes"),
    ("Nothing", "INTERNAL", "application", "yes"),
    ("Missing", "UNIMPLEMENTED", "permanent", "no"),
]


@WAYS
@pytest.mark.parametrize("row", ANSWERS, ids=lambda row: row[0])
def test_what_a_blocking_server_answers(row, how, healthy):
    """A handler that fails has run; a method that is not there never will."""
    method, *expected = row
    ended = end(healthy, how, method=SERVICE + method)

    assert (*expected, "") == ended.meaning


@WAYS
@pytest.mark.parametrize("row", [ANSWERS[0], ANSWERS[2]], ids=lambda row: row[0])
def test_what_an_asyncio_server_answers(row, how, healthy_aio):
    """The words differ from the blocking server's, the meaning does not."""
    method, *expected = row
    ended = end(healthy_aio, how, method=SERVICE + method)

    assert (*expected, "") == ended.meaning


@WAYS
def test_a_request_too_large_for_us_was_not_sent(how, healthy):
    """A limit of the channel's own on what it sends."""
    ended = end(healthy, how, request=LARGE, options=SEND)

    assert ("RESOURCE_EXHAUSTED", "permanent", "no", "") == ended.meaning
    assert "request is larger" in explanation(ended.error)


@WAYS
def test_a_request_too_large_for_the_server_was_not_executed(how):
    """A limit of the server's, met before its handler."""
    with server(options=RECEIVE) as address:
        ended = end(address, how, request=LARGE)

    assert ("RESOURCE_EXHAUSTED", "permanent", "no", "") == ended.meaning


@WAYS
def test_an_answer_too_large_for_us_was_executed(how, healthy):
    """The work is done, only its answer is lost: a repeat would do it twice."""
    ended = end(healthy, how, method=SERVICE + "Large", options=RECEIVE)

    assert ("RESOURCE_EXHAUSTED", "permanent", "yes", "") == ended.meaning
    assert "was executed" in explanation(ended.error)


@WAYS
def test_too_much_metadata_is_permanent(how, healthy):
    """The same metadata is too large the next time, too."""
    ended = end(healthy, how, metadata=(("k", "v" * 20_000),))

    assert ("RESOURCE_EXHAUSTED", "permanent", "maybe", "") == ended.meaning


@WAYS
@pytest.mark.parametrize("kind", [server, aio_server], ids=["blocking", "asyncio"])
def test_a_full_server_says_slow_down(kind, how):
    """`maximum_concurrent_rpcs` refuses unexecuted, but a repeat at once is no help."""
    gate = Gate()
    with (
        kind(gate=gate, maximum_concurrent_rpcs=1) as address,
        grpc.insecure_channel(address) as channel,
    ):
        first = channel.unary_unary(SERVICE + "Hang").future(b"a")
        assert gate.called.wait(20)
        ended = end(address, how, method=SERVICE + "Fault")
        gate.open.set()
        first.result()

    expected = ("RESOURCE_EXHAUSTED", "overload", "no", "throttled")
    assert expected == ended.meaning
    assert "maybe" == ended.doubted.reached


AGE = (
    ("grpc.max_connection_age_ms", 100),
    ("grpc.max_connection_age_grace_ms", 100),
)


@WAYS
def test_a_connection_that_is_too_old_may_have_executed(how):
    """When the grace is over, the server breaks off calls that it has begun."""
    with server(options=AGE) as address:
        ended = end(address, how, method=SERVICE + "Hang")

    assert ("UNAVAILABLE", "transport", "maybe", "") == ended.meaning


@WAYS
def test_a_server_that_stops_may_have_executed(how):
    """`server.stop(0)` cancels handlers that are at work."""
    gate = Gate()
    running = _stoppable(gate)
    threading.Thread(target=running.stop_when_called).start()
    ended = end(running.address, how, method=SERVICE + "Hang")
    gate.open.set()

    assert ("UNAVAILABLE", "transport", "maybe", "") == ended.meaning


class _stoppable:  # noqa: N801 - reads as a function
    def __init__(self, gate):
        from concurrent import futures

        def hang(request, context):
            gate.wait()
            return request

        self._gate = gate
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        methods = {"Hang": grpc.unary_unary_rpc_method_handler(hang)}
        service = grpc.method_handlers_generic_handler("shop.Cart", methods)
        self._server.add_generic_rpc_handlers((service,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop_when_called(self):
        self._gate.called.wait(20)
        self._server.stop(0)


@WAYS
def test_a_killed_server_may_have_executed(how, hanging_process):
    """SIGKILL in a call: the kernel closes the connection, the work is unknown."""

    def kill():
        hanging_process.stdout.readline()
        os.kill(hanging_process.pid, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    ended = end(f"127.0.0.1:{hanging_process.port}", how)

    assert ("UNAVAILABLE", "transport", "maybe", "") == ended.meaning


PINGS = (
    ("grpc.keepalive_time_ms", 20),
    ("grpc.http2.max_pings_without_data", 0),
)
STRICT = (
    ("grpc.http2.min_ping_interval_without_data_ms", 100_000),
    ("grpc.http2.max_ping_strikes", 1),
)


def test_too_many_pings_may_have_executed():
    """A server that is pinged too often hangs up; pings are a second apart at least."""
    with server(options=STRICT) as address:
        ended = end(address, options=PINGS, method=SERVICE + "Hang")

    assert ("UNAVAILABLE", "transport", "maybe", "") == ended.meaning
    assert "pings" in ended.error.details()


@WAYS
@pytest.mark.parametrize(
    "details",
    [
        "failed to connect to all addresses; last error: x: Connection refused",
        "Stream removed (GOAWAY received; Error code: 0; Debug Text: )",
        "Stream removed (RST_STREAM (Received RST_STREAM with error code 7))",
        "upstream connect error: reset reason: remote refused stream reset",
        "no healthy upstream",
        "errors resolving x:443: Domain name not found",
    ],
    ids=lambda details: details[:32],
)
def test_a_relayed_refusal_is_not_believed(details, how, healthy):
    """A server that repeats what its own backend told it has been reached itself."""
    request = f"UNAVAILABLE {details}".encode()
    ended = end(healthy, how, method=SERVICE + "Relay", request=request)

    assert "READY" == ended.state
    assert "maybe" == ended.doubted.reached
    assert not verdict(ended.doubted, retry(), "none").repeat


def _raising(*_):
    msg = "no such field"
    raise ValueError(msg)


LOCAL = {
    "a serializer": {"request_serializer": _raising},
    "a deserializer": {"response_deserializer": _raising},
}


@pytest.mark.parametrize("way", ["__call__", "future"])
@pytest.mark.parametrize("made", LOCAL.values(), ids=LOCAL)
def test_a_fault_of_our_own_code_is_local(made, way, healthy):
    """What a serializer raises surfaces as INTERNAL, and is never repeated."""
    with grpc.insecure_channel(healthy) as channel:
        error = _failing(getattr(channel.unary_unary(METHOD, **made), way), b"a")

    assert "local" == _outcome(error).kind


@WAYS
def test_illegal_metadata_is_local(how, healthy):
    """What HTTP/2 does not allow in metadata never leaves."""
    ended = end(healthy, how, metadata=(("Not Allowed", "v"),))

    assert "local" == ended.outcome.kind


def test_requests_that_cannot_be_read_are_local(healthy):
    """An iterator of requests that raises is the caller's own."""

    def requests():
        yield b"a"
        _raising()

    with grpc.insecure_channel(healthy) as channel:
        error = _failing(channel.stream_unary(METHOD), requests())

    assert "local" == _outcome(error).kind


def test_an_interceptor_that_raises_is_local(healthy):
    """What an interceptor below ours raises surfaces as INTERNAL of grpcio's own."""

    class Broken(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation, details, request):
            _raising()

    with grpc.insecure_channel(healthy) as bare:
        channel = grpc.intercept_channel(bare, Broken())
        native = channel.unary_unary(METHOD).future(b"a")

    assert "INTERNAL" == native.code().name
    assert "local" == _outcome(native).kind


def test_a_closed_channel_is_local():
    """A call that its own channel's closing ends, and one that comes after."""
    gate = Gate()
    with server(gate=gate) as address:
        channel = grpc.insecure_channel(address)
        native = channel.unary_unary(SERVICE + "Hang").future(b"a")
        assert gate.called.wait(20)
        channel.close()
        in_flight = _outcome(_failing(lambda _: native.result(), None))
        after = _outcome(_failing(channel.unary_unary(METHOD), b"a"))

    assert ("CANCELLED", "local") == in_flight[:2]
    assert ("ValueError", "local") == after[:2]


async def test_a_closed_asyncio_channel_is_local(healthy):
    """A call on a closed channel is a fault of the program."""
    channel = grpc.aio.insecure_channel(healthy)
    await channel.close()
    with pytest.raises(Exception, match="closed") as raised:
        await channel.unary_unary(METHOD)(b"a")

    assert "local" == _outcome(raised.value).kind


def _failing(method, request):
    try:
        answer = method(request)
        answer.result()
    except Exception as error:  # noqa: BLE001 - classified
        return error
    return pytest.fail("it succeeded")


def _outcome(error):
    return outcome_of(error, Attempt(None, 0.1, lambda: "READY", True))


@pytest.mark.parametrize(
    ("method", "word"),
    [("shop.Cart/Missing", "does not have this method"), ("shop.Cart/Large", "larger")],
)
def test_permanent_ends_are_tried_once_and_explained(
    method, word, healthy, make_engine
):
    """Even of a safe method: one attempt, with cause and remedy in the notes."""
    policy = f"""
version: 1
edition: "2026.11"
name: permanent
grpc: {{methods: {{{method}: {{idempotency: safe}}}}}}
"""
    with grpc.insecure_channel(healthy, RECEIVE) as bare:
        wrap = resilience.grpc.intercept_channel
        channel = wrap(bare, make_engine(policy), target="x")
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary("/" + method)(b"a")

    assert 1 == len(resilience.report(raised.value).attempts)
    notes = "\n".join(raised.value.__notes__)
    assert word in notes
    assert "remedy: " in notes
