"""Real gRPC peers for the tests of this room.

A server that follows a script and remembers what it was sent, one in another process
that can be killed, and a socket that speaks bad HTTP/2 on purpose.
"""

import contextlib
import socket
import subprocess
import sys
import threading
from concurrent import futures
from typing import NamedTuple

import grpc
import grpc.aio
import pytest

import resilience
import resilience.grpc
from resilience.telemetry.traces import TraceSink
from tests.grpc.peers.attempts import Attempts
from tests.grpc.peers.clients import Client, core_policy
from tests.grpc.peers.tracing import PROVIDER, SPANS, TracedClient, use_global


class Seen(NamedTuple):
    """What the server was sent with one attempt."""

    request: bytes
    metadata: tuple
    time_remaining: float | None

    def values(self, key):
        return [value for name, value in self.metadata if name == key]


class Server:
    """Plays one script entry for each attempt, then echoes.

    An entry is a status code, a pair of code and details, a triple with trailing
    metadata, or a function of request and context.
    """

    def __init__(self):
        self.script = []
        self.seen = []
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        handler = grpc.unary_unary_rpc_method_handler(self._answer)
        stream = grpc.unary_stream_rpc_method_handler(self._stream)
        gather = grpc.stream_unary_rpc_method_handler(self._gather)
        both = grpc.stream_stream_rpc_method_handler(self._both)
        methods = {
            "Get": handler,
            "Charge": handler,
            "Put": handler,
            "List": stream,
            "Sum": gather,
            "Chat": both,
        }
        generic = grpc.method_handlers_generic_handler("shop.Cart", methods)
        self._server.add_generic_rpc_handlers((generic,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()

    def _answer(self, request, context):
        left = context.time_remaining()
        seen = Seen(
            request,
            tuple((key, value) for key, value in context.invocation_metadata()),
            left if left is not None and left < 1e9 else None,
        )
        with self._lock:
            self.seen.append(seen)
            entry = self.script.pop(0) if self.script else None
        if entry is None:
            return request
        if callable(entry):
            return entry(request, context)
        if isinstance(entry, grpc.StatusCode):
            entry = (entry, "scripted")
        if len(entry) == 3:
            context.set_trailing_metadata(entry[2])
        context.abort(*entry[:2])
        return None

    def _stream(self, request, context):
        for _ in range(3):
            yield request

    def _gather(self, requests, context):
        return b"".join(requests)

    def _both(self, requests, context):
        yield from requests

    def stop(self):
        self._server.stop(None).wait()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.stop()


POLICY = """
version: 1
edition: "2026.11"
name: test
grpc:
  all: {retry: {initial_backoff: 1ms, max_backoff: 2ms}}
  methods:
    shop.Cart/Get: {idempotency: safe}
    shop.Cart/Charge: {idempotency: keyed}
"""


class Records:
    """A sink that keeps everything."""

    def __init__(self):
        self.all = []

    def emit(self, record):
        self.all.append(record)

    def of(self, kind):
        return [record for record in self.all if type(record).__name__ == kind]


@pytest.fixture
def records():
    return Records()


@pytest.fixture
def make_engine(records):
    """`make_engine(more_yaml="")`: an engine with quick retries that keeps records."""
    made = []

    def make(text=POLICY):
        engine = resilience.PolicyEngine.from_text(text, sinks=(records,), seed=1)
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def engine(make_engine):
    return make_engine()


@pytest.fixture
def policy():
    return POLICY


@pytest.fixture
def channel(server, engine):
    with grpc.insecure_channel(server.address) as bare:
        yield resilience.grpc.intercept_channel(bare, engine, target="cart")


@pytest.fixture
async def aio_channel(server, engine):
    async with grpc.aio.insecure_channel(server.address) as bare:
        yield resilience.grpc.aio.intercept_channel(bare, engine, target="cart")


@pytest.fixture
def attempts():
    """A server that plays one function for each attempt, in any arity."""
    with Attempts() as made:
        yield made


@pytest.fixture
def make_client(attempts, make_engine):
    """`make_client(style, "timeout: 1s")`: calls of one style under that policy."""
    made = []

    def make(style, more="", address=None, **others):
        engine = make_engine(core_policy(more))
        made.append(Client(style, address or attempts.address, engine, **others))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def refused_address():
    """An address where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


_HANGING_SERVER = """
import sys, time, grpc
from concurrent import futures
server = grpc.server(futures.ThreadPoolExecutor(4))
def hang(request, context):
    print("called", flush=True)
    time.sleep(60)
handler = grpc.unary_unary_rpc_method_handler(hang)
server.add_generic_rpc_handlers(
    (grpc.method_handlers_generic_handler("shop.Cart", {"Put": handler}),)
)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
"""


@pytest.fixture
def hanging_process():
    """A server in another process; it says "called" for each call and never answers."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HANGING_SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.port = int(process.stdout.readline())
    yield process
    process.kill()
    process.communicate()


def frame(kind, flags, stream, payload):
    """One HTTP/2 frame (RFC 9113 §4.1)."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


class BadPeer:
    """Accepts HTTP/2 connections and answers each request with *answer(stream)*.

    `answer` returns the frames to send and whether to close the connection then.
    """

    def __init__(self, answer):
        self.requests = 0
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(
                target=self._serve, args=(connection,), daemon=True
            ).start()

    def _serve(self, connection):
        stream = connection.makefile("rb")
        try:
            stream.read(24)  # the client's preface
            connection.sendall(frame(4, 0, 0, b""))
            while head := stream.read(9):
                size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
                number = int.from_bytes(head[5:9], "big")
                payload = stream.read(size)
                if kind == 4 and not flags & 1:
                    connection.sendall(frame(4, 1, 0, b""))
                elif kind == 6 and not flags & 1:
                    connection.sendall(frame(6, 1, 0, payload))
                elif kind in (0, 1) and flags & 1:  # END_STREAM
                    self.requests += 1
                    frames, closes = self._answer(number)
                    connection.sendall(frames)
                    if closes:
                        connection.shutdown(socket.SHUT_RDWR)
                        return
        except OSError:
            return
        finally:
            stream.close()
            connection.close()

    def close(self):
        self._socket.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def bad_peer():
    """`bad_peer("rst", 7)`, `bad_peer("goaway")` or `bad_peer("close")`."""
    made = []

    def make(how, code=0):
        def answer(stream):
            if how == "rst":
                return frame(3, 0, stream, code.to_bytes(4, "big")), False
            if how == "goaway":
                payload = (0).to_bytes(4, "big") + code.to_bytes(4, "big")
                return frame(7, 0, 0, payload), True
            return b"", True

        made.append(BadPeer(answer))
        return made[-1]

    yield make
    for peer in made:
        peer.close()


@pytest.fixture
def spans():
    """Every span that ends from now on, made by the global provider."""
    use_global()
    SPANS.clear()
    yield SPANS
    SPANS.clear()


@pytest.fixture
def make_traced(attempts, spans):
    """`make_traced(way, style, "timeout: 1s")`: calls that are traced that way."""
    made = []

    def make(way, style, more="", sinks=None, address=None):
        if sinks is None and way == "alone":
            sinks = (TraceSink(PROVIDER),)
        engine = resilience.PolicyEngine.from_text(
            core_policy(more), sinks=sinks, seed=1
        )
        client = TracedClient(way, style, address or attempts.address, engine)
        made.extend((client, engine))
        return client

    yield make
    for one in made:
        one.close()
