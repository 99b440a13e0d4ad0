"""gRPC's own outlier detection, switched on by policy, seen by what servers get."""

import threading

import pytest

import resilience.grpc


POLICY = """
version: 1
edition: "2026.11"
name: test
all: {{retry_budget: off, breaker: off}}
grpc:
  methods:
    shop.Cart/Get:
      idempotency: safe
      hedging: {{hedging_delay: 10ms, max_extra_load: 1.0}}
  channel:
    outlier_detection: {section}
"""
SECTION = (
    "interval: 250ms, request_volume: 3, minimum_hosts: 2, failure_ratio: 0.5, "
    "base_ejection_time: 10m"
)
BOUND_S = 20
MOST_CALLS = 3000
QUIET = 30
"""Calls in a row that the slow one has not seen: it would get a third of them."""


@pytest.fixture
def trio(server):
    """Three servers, the last of which answers nobody once it is slow."""
    others = [type(server)() for _ in range(2)]
    yield [server, *others]
    for each in others:
        each.script.clear()
        each.stop()


def stuck(request, context):
    """Wait until whoever asked has left."""
    left = threading.Event()
    if context.add_callback(left.set):
        left.wait(BOUND_S)
    return request


@pytest.fixture
def getter(trio, make_engine):
    """`getter("off")`: a method on a channel to all three, under that section."""
    made = []

    def make(section):
        engine = make_engine(POLICY.format(section=section))
        address = "ipv4:" + ",".join(server.address for server in trio)
        channel = resilience.grpc.insecure_channel(address, engine, target="cart")
        made.append(channel)
        get = channel.unary_unary("/shop.Cart/Get")
        # Nobody is slow before all three are connected: a rival needs another address.
        for _ in range(MOST_CALLS):
            get(b"1", timeout=BOUND_S)
            if all(len(server.seen) > 3 for server in trio):
                break
        trio[2].seen.clear()
        trio[2].script = [stuck] * MOST_CALLS
        return get

    yield make
    for channel in made:
        channel.close()


def test_a_slow_address_is_left_out(trio, getter):
    """Hedges that win cancel what is slow; soon it gets nothing any more."""
    get, slow = getter(f"{{{SECTION}}}"), trio[2].seen
    counts = []
    for _ in range(MOST_CALLS):
        assert get(b"1", timeout=BOUND_S) == b"1"
        counts.append(len(slow))
        if len(counts) > QUIET and counts[-1] == counts[-QUIET] > 0:
            break

    assert 5 <= counts[-1] == counts[-QUIET]
    assert all(len(server.seen) > counts[-1] for server in trio[:2])


def test_off_it_gets_its_share(trio, getter):
    """Without it a slow address goes on getting its third."""
    get, slow = getter("off"), trio[2].seen
    for _ in range(MOST_CALLS):
        get(b"1", timeout=BOUND_S)
        if len(slow) >= 2 * QUIET:
            break

    assert len(slow) >= 2 * QUIET
