"""A server that plays one function for each attempt and remembers what it was sent."""

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from time import monotonic
from typing import Any, Self

import grpc


ARITIES = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
WAIT_S = 20.0
"""Longer than anything takes that is not broken."""

Script = Callable[["Attempt"], Iterator[bytes]]


class Attempt:
    """One attempt as the server sees it."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self.metadata = tuple(tuple(pair) for pair in context.invocation_metadata())
        self.began_at = monotonic()
        self.received: list[bytes] = []
        """Requests in the order in which they came."""
        self.requests: Iterator[bytes]
        """The same, to be read by the script."""
        self.left = threading.Event()
        """Set when the attempt is over, for whatever reason."""
        context.add_callback(self.left.set)

    def values(self, key: str) -> list[str]:
        """What the metadata says under *key*."""
        return [value for name, value in self.metadata if name == key]

    def abort(self, code: str = "ABORTED", details: str = "scripted") -> None:
        """End it with a status."""
        self.context.abort(grpc.StatusCode[code], details)

    def linger(self) -> None:
        """Answer nothing until the client has left, or the test is over."""
        self.left.wait(WAIT_S)


class Attempts:
    """Plays `script` entry by entry, then echoes. Methods: `/shop.ARITY/Do`."""

    def __init__(
        self, *script: Script, port: int = 0, tls: Any = None, **options: Any
    ) -> None:
        self.script = list(script)
        self.seen: list[Attempt] = []
        self._arrived = threading.Condition()
        self._pool = futures.ThreadPoolExecutor(16)
        native = tuple((f"grpc.{name}", value) for name, value in options.items())
        self._server = grpc.server(self._pool, options=native)
        for arity in ARITIES:
            make = getattr(grpc, f"{arity}_rpc_method_handler")
            handler = make(getattr(self, f"_{arity}"))
            generic = grpc.method_handlers_generic_handler(
                f"shop.{arity}", {"Do": handler}
            )
            self._server.add_generic_rpc_handlers((generic,))
        address = f"127.0.0.1:{port}"
        if tls is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, tls)
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, grace: float | None = None) -> None:
        """Stop it; attempts under way are let go."""
        stopping = self._server.stop(grace)
        if grace is None:
            for attempt in self.seen:
                attempt.left.set()
        stopping.wait()
        self._pool.shutdown()

    def wait_for(self, count: int) -> Attempt:
        """Wait until *count* attempts have arrived; returns the newest of these."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.seen) >= count, WAIT_S)
            return self.seen[count - 1]

    def _play(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        attempt = Attempt(context)
        attempt.requests = _kept(requests, attempt.received)
        with self._arrived:
            entry = self.script.pop(0) if self.script else echo
            self.seen.append(attempt)
            self._arrived.notify_all()
        yield from entry(attempt)

    def _unary_unary(self, request: bytes, context: Any) -> bytes:
        return b"".join(self._play(iter([request]), context))

    def _unary_stream(self, request: bytes, context: Any) -> Iterator[bytes]:
        return self._play(iter([request]), context)

    def _stream_unary(self, requests: Iterator[bytes], context: Any) -> bytes:
        return b"".join(self._play(requests, context))

    def _stream_stream(
        self, requests: Iterator[bytes], context: Any
    ) -> Iterator[bytes]:
        return self._play(requests, context)


def _kept(requests: Iterator[bytes], received: list[bytes]) -> Iterator[bytes]:
    for request in requests:
        received.append(request)
        yield request


def echo(attempt: Attempt) -> Iterator[bytes]:
    """Answer each request with itself."""
    yield from attempt.requests


def failing(
    code: str = "ABORTED",
    details: str = "scripted",
    *,
    after: int = 1,
    pushback: str = "",
) -> Script:
    """A script that reads *after* requests and fails.

    *pushback*: what it says in `grpc-retry-pushback-ms`.
    """

    def play(attempt: Attempt) -> Iterator[bytes]:
        for _ in range(after):
            next(attempt.requests)
        if pushback:
            trailing = (("grpc-retry-pushback-ms", pushback),)
            attempt.context.set_trailing_metadata(trailing)
        attempt.abort(code, details)
        yield b""

    return play


def failing_late(attempt: Attempt) -> Iterator[bytes]:
    """A script that answers once and fails then."""
    yield next(attempt.requests)
    attempt.abort()


def silent(attempt: Attempt) -> Iterator[bytes]:
    """A script that never answers."""
    attempt.linger()
    yield from ()
