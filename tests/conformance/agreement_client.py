"""One real client process of `agreement.py`: calls at given moments, under one policy.

    python agreement_client.py

It reads one line of JSON, its orders, says `ready`, and reads a second one: the
monotonic moment at which the run begins. At the end it writes one line: when each
attempt was sent (gRPC's own retries are in its trace, on the error output), and of each
call when it was offered, whether it was answered well, and how long it took.
"""

import asyncio
import json
import sys
import time
from typing import Any

import grpc
import grpc.aio

import resilience
import resilience.grpc.aio
from resilience.core.record import AttemptEnded, CallEnded


METHOD = "/simulated.Server/Get"
RECONNECT = [
    # A channel that waits a minute before it tries again would be another outage.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 100),
]
NO_RETRIES = [("grpc.enable_retries", 0)]


def grpc_retries(attempt_timeout_s: float) -> list[tuple[str, Any]]:
    """Channel options for gRPC's own throttled retries."""
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "10s",
        "backoffMultiplier": 2,
        "perAttemptRecvTimeout": f"{attempt_timeout_s:g}s",
        "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "UNKNOWN"],
    }
    config = {
        "methodConfig": [{"name": [{}], "retryPolicy": policy}],
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    }
    return [
        ("grpc.service_config", json.dumps(config)),
        ("grpc.enable_retries", 1),
        # Without it, the timeout of an attempt is not read.
        ("grpc.experimental.enable_hedging", 1),
    ]


class Client:
    """One process's calls and what became of them."""

    def __init__(self, orders: dict) -> None:
        self.attempt_timeout_s = orders["attempt_timeout_s"]
        self.deadline_s = orders["deadline_s"]
        self.most = {"none": 1, "naive": 4}.get(orders["policy"], 0)
        self.attempts: list[float] = []
        self.told: dict[str, int] = {}
        """Attempts of calls under way that were told of."""
        self.calls: list[tuple[float, bool, float]] = []
        options = [*RECONNECT, *NO_RETRIES]
        if orders["policy"] == "grpc":
            options = [*RECONNECT, *grpc_retries(self.attempt_timeout_s)]
        self.bare = channel = grpc.aio.insecure_channel(orders["address"], options)
        self.engine = None
        if orders["policy"] == "ours":
            self.engine = resilience.PolicyEngine.from_yaml(
                *orders["files"], sinks=[self], seed=orders["seed"]
            )
            channel = resilience.grpc.aio.intercept_channel(
                self.bare, self.engine, target="simulated"
            )
        self.get = channel.unary_unary(METHOD)

    def emit(self, record: object) -> None:
        """Note each attempt of ours."""
        if isinstance(record, AttemptEnded):
            self.attempts.append(record.now - record.elapsed_s)
            self.told[record.call_id] = self.told.get(record.call_id, 0) + 1
        elif isinstance(record, CallEnded):
            # Of a clean success, only the call is told.
            untold = record.attempts - self.told.pop(record.call_id, 0)
            self.attempts += [record.now - record.elapsed_s] * untold

    async def call(self, *, critical: bool) -> None:
        """Make one call."""
        began = time.monotonic()
        try:
            if self.most:
                await self.repeat(began)
            elif self.engine is None:
                await self.get(b"", timeout=self.deadline_s)
            else:
                with resilience.criticality("critical" if critical else "sheddable"):
                    await self.get(b"")
            is_good = True
        except grpc.RpcError:
            is_good = False
        self.calls.append((began, is_good, time.monotonic() - began))

    async def repeat(self, began: float) -> None:
        """One attempt or more, 100 ms after the last one failed."""
        for number in range(1, self.most + 1):
            now = time.monotonic()
            self.attempts.append(now)
            left = began + self.deadline_s - now
            try:
                await self.get(b"", timeout=min(self.attempt_timeout_s, left))
            except grpc.RpcError:
                left = began + self.deadline_s - time.monotonic()
                if number == self.most or left <= 0.1:
                    raise
                await asyncio.sleep(0.1)
            else:
                return

    async def run(self, arrivals: list[tuple[float, bool]], began: float) -> None:
        """Make all calls, each when it is due."""
        tasks = []
        for at, critical in arrivals:
            wait = began + at - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(self.call(critical=critical)))
        await asyncio.gather(*tasks)
        await self.bare.close()


async def main() -> None:
    """Take the orders, run, tell."""
    loop = asyncio.get_running_loop()
    orders = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    client = Client(orders)
    hello = client.bare.unary_unary(METHOD)
    await hello(b"hello", timeout=30.0, wait_for_ready=True)
    print("ready", flush=True)
    began = float(await loop.run_in_executor(None, sys.stdin.readline))
    await client.run(orders["arrivals"], began)
    attempts = sorted(at - began for at in client.attempts)
    calls = [(at - began, good, took) for at, good, took in client.calls]
    print(json.dumps({"attempts": attempts, "calls": calls}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
