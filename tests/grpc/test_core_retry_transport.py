"""C-core's retry scenarios about attempts that never reached an application."""

import threading

import grpc
import grpc.aio
import pytest

import resilience
from tests.grpc.peers import http2
from tests.grpc.peers.attempts import ARITIES, WAIT_S, Attempts, failing
from tests.grpc.peers.clients import STEERED, STYLES, ways
from tests.grpc.peers.tls import Authority


ALL = pytest.mark.parametrize(("arity", "style"), ways(ARITIES))
STYLE = pytest.mark.parametrize("style", STYLES)
PREVIOUS = "grpc-previous-rpc-attempts"
REFUSED_STREAM = 7
ABORTED = 10
TRUSTING = "trust_transport_details: true"


def answer(stream):
    """The frames of a good answer."""
    begin, end = http2.grpc_headers(stream), http2.trailers(stream, 0)
    return begin + http2.message(stream, b"ok") + end


class Scripted:
    """An HTTP/2 script that plays one entry for each request, then answers."""

    def __init__(self, *entries):
        self._entries = list(entries)

    def __call__(self, stream):
        entry = self._entries.pop(0) if self._entries else answer
        return [entry(stream)]


def refuse(stream):
    """Not taken up: RST_STREAM REFUSED_STREAM."""
    return http2.rst(stream, REFUSED_STREAM)


def say_goodbye(stream):
    """GOAWAY that names no stream as processed; the client closes the connection."""
    return http2.goaway(0)


def abort(stream):
    """A status at once, without headers before it."""
    content = ("content-type", "application/grpc")
    status = ("grpc-status", str(ABORTED))
    return http2.headers(stream, (":status", "200"), content, status, ends=True)


@ALL
def test_retry_lb_drop(make_client, make_engine, attempts, arity, style):
    """What we refuse ourselves, as a balancer drops calls, is not repeated."""
    client = make_client(style, "breaker: {kind: classic, scope: [target]}")
    assert "OK" == client.call(arity, b"a").code
    client.engine.breaker(client.engine.snapshot()["scopes"][0]["scope"]).force_open()
    end = client.call(arity, b"a")
    assert ([], "UNAVAILABLE") == end[:2]
    assert isinstance(end.error, resilience.Rejected)
    assert len(attempts.seen) == 1


@ALL
def test_retry_lb_fail(make_client, refused_address, records, arity, style):
    """Attempts that find no backend count; any method may repeat them."""
    more = f"idempotency: none\n{TRUSTING}"
    end = make_client(style, more, refused_address).call(arity, b"a")
    assert ([], "UNAVAILABLE") == end[:2]
    history = resilience.report(end.error)
    assert ("attempts-exhausted", False) == (history.reason, history.ambiguous)
    assert ["no"] * 3 == [one.reached for one in history.attempts]


class Plugin(grpc.AuthMetadataPlugin):
    """Call credentials that fail at first."""

    def __init__(self, failures):
        self.asked = 0
        self._failures = failures

    def __call__(self, context, callback):
        self.asked += 1
        error = RuntimeError("no token") if self.asked <= self._failures else None
        callback((("k", "v"),), error)


@ALL
def test_retry_send_op_fails(make_client, make_engine, arity, style):
    """An attempt that fails while it is sent is repeated, and counts."""
    authority = Authority()
    server = authority.certificate().server_credentials()
    tls = grpc.ssl_channel_credentials(authority.roots)
    plugin = Plugin(failures=2)
    credentials = grpc.metadata_call_credentials(plugin)
    with Attempts(tls=server) as attempts:
        address = f"localhost:{attempts.port}"
        client = make_client(style, address=address, tls=tls)
        end = client.call(arity, b"a", credentials=credentials)
        assert ([b"a"], "OK") == end[:2]
        assert [["2"]] == [seen.values(PREVIOUS) for seen in attempts.seen]
        assert plugin.asked == 3


class Rewriting(grpc.UnaryUnaryClientInterceptor):
    """An inner interceptor that gives every failure another code."""

    def __init__(self, code):
        self.code = code

    def intercept_unary_unary(self, continuation, details, request):
        call = continuation(details, request)
        if isinstance(call, grpc.RpcError) or call.exception() is not None:
            call.code = lambda: self.code
        return call


