"""Many calls at once through a proxy that says GOAWAY after each few requests.

Bare, about half of them fail although none of those that fail was processed: the
upstream sees exactly as many as succeed. Also called by the benchmarks.
"""

import asyncio
import threading
from collections import Counter
from concurrent import futures
from typing import Any, NamedTuple, Self

import grpc
import grpc.aio

import resilience.grpc
import resilience.grpc.aio
from resilience import PolicyEngine


METHOD = "/shop.Cart/AddItem"
POLICY = """
version: 1
edition: "2026.11"
name: storm
grpc:
  all: {trust_transport_details: true}
  methods:
    shop.Cart/AddItem: {idempotency: none}
"""
"""Everything at its default but the trust in what the transport says."""
CALLS = 400
AT_ONCE = 20
TIMEOUT_S = 20.0


class Upstream:
    """A gRPC server that counts how often each request was executed."""

    def __init__(self) -> None:
        self.executed: Counter[bytes] = Counter()
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        handler = grpc.unary_unary_rpc_method_handler(self._execute)
        methods = {"AddItem": handler}
        service = grpc.method_handlers_generic_handler("shop.Cart", methods)
        self._server.add_generic_rpc_handlers((service,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()

    def _execute(self, request: bytes, context: Any) -> bytes:
        with self._lock:
            self.executed[request] += 1
        return request


class Tally(NamedTuple):
    """What became of the calls."""

    succeeded: int
    errors: tuple[str, ...]
    """Of those that failed: code and details."""


def blocking(
    address: str,
    engine: PolicyEngine | None,
    calls: int = CALLS,
    at_once: int = AT_ONCE,
) -> Tally:
    """*calls* by `.future()`, *at_once* at a time; without *engine*: bare."""
    tally: list[Exception | None] = []
    with grpc.insecure_channel(address) as bare:
        channel = bare
        if engine is not None:
            channel = resilience.grpc.intercept_channel(bare, engine, target="shop")
        method = channel.unary_unary(METHOD)
        for names in _rounds(calls, at_once):
            started = [method.future(name, timeout=TIMEOUT_S) for name in names]
            tally += [future.exception() for future in started]
    return _tally(tally)


def on_a_loop(
    address: str,
    engine: PolicyEngine | None,
    calls: int = CALLS,
    at_once: int = AT_ONCE,
) -> Tally:
    """The same with an asyncio channel."""

    async def run() -> Tally:
        tally: list[Any] = []
        async with grpc.aio.insecure_channel(address) as bare:
            channel = bare
            if engine is not None:
                wrap = resilience.grpc.aio.intercept_channel
                channel = wrap(bare, engine, target="shop")
            method = channel.unary_unary(METHOD)

            async def call(name: bytes) -> bytes:
                return await method(name, timeout=TIMEOUT_S)

            for names in _rounds(calls, at_once):
                started = [call(name) for name in names]
                tally += await asyncio.gather(*started, return_exceptions=True)
        return _tally([x if isinstance(x, Exception) else None for x in tally])

    return asyncio.run(run())


def _rounds(calls: int, at_once: int) -> list[list[bytes]]:
    return [
        [b"%d" % number for number in range(begin, min(begin + at_once, calls))]
        for begin in range(0, calls, at_once)
    ]


def _tally(ends: list[Exception | None]) -> Tally:
    errors = [end for end in ends if end is not None]
    texts = tuple(f"{e.code().name} {e.details()}" for e in errors)
    return Tally(len(ends) - len(errors), texts)
