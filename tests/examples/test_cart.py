"""The shop fails as it was told, and its ledger says what it did."""

import json

import grpc
import pytest

from examples.servers import ledger


pytestmark = pytest.mark.real


@pytest.fixture
def shop(supervisor):
    """`shop("--lost", "1")` is a running shop with those flags, and its ledger."""
    channels = []

    def start(*flags):
        path = supervisor.folder / "ledger"
        server = supervisor.module(
            "cart",
            "examples.servers.cart",
            *("--port", "{port}", "--ledger", str(path), *flags),
        )
        server.start()
        server.wait_ready()
        channel = grpc.insecure_channel(server.address)
        channels.append(channel)

        def call(method, intent, key="", timeout_s=5.0):
            metadata = (("idempotency-key", key),) if key else ()
            stub = channel.unary_unary(f"/shop.Cart/{method}")
            request = json.dumps({"intent": intent}).encode()
            return json.loads(stub(request, metadata=metadata, timeout=timeout_s))

        return call, path

    yield start
    for channel in channels:
        channel.close()


def test_healthy_shop(shop):
    """Reads have no effect, items are added each time, charges once per key."""
    call, path = shop()

    call("GetCart", "a")
    call("AddItem", "a")
    call("AddItem", "a")
    first, again = call("Charge", "b", "k"), call("Charge", "b", "k")

    entries = ledger.read(path)
    assert (first["executed"], again["executed"]) == (True, False)
    assert entries.effects_of("GetCart") == 0
    assert entries.duplicates_of("AddItem") == 1
    assert entries.duplicates_of("Charge") == 0
    assert entries.attempts_of("Charge") == 2


@pytest.mark.parametrize(
    ("fault", "code", "effects"),
    [("internal", "INTERNAL", 0), ("lost", "UNAVAILABLE", 1)],
)
def test_fault_and_effect(shop, fault, code, effects):
    """A confused shop has done nothing; a lost answer has had its effect."""
    call, path = shop(f"--{fault}", "1")

    with pytest.raises(grpc.RpcError) as caught:
        call("AddItem", "a")

    assert caught.value.code().name == code
    assert ledger.read(path).effects_of("AddItem") == effects


@pytest.mark.parametrize(("fault", "effects"), [("stall", 0), ("mute", 1)])
def test_silence_and_effect(shop, fault, effects):
    """A silent shop answers late; only the mute one has done its work by then."""
    call, path = shop(f"--{fault}", "1", "--stall-s", "10")

    with pytest.raises(grpc.RpcError) as caught:
        call("AddItem", "a", timeout_s=0.2)

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert ledger.read(path).effects_of("AddItem") == effects
