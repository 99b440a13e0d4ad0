"""A grpcio server dies by SIGKILL and comes back: who is repeated, and who is not.

Each test runs with a blocking call and with an asyncio one. The server's ledger, not
the client, says how often a request came and how often it was executed.
"""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

import resilience.grpc
import resilience.grpc.aio
from examples.servers import ledger
from resilience import PolicyEngine, idempotency_key, report


pytestmark = pytest.mark.real
WAIT_S = 10.0
POLICY = """
version: 1
edition: "2026.11"
name: sigkill
grpc:
  all:
    timeout: 8s
    retry: {max_attempts: 100, initial_backoff: 20ms, max_backoff: 100ms}
    retry_budget: {ratio: 1.0, min_per_second: 50, ttl: 10s}
    breaker: off
  methods:
    shop.Cart/GetCart: {idempotency: safe}
    shop.Cart/Charge: {idempotency: keyed}
    shop.Cart/AddItem: {idempotency: none}
"""
RECONNECT = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
)
REQUEST = json.dumps({"intent": "order-1"}).encode()


class Shop:
    """A shop that executes and then says nothing, until it is killed."""

    def __init__(self, supervisor):
        self.path = supervisor.folder / "ledger"
        flags = ("--port", "{port}", "--ledger", str(self.path))
        self.healthy = supervisor.module("healthy", "examples.servers.cart", *flags)
        self.mute = supervisor.module(
            "mute",
            "examples.servers.cart",
            *flags,
            *("--mute", "1", "--stall-s", "60"),
            port=self.healthy.port,
        )

    def wait_for(self, method, attempts):
        """Return when that many attempts have reached the server."""
        give_up = time.monotonic() + WAIT_S
        while self.entries().attempts_of(method) < attempts:
            assert time.monotonic() < give_up, "the request did not arrive"
            time.sleep(0.01)

    def entries(self):
        return ledger.read(self.path)


def blocking(engine, address, method):
    plain = grpc.insecure_channel(address, options=RECONNECT)
    wrap = resilience.grpc.intercept_channel
    with wrap(plain, engine, target="shop") as channel, idempotency_key("key-1"):
        return channel.unary_unary(f"/shop.Cart/{method}")(REQUEST)


def on_a_loop(engine, address, method):
    async def call():
        plain = grpc.aio.insecure_channel(address, options=RECONNECT)
        wrap = resilience.grpc.aio.intercept_channel
        async with wrap(plain, engine, target="shop") as channel:
            with idempotency_key("key-1"):
                return await channel.unary_unary(f"/shop.Cart/{method}")(REQUEST)

    return asyncio.run(call())


@pytest.fixture(params=[blocking, on_a_loop], ids=["sync", "aio"])
def call(request):
    """`call(shop, method)` is the future of one call under the policy."""
    engine = PolicyEngine.from_text(POLICY)
    with ThreadPoolExecutor(1) as pool:
        yield lambda shop, method: pool.submit(
            request.param, engine, shop.healthy.address, method
        )
    engine.close()


@pytest.fixture
def shop(supervisor):
    return Shop(supervisor)


@pytest.mark.parametrize(("method", "effects"), [("GetCart", 0), ("Charge", 1)])
def test_call_in_flight_is_repeated(call, shop, method, effects):
    """A safe or keyed call whose server is killed succeeds on the next one."""
    shop.mute.start()
    shop.mute.wait_ready()
    answer = call(shop, method)
    shop.wait_for(method, attempts=1)
    shop.mute.kill()
    shop.healthy.start()

    assert json.loads(answer.result(WAIT_S))["intent"] == "order-1"
    assert shop.entries().attempts_of(method) == 2
    assert shop.entries().effects_of(method) == effects


def test_ambiguous_call_is_not_repeated(call, shop):
    """A call that may have been executed is given back, and says so."""
    shop.mute.start()
    shop.mute.wait_ready()
    answer = call(shop, "AddItem")
    shop.wait_for("AddItem", attempts=1)
    shop.mute.kill()
    shop.healthy.start()
    error = answer.exception(WAIT_S)

    assert isinstance(error, grpc.RpcError)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert report(error).ambiguous
    assert report(error).reason == "idempotency"
    assert shop.entries().attempts_of("AddItem") == 1
    assert shop.entries().effects_of("AddItem") == 1


@pytest.mark.parametrize("method", ["GetCart", "Charge", "AddItem"])
def test_call_to_an_absent_server_waits_for_it(call, shop, method):
    """What never left is repeated, even where a repeat would count twice."""
    answer = call(shop, method)
    time.sleep(0.3)

    assert not answer.done()
    shop.healthy.start()

    assert json.loads(answer.result(WAIT_S))["intent"] == "order-1"
    assert shop.entries().attempts_of(method) == 1
