"""Three lines make a gRPC channel resilient: `python -m examples.grpc_quickstart`.

It starts the example shop, which loses one answer in five, and reads and charges.
"""

import json

import grpc

import resilience
import resilience.grpc
from examples.servers.supervisor import Supervisor


POLICY = """
version: 1
edition: "2026.11"
name: quickstart
grpc:
  all: {timeout: 3s, attempt_timeout: 500ms}
  methods:
    shop.Cart/GetCart: {idempotency: safe, retry: {max_attempts: 5}}
    shop.Cart/Charge: {idempotency: keyed, retry: {max_attempts: 5}}
"""


def main() -> int:
    """Make some calls and print what they gave; returns how many succeeded."""
    engine = resilience.PolicyEngine.from_text(POLICY)
    with Supervisor() as supervisor:
        path = supervisor.folder / "ledger"
        shop = supervisor.module(
            "cart",
            "examples.servers.cart",
            *("--port", "{port}", "--ledger", str(path), "--lost", "0.2"),
        )
        shop.start()
        shop.wait_ready()
        plain = grpc.insecure_channel(shop.address)
        with resilience.grpc.intercept_channel(plain, engine, target="cart") as channel:
            succeeded = talk(channel)
    engine.close()
    return succeeded


def talk(channel: grpc.Channel) -> int:
    """Read once and charge nine times within two seconds each."""
    get_cart = channel.unary_unary("/shop.Cart/GetCart")
    charge = channel.unary_unary("/shop.Cart/Charge")
    succeeded = 0
    for number in range(10):
        method = charge if number else get_cart
        request = json.dumps({"intent": f"order-{number}"}).encode()
        try:
            # One budget for everything inside; a policy can only be stricter.
            with resilience.deadline(2.0), resilience.idempotency_key(f"o{number}"):
                reply = method(request)
        except grpc.RpcError as error:
            history = resilience.report(error)
            print(f"{number}: failed with {error.code()}: {history}")
        else:
            succeeded += 1
            print(f"{number}: {reply.decode()}")
    return succeeded


if __name__ == "__main__":
    main()
