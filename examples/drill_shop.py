"""What a drill calls: one charge of the example shop, and a look at its ledger.

    RESILIENCE_DRILL=examples/drill.yaml resilience drill examples/drill.yaml

`SHOP_POLICY=bare` takes the policy away, `SHOP_POLICY=wrong` declares what is not true
(that adding an item twice does no harm): with either the drill fails.
"""

import contextlib
import functools
import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import grpc

import resilience
import resilience.grpc

from .servers import ledger
from .servers.supervisor import Supervisor


POLICY = """
version: 1
edition: "2026.11"
name: drill-shop
grpc:
  all: {timeout: 2s, attempt_timeout: 500ms, retry: {initial_backoff: 20ms}}
  methods:
    shop.Cart/Charge: {idempotency: keyed, retry: {max_attempts: 4}}
"""
WRONG = POLICY.replace("shop.Cart/Charge", "shop.Cart/AddItem").replace("keyed", "safe")
POLICIES = {
    "ours": (POLICY, "Charge"),
    "bare": (POLICY.replace("name:", "mode: bypass\nname:"), "Charge"),
    "wrong": (WRONG, "AddItem"),
}


class Shop(NamedTuple):
    """The shop, in a process of its own, and the method that is called."""

    call: Any
    ledger: Path
    method: str


@functools.cache
def shop() -> Shop:
    """The shop, which starts with the first call and ends with this process."""
    text, method = POLICIES[os.environ.get("SHOP_POLICY", "ours")]
    supervisor = Supervisor()
    path = supervisor.folder / "ledger"
    server = supervisor.module(
        "cart", "examples.servers.cart", "--port", "{port}", "--ledger", str(path)
    )
    server.start()
    server.wait_ready()
    engine = resilience.PolicyEngine.from_text(text)
    bare = grpc.insecure_channel(server.address)
    channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
    return Shop(channel.unary_unary(f"/shop.Cart/{method}"), path, method)


def order(number: int) -> None:
    """Order number *number*: what the drill calls."""
    found = shop()
    found.call(json.dumps({"intent": f"order-{number}"}).encode())


def count() -> dict[str, int]:
    """What the shop itself says: orders that were executed more than once."""
    found = shop()
    entries = ledger.read(found.ledger)
    return {
        "duplicates": entries.duplicates_of(found.method),
        "executed": entries.effects_of(found.method),
    }


def start() -> None:
    """Have the shop ready: what a drill does before it begins."""
    shop()


def main() -> None:
    """Make orders for ten seconds: the program of `drill_program.yaml`."""
    until = time.monotonic() + 10
    number = 0
    while time.monotonic() < until:
        try:
            order(number)
        except grpc.RpcError as error:
            print(f"order {number}: {error.code()}")
        number += 1
        time.sleep(0.02)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # the drill is over
        main()
