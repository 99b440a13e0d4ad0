"""A gRPC shop that fails on schedule: `python -m examples.servers.cart --port N`.

Service `shop.Cart`, JSON messages `{"intent": ...}`: GetCart reads, AddItem changes
something at each execution, Charge changes something once per `idempotency-key`.
Faults by share: `stall` (no answer, nothing done), `internal` (INTERNAL, nothing
done), `lost` (done, then UNAVAILABLE), `mute` (done, then no answer).
"""

import argparse
import asyncio
import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from .faults import draw
from .ledger import Ledger
from .ports import HOST


SERVICE = "shop.Cart"
FAULTS = ("stall", "internal", "lost", "mute")
KEY_HEADER = "idempotency-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How the shop fails."""

    seed: int
    shares: dict[str, float]
    """Fault to share of all requests, 0.0-1.0."""
    stall_s: float
    """Seconds a silent request is held before it is answered after all."""


class Cart:
    """The three methods. Owned by one event loop."""

    def __init__(self, ledger: Ledger, schedule: Schedule) -> None:
        self._ledger = ledger
        self._schedule = schedule

    async def get_cart(self, request: bytes, context: Any) -> bytes:
        """Read; changes nothing."""
        return await self._execute("GetCart", request, context)

    async def add_item(self, request: bytes, context: Any) -> bytes:
        """Change something, again at each execution."""
        return await self._execute("AddItem", request, context)

    async def charge(self, request: bytes, context: Any) -> bytes:
        """Change something once per idempotency key."""
        return await self._execute("Charge", request, context)

    async def _execute(self, method: str, request: bytes, context: Any) -> bytes:
        intent = str(json.loads(request)["intent"])
        nth = self._ledger.attempt(method, intent)
        plan = self._schedule
        fault = draw(plan.shares, plan.seed, method, intent, nth)
        if fault == "internal":
            await context.abort(grpc.StatusCode.INTERNAL, "the shop is confused")
        if fault == "stall":
            await asyncio.sleep(plan.stall_s)
        executed = False
        if method != "GetCart":
            key = _key(context) if method == "Charge" else ""
            executed = self._ledger.effect(method, intent, key)
        if fault == "lost":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost")
        if fault == "mute":
            await asyncio.sleep(plan.stall_s)
        return json.dumps({"intent": intent, "executed": executed}).encode()


def _key(context: Any) -> str:
    pairs = context.invocation_metadata() or ()
    return next((str(value) for name, value in pairs if name == KEY_HEADER), "")


async def serve(port: int, cart: Cart) -> None:
    """Serve on loopback until SIGTERM or SIGINT."""
    handlers = {
        "GetCart": grpc.unary_unary_rpc_method_handler(cart.get_cart),
        "AddItem": grpc.unary_unary_rpc_method_handler(cart.add_item),
        "Charge": grpc.unary_unary_rpc_method_handler(cart.charge),
    }
    # Without port sharing a second server on this port is an error, not a rival.
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    generic = grpc.method_handlers_generic_handler(SERVICE, handlers)
    server.add_generic_rpc_handlers((generic,))
    server.add_insecure_port(f"{HOST}:{port}")
    await server.start()
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    await done.wait()
    await server.stop(0.1)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the flags and serve."""
    parser = argparse.ArgumentParser(description="A gRPC shop that fails on schedule.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stall-s", type=float, default=60.0)
    for fault in FAULTS:
        parser.add_argument(f"--{fault}", type=float, default=0.0, metavar="SHARE")
    flags = parser.parse_args(argv)
    shares = {fault: float(getattr(flags, fault)) for fault in FAULTS}
    schedule = Schedule(seed=flags.seed, shares=shares, stall_s=flags.stall_s)
    draw(shares, flags.seed)  # refuses impossible shares before the first request
    asyncio.run(serve(flags.port, Cart(Ledger(flags.ledger), schedule)))


if __name__ == "__main__":
    main()