class AioRewriting(grpc.aio.UnaryUnaryClientInterceptor):
    """The same in asyncio."""

    def __init__(self, code):
        self.code = code

    async def intercept_unary_unary(self, continuation, details, request):
        call = await continuation(details, request)
        try:
            await call
        except grpc.aio.AioRpcError as error:
            headers, trailers = error.initial_metadata(), error.trailing_metadata()
            text, debug = error.details(), error.debug_error_string()
            raise grpc.aio.AioRpcError(
                self.code, headers, trailers, text, debug
            ) from None
        return call


@STYLE
@pytest.mark.parametrize(
    ("wire", "shown", "wire_attempts"),
    [("ABORTED", "INVALID_ARGUMENT", 1), ("INVALID_ARGUMENT", "ABORTED", 3)],
)
def test_retry_recv_trailing_metadata_error(
    make_client, attempts, *, style, wire, shown, wire_attempts
):
    """The status that the application would get decides, not the one on the wire."""
    attempts.script = [failing(wire)] * 4
    make = AioRewriting if style == "asyncio" else Rewriting
    client = make_client(style, layers=[make(grpc.StatusCode[shown])])
    assert ([], shown) == client.call("unary_unary", b"a")[:2]
    assert len(attempts.seen) == wire_attempts


@ALL
def test_retry_transparent_goaway(make_client, arity, style):
    """A goodbye before the request was taken up costs none of the attempts."""
    more = f"idempotency: none\n{TRUSTING}\nretry: {{max_attempts: 1}}"
    with http2.Peer(Scripted(say_goodbye)) as peer:
        end = make_client(style, more, peer.address).call(arity, b"a")
        assert ([b"ok"], "OK", "") == end[:3]
        assert peer.requests == 2


@ALL
def test_paid_attempts_follow_free_ones(make_client, arity, style):
    """Attempts that free repeats did not use up are there when the server fails."""
    more = f"{TRUSTING}\nretry: {{max_attempts: 2}}"
    script = Scripted(refuse, abort, refuse, answer)
    with http2.Peer(script) as peer:
        end = make_client(style, more, peer.address).call(arity, b"a")
        assert ([b"ok"], "OK", "") == end[:3]
        assert peer.requests == 4


@ALL
def test_retry_transparent_not_sent_on_wire(make_client, records, arity, style):
    """Ten failures that no application saw are ten free repeats, for any method.

    C-core's test fails before anything is written; from outside that cannot be done,
    so here the peer takes none of the streams up.
    """
    more = f"idempotency: none\n{TRUSTING}\nretry: {{max_attempts: 2}}"
    with http2.Peer(Scripted(*[refuse] * 10)) as peer:
        end = make_client(style, more, peer.address).call(arity, b"a")
        assert ([b"ok"], "OK", "") == end[:3]
        assert peer.requests == 11
    (ended,) = records.of("CallEnded")
    assert (11, 10) == (ended.attempts, ended.free_attempts)


@STYLE
def test_free_repeats_are_bounded(make_client, style):
    """A peer that takes nothing up is not asked for ever."""
    more = f"{TRUSTING}\nretry: {{max_attempts: 2}}"
    with http2.Peer(Scripted(*[refuse] * 1000)) as peer:
        end = make_client(style, more, peer.address).call("unary_unary", b"a")
        assert ([], "UNAVAILABLE") == end[:2]
        assert peer.requests == 102


@pytest.mark.parametrize("style", STEERED)
def test_retry_transparent_max_concurrent_streams(make_client, style):
    """A call that waits for a free stream outlives the server that it waits for."""
    held, go_on = threading.Event(), threading.Event()

    def hold(attempt):
        held.set()
        go_on.wait(WAIT_S)
        yield from attempt.requests

    first = Attempts(hold, max_concurrent_streams=1)
    more = f"idempotency: none\n{TRUSTING}"
    client = make_client(style, more, first.address)
    holder = client.begin("unary_unary", b"a", wait_for_ready=True)
    assert held.wait(WAIT_S)
    waiting = client.begin("unary_unary", b"b", wait_for_ready=True, timeout=WAIT_S)
    stopping = threading.Thread(target=first.stop, args=(WAIT_S,))
    stopping.start()
    with Attempts(port=first.port) as second:
        assert ([b"b"], "OK") == waiting.end()[:2]
        go_on.set()
        assert ([b"a"], "OK") == holder.end()[:2]
        stopping.join(WAIT_S)
        assert [[b"a"]] == [seen.received for seen in first.seen]
        assert [[b"b"]] == [seen.received for seen in second.seen]
