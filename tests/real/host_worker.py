"""One process of a host, with a real channel to each backend that it is told of.

    python host_worker.py POLICY-FILE

Orders on its input, one line of JSON each: `{"use": NAME, "port": N, "every_s": S}`
(call that backend from now on), `{"count": true}`, and the end of the input. It tells
on its output, with the monotonic time: `ready`, how many live on the host (`alive`),
each `calls` of 20, the first `bad` result of a backend, each `state` of a breaker, and
what it has `counted`.
"""

import asyncio
import contextlib
import json
import random
import sys
import time

import grpc
import grpc.aio

import resilience
import resilience.grpc.aio
from resilience.core.record import AttemptEnded, BreakerChanged


RECONNECT = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 100),
]


class Worker:
    """Calls, and takes orders."""

    def __init__(self, path: str) -> None:
        self.engine = resilience.PolicyEngine.from_yaml(path, sinks=[self])
        self.backend, self.get, self.every_s = "", None, 0.05
        self.calls = self.sent = self.alive = 0
        self.bad: set[str] = set()

    def emit(self, record: object) -> None:
        """Tell of what is bad, and of breakers that change."""
        if isinstance(record, BreakerChanged):
            self.tell("state", state=record.new, scope=record.scope)
        elif isinstance(record, AttemptEnded) and record.outcome.kind == "transport":
            name = record.target.name
            self.sent += 1
            if name not in self.bad:
                self.bad.add(name)
                self.tell("bad", backend=name)

    def tell(self, what: str, **more: object) -> None:
        """Write a line."""
        print(json.dumps({"what": what, "at": time.monotonic(), **more}), flush=True)

    def use(self, backend: str, port: int) -> None:
        """Call another backend from now on."""
        bare = grpc.aio.insecure_channel(f"127.0.0.1:{port}", RECONNECT)
        channel = resilience.grpc.aio.intercept_channel(
            bare, self.engine, target=backend
        )
        self.get = channel.unary_unary("/shop.Cart/GetCart")
        self.backend, self.calls, self.sent = backend, 0, 0

    async def call(self) -> None:
        """Make one call; how it ends is the sink's business."""
        with contextlib.suppress(grpc.RpcError):
            await self.get(b"{}")
        self.calls += 1
        if self.calls % 20 == 0:
            self.tell("calls", calls=self.calls, backend=self.backend)
            alive = self.engine.snapshot()["processes"]
            if alive != self.alive:
                self.alive = alive
                self.tell("alive", processes=alive)

    def count(self) -> None:
        """Tell what the breaker of the backend has counted."""
        for scope in self.engine.snapshot()["scopes"]:
            if scope["scope"] == f"grpc:target={self.backend}":
                (breaker,) = scope["breakers"]
                self.tell("counted", sent=self.sent, calls=self.calls, **breaker)

    async def run(self) -> None:
        """Call, one call after the other began, until the input ends."""
        orders = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
        )
        self.tell("ready")
        calling = asyncio.ensure_future(self.call_on())
        while line := await orders.readline():
            order = json.loads(line)
            if "use" in order:
                self.every_s = order["every_s"]
                self.use(order["use"], order["port"])
            else:
                self.count()
        calling.cancel()

    async def call_on(self) -> None:
        """Call at the pace that was ordered, not in step with the others."""
        under_way: set[asyncio.Task] = set()
        while True:
            await asyncio.sleep(self.every_s * random.uniform(0.8, 1.2))
            if self.get is not None:
                task = asyncio.create_task(self.call())
                under_way.add(task)
                task.add_done_callback(under_way.discard)


if __name__ == "__main__":
    asyncio.run(Worker(sys.argv[1]).run())
