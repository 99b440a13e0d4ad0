"""The gRPC half: a shop that is killed, frozen and confused, and three clients.

The calling code is the same for all; only the channel differs, and a bare call is
given up on by the demo because nothing else ever would.
"""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from examples.servers import ledger
from examples.servers.supervisor import Server, Supervisor
from examples.traffic import (
    Incident,
    Job,
    Progress,
    Sample,
    errors,
    run_tasks,
    run_threads,
    tally,
)

from . import plan


POLICY = Path(__file__).parents[1] / "policies" / "demo-grpc.yaml"
RECONNECT = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
)
RETRY_POLICY = {
    "maxAttempts": 5,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "INTERNAL"],
}
SERVICE_CONFIG = json.dumps(
    {
        "methodConfig": [
            {"name": [{"service": "shop.Cart"}], "retryPolicy": RETRY_POLICY}
        ]
    }
)
TIMEOUTS: dict[plan.Way, float | None] = {
    "bare": plan.GRPC_HARNESS_LIMIT_S,
    "platform": plan.GRPC_DEADLINE_S,
    "resilience": None,  # the policy says it
}
DOWN_S, FROZEN_S = 0.5, 1.0
Tick = Callable[[Progress], None]


def options(way: plan.Way) -> tuple[tuple[str, object], ...]:
    """Channel options: all reconnect alike, one way has a retry policy."""
    if way == "platform":
        return (*RECONNECT, ("grpc.service_config", SERVICE_CONFIG))
    return RECONNECT


def open_channel(way: plan.Way, address: str) -> Any:
    """A channel for threads; close it after use."""
    channel = grpc.insecure_channel(address, options=options(way))
    if way != "resilience":
        return channel
    import resilience.grpc
    from resilience import PolicyEngine

    engine = PolicyEngine.from_yaml(str(POLICY))
    return resilience.grpc.intercept_channel(channel, engine, target="cart")


def open_aio_channel(way: plan.Way, address: str) -> Any:
    """A channel for the running loop; close it after use."""
    channel = grpc.aio.insecure_channel(address, options=options(way))
    if way != "resilience":
        return channel
    import resilience.grpc.aio
    from resilience import PolicyEngine

    engine = PolicyEngine.from_yaml(str(POLICY))
    return resilience.grpc.aio.intercept_channel(channel, engine, target="cart")


def arguments(way: plan.Way, job: Job) -> dict[str, Any]:
    """What the caller passes besides the request: a timeout, and the key's header."""
    given: dict[str, Any] = {"timeout": TIMEOUTS[way]}
    if job.kind == "keyed" and way != "resilience":
        given["metadata"] = (("idempotency-key", job.intent),)
    return given


def key(way: plan.Way, job: Job) -> Any:
    """The context in which a call is made: ours takes the key from it."""
    if way != "resilience" or job.kind != "keyed":
        return nullcontext()
    import resilience

    return resilience.idempotency_key(job.intent)


def run_sync(way: plan.Way, shop: Server, calls: int, tick: Tick) -> list[Sample]:
    """Calls on threads, while the shop is killed and frozen."""
    channel = open_channel(way, shop.address)
    stubs = {m: channel.unary_unary(f"/shop.Cart/{m}") for m in plan.GRPC_KINDS}

    def call(job: Job) -> None:
        with key(way, job):
            reply = stubs[job.operation](_request(job), **arguments(way, job))
        _check(job, reply)

    seconds = calls / plan.GRPC_PER_SECOND
    try:
        return run_threads(
            plan.grpc_jobs(calls, "sync"),
            call,
            threads=plan.GRPC_THREADS,
            per_second=plan.GRPC_PER_SECOND,
            incidents=incidents(shop, seconds),
            tick=tick,
        )
    finally:
        channel.close()


async def run_aio(way: plan.Way, shop: Server, calls: int, tick: Tick) -> list[Sample]:
    """Calls on tasks of one loop, while the shop is killed once."""
    channel = open_aio_channel(way, shop.address)
    stubs = {m: channel.unary_unary(f"/shop.Cart/{m}") for m in plan.GRPC_KINDS}

    async def call(job: Job) -> None:
        with key(way, job):
            reply = await stubs[job.operation](_request(job), **arguments(way, job))
        _check(job, reply)

    seconds = calls / plan.GRPC_PER_SECOND
    try:
        return await run_tasks(
            plan.grpc_jobs(calls, "aio"),
            call,
            tasks=plan.GRPC_TASKS,
            per_second=plan.GRPC_PER_SECOND,
            incidents=(Incident(at_s=0.4 * seconds, action=lambda: crash(shop)),),
            tick=tick,
        )
    finally:
        await channel.close()


def incidents(shop: Server, seconds: float) -> list[Incident]:
    """Killed, frozen, and killed again when there is time to recover in between."""
    first, second, third = (share * seconds for share in (0.15, 0.5, 0.85))
    found = [
        Incident(at_s=first, action=lambda: crash(shop)),
        Incident(at_s=second, action=lambda: freeze(shop)),
    ]
    if third - second > 2 * DOWN_S + FROZEN_S:
        found.append(Incident(at_s=third, action=lambda: crash(shop)))
    return found


def crash(shop: Server) -> None:
    """SIGKILL, and started again after half a second."""
    shop.kill()
    time.sleep(DOWN_S)
    shop.restart()


def freeze(shop: Server) -> None:
    """SIGSTOP for a second: connections stay, nothing answers."""
    shop.pause()
    time.sleep(FROZEN_S)
    shop.resume()


def start_shop(supervisor: Supervisor, way: plan.Way) -> tuple[Server, Path]:
    """A fresh shop with its ledger, the same faults for each way."""
    name = way.replace(" ", "-")
    path = supervisor.folder / f"{name}.ledger"
    faults = [f"--{fault}={share}" for fault, share in plan.CART_FAULTS.items()]
    shop = supervisor.module(
        f"cart-{name}",
        "examples.servers.cart",
        *("--port", "{port}", "--ledger", str(path), "--seed", str(plan.SEED)),
        *faults,
    )
    shop.start()
    shop.wait_ready()
    return shop, path


def rows(way: plan.Way, samples: Sequence[Sample], path: Path) -> list[plan.Row]:
    """One row for each kind of call, with what the ledger at *path* says."""
    entries = ledger.read(path)
    lines = []
    for method, kind in plan.GRPC_KINDS.items():
        mine = [sample for sample in samples if sample.job.operation == method]
        lines.append(
            plan.Row(
                protocol="grpc",
                way=way,
                kind=kind,
                tally=tally(mine, plan.GRPC_DEADLINE_S),
                duplicates=entries.duplicates_of(method),
                attempts=entries.attempts_of(method),
                errors=errors(mine),
            )
        )
    return lines


def _request(job: Job) -> bytes:
    return json.dumps({"intent": job.intent}).encode()


def _check(job: Job, reply: bytes) -> None:
    if json.loads(reply)["intent"] != job.intent:
        msg = f"the answer to another call: {reply!r}"
        raise RuntimeError(msg)
