"""A server that takes a few calls at once and says no to the rest."""

import subprocess
import sys
import threading
import time

import grpc
import pytest

import resilience.grpc
from resilience import PolicyEngine


pytestmark = pytest.mark.real
SETTLES_S, SECONDS = 0.7, 1.5
"""What is counted begins after the first, and lasts to the second."""
CALLERS = 16
TAKES = 4
_FULL_BEYOND = f"""
import sys, threading, grpc
from concurrent import futures
server = grpc.server(
    futures.ThreadPoolExecutor({2 * TAKES}), maximum_concurrent_rpcs={TAKES}
)
def work(request, context):
    threading.Event().wait(0.02)
    return request
handler = grpc.unary_unary_rpc_method_handler(work)
server.add_generic_rpc_handlers(
    (grpc.method_handlers_generic_handler("shop.Cart", {{"Get": handler}}),)
)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
"""


@pytest.fixture
def full_beyond():
    """The address of a server that refuses what is beyond `TAKES` calls at once."""
    process = subprocess.Popen(
        [sys.executable, "-c", _FULL_BEYOND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield f"127.0.0.1:{int(process.stdout.readline())}"
    process.kill()
    process.communicate()


def traffic(address, limiter):
    """Answers, refusals by the server and by us, of callers that never rest.

    Once they have gone on for `SETTLES_S`.
    """
    policy = {"retry": "off", "breaker": "off", "limiter": limiter}
    counts, lock = {"OK": 0, "server": 0, "limiter": 0}, threading.Lock()
    codes = set()
    with (
        PolicyEngine.from_dict({"version": 1, "all": policy}, sinks=[]) as engine,
        grpc.insecure_channel(address) as bare,
    ):
        grpc.channel_ready_future(bare).result(timeout=10)
        channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
        get = channel.unary_unary("/shop.Cart/Get")
        began = time.monotonic()

        def work():
            while time.monotonic() < began + SECONDS:
                how = "OK"
                try:
                    get(b"x", timeout=5)
                except grpc.RpcError as error:
                    how = "limiter" if hasattr(error, "retry_after_s") else "server"
                    codes.add(error.code())
                with lock:
                    counts[how] += time.monotonic() > began + SETTLES_S

        threads = [threading.Thread(target=work) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (scope,) = engine.snapshot()["scopes"]
    assert codes <= {grpc.StatusCode.RESOURCE_EXHAUSTED}
    return counts, scope["limiters"]


def test_a_limit_is_found(full_beyond):
    """A tenth of the refusals, as many answers, and nobody is left in flight."""
    bare, _ = traffic(full_beyond, "off")
    ours, (limiter,) = traffic(
        full_beyond, {"initial_limit": CALLERS, "max_wait": "1s", "max_queue": CALLERS}
    )

    assert bare["server"] > 10 * bare["OK"] / TAKES
    assert ours["server"] < bare["server"] / 10
    assert ours["OK"] > 0.7 * bare["OK"]
    assert TAKES - 2 <= limiter["limit"] <= TAKES + 2
    assert (limiter["in_flight"], limiter["waiting"]) == (0, 0)
