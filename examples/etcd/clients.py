"""The three ways to call etcd that are compared: bare, gRPC's own retries, and ours.

All use the same channel options and ask for five seconds a call.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import grpc

from examples.traffic import Job

from . import wire


Way = Literal["bare", "grpc retries", "resilience"]
WAYS: tuple[Way, ...] = ("bare", "grpc retries", "resilience")
TIMEOUT_S = 5.0
POLICY = Path(__file__).parents[1] / "policies" / "etcd.yaml"

# A channel waits 1 s, then 1.6 s, ... before it connects again, and fails every call
# meanwhile. With a member that is back within two seconds, that is most of the outage.
RECONNECT = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
)
FIVE_ATTEMPTS = {
    "methodConfig": [
        {
            "name": [{"service": "etcdserverpb.KV"}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


def open_channel(way: Way, address: str) -> Any:
    """A channel to etcd; close it after use."""
    if way == "grpc retries":
        config = ("grpc.service_config", json.dumps(FIVE_ATTEMPTS))
        return grpc.insecure_channel(address, options=(*RECONNECT, config))
    channel = grpc.insecure_channel(address, options=RECONNECT)
    if way == "bare":
        return channel
    import resilience.grpc
    from resilience import PolicyEngine

    engine = PolicyEngine.from_yaml(str(POLICY))
    return resilience.grpc.intercept_channel(channel, engine, target="etcd")


def caller(channel: Any) -> Callable[[Job], None]:
    """A function that makes one job's call and checks what came back."""
    put, read = channel.unary_unary(wire.PUT), channel.unary_unary(wire.RANGE)

    def call(job: Job) -> None:
        key = job.intent.encode()
        if job.operation == "Put":
            put(wire.put_request(key, b"value of " + key), timeout=TIMEOUT_S)
            return
        reply = read(wire.range_request(key), timeout=TIMEOUT_S)
        values = wire.range_values(reply)
        if values != [b"value of " + key]:
            msg = f"etcd answered {values!r} for {key!r}"
            raise RuntimeError(msg)

    return call
