"""A caller's timeout is kept, however its server fails."""

import subprocess
import sys
import time

import grpc
import pytest

import resilience.grpc
from resilience import PolicyEngine, report


pytestmark = pytest.mark.real
POLICY = """
version: 1
edition: "2026.11"
name: deadlines
grpc:
  all:
    idempotency: safe
    retry: {max_attempts: 100, initial_backoff: 1ms, max_backoff: 5ms}
    retry_budget: off
    breaker: off
"""
_FAILS_AFTER = """
import sys, threading, grpc
from concurrent import futures
server = grpc.server(futures.ThreadPoolExecutor(4))
def fail(request, context):
    threading.Event().wait(0.2)
    context.abort(grpc.StatusCode.UNAVAILABLE, "down")
handler = grpc.unary_unary_rpc_method_handler(fail)
server.add_generic_rpc_handlers(
    (grpc.method_handlers_generic_handler("shop.Cart", {"Get": handler}),)
)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
"""


@pytest.fixture
def slow_to_fail():
    """The port of a server that fails each call after 0.2 s."""
    process = subprocess.Popen(
        [sys.executable, "-c", _FAILS_AFTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield int(process.stdout.readline())
    process.kill()
    process.communicate()


def test_half_a_second_is_half_a_second(slow_to_fail):
    """It ends by 0.55 s, where google-api-core took 60 s and 275 attempts."""
    with (
        PolicyEngine.from_text(POLICY) as engine,
        grpc.insecure_channel(f"127.0.0.1:{slow_to_fail}") as bare,
    ):
        grpc.channel_ready_future(bare).result(timeout=10)
        channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
        get = channel.unary_unary("/shop.Cart/Get")

        took = []
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(grpc.RpcError) as caught:
                get(b"x", timeout=0.5)
            took.append(time.monotonic() - began)
            assert len(report(caught.value).attempts) <= 3

    # A machine that is busy may be late once; a defect is late each time.
    assert min(took) <= 0.55
    assert max(took) < 1.0
