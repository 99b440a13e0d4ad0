"""What do levels, marks and what a server adopts cost, in time and in bytes?

A call that nobody limits tells nothing: its cost is that of asking whether to. Beside
it one that tells its level, and one that tells level and mark, all through a channel
whose native side answers at once, so that only our own time is seen. Then the bytes
that a client sends for a call, counted between it and a real server.
"""

import socket
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc

from benchmarks.measure import compare, table
from resilience import PolicyEngine
from resilience.context import serving
from resilience.grpc.held import SNAPSHOTS
from resilience.grpc.metadata import marks
from resilience.grpc.multicallable import UnaryUnaryMultiCallable
from resilience.grpc.route import Route
from resilience.inbound import Inbound


POLICY = """
version: 1
name: marks
all: {breaker: {kind: adaptive}}
"""
PATH = "/bench.Any/Get"
HEALTHY = "a healthy call"
LEVEL = ("x-resilience-level", "0.5831")
PROBE = ("x-resilience-probe", "1")


class Native:
    """A native multicallable that answers at once."""

    def __call__(self, request: bytes, **_: Any) -> bytes:
        """Take a call."""
        return request


def candidates() -> dict[str, Callable[[], object]]:
    """What is compared, by name."""
    plain, telling = PolicyEngine.from_text(POLICY), PolicyEngine.from_text(POLICY)

    def made(engine: PolicyEngine) -> UnaryUnaryMultiCallable:
        native: Any = Native()
        route = Route(engine, "next", PATH, lambda: "READY")
        return UnaryUnaryMultiCallable(native, route, SNAPSHOTS, lambda: native)

    call, tells = made(plain), made(telling)
    call(b"x")
    tells(b"x")
    for scope in telling._scopes:  # as after a shed below
        scope.tells_until = float("inf")

    def served(inbound: Inbound) -> Callable[[], object]:
        def one() -> object:
            with serving(inbound):
                return call(b"x")

        return one

    sent = (("user-agent", "grpc-python"), LEVEL, PROBE)
    return {
        HEALTHY: lambda: call(b"x"),
        "one that tells its level": lambda: tells(b"x"),
        "one that a handler makes": served(Inbound(call_id="0" * 16)),
        "the same, passing a level on": served(Inbound(level=0.5)),
        "server: reading no marks": lambda: marks(sent[:1]),
        "server: reading level and mark": lambda: marks(sent),
    }


class Counting:
    """A relay on one connection that counts what the client sends."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.sent = 0
        self._to = port
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._to))
        back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
        back.start()
        self._copy(client, server, counts=True)

    def _copy(
        self, source: socket.socket, sink: socket.socket, *, counts: bool = False
    ) -> None:
        try:
            while data := source.recv(65536):
                if counts:
                    self.sent += len(data)
                sink.sendall(data)
        except OSError:
            return  # the run is over


def bytes_of(extra: tuple[tuple[str, str], ...], calls: int = 200) -> tuple[int, float]:
    """Bytes that a client sends for its second call, and for each of many more."""
    server = grpc.server(futures.ThreadPoolExecutor(2))
    handler = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("bench.Any", {"Get": handler}),)
    )
    relay = Counting(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    # No pings in between: they are sent for what comes back.
    options = [("grpc.http2.bdp_probe", 0)]
    with grpc.insecure_channel(f"127.0.0.1:{relay.port}", options) as channel:
        call = channel.unary_unary(PATH)
        call(b"x")
        first = relay.sent
        call(b"x", metadata=extra)
        second = relay.sent - first
        for number in range(calls):
            varied = tuple(
                (key, f"0.{number:04d}" if key == LEVEL[0] else value)
                for key, value in extra
            )
            call(b"x", metadata=varied)
        each = (relay.sent - first - second) / calls
    server.stop(None).wait()
    return second, each


def report() -> str:
    """The figures as text."""
    times = table("a call through our channel", compare(candidates()), HEALTHY)
    none = bytes_of(())
    lines = [
        "",
        "bytes that a client sends more for a call, once and each further time",
    ]
    for name, extra in (("level", (LEVEL,)), ("level and mark", (LEVEL, PROBE))):
        once, each = bytes_of(extra)
        lines.append(f"{name:44}{once - none[0]:>7}{each - none[1]:>10.1f}")
    return times + "\n".join(lines)


if __name__ == "__main__":
    print(report())
