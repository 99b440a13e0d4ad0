"""Calls through an nginx that says GOAWAY after every few requests: none is lost.

All methods are undeclared, so each repeat has to be proven harmless. The upstream's own
count says that nothing was executed twice.
"""

import pytest

from resilience import PolicyEngine
from tests.grpc.peers.nginx import Nginx
from tests.grpc.peers.storm import CALLS, POLICY, Upstream, blocking, on_a_loop


pytestmark = pytest.mark.real
WAYS = pytest.mark.parametrize("storm", [blocking, on_a_loop], ids=["future", "aio"])


@pytest.fixture
def upstream():
    with Upstream() as made:
        yield made


@pytest.fixture
def proxied(need, supervisor, upstream):
    """`proxied(1)`: the address of an nginx that says GOAWAY after one request."""

    def start(keepalive_requests):
        made = Nginx(upstream.address, keepalive_requests)
        made.start(supervisor, need("nginx"))
        return made.address

    return start


@WAYS
def test_bare_calls_are_lost_unprocessed(storm, proxied, upstream):
    """The scene is real: many calls fail, and none of those that fail was executed."""
    tally = storm(proxied(1), None)

    assert 0 < len(tally.errors)
    assert all("GOAWAY received" in error for error in tally.errors)
    assert tally.succeeded == upstream.executed.total()


@WAYS
@pytest.mark.parametrize("keepalive_requests", [1, 7])
def test_every_call_succeeds_exactly_once(storm, keepalive_requests, proxied, upstream):
    """Unprocessed calls are repeated for any method; with defaults, nothing is lost."""
    engine = PolicyEngine.from_text(POLICY)
    try:
        tally = storm(proxied(keepalive_requests), engine)
    finally:
        engine.close()

    assert () == tally.errors
    assert CALLS == tally.succeeded
    assert CALLS == len(upstream.executed) == upstream.executed.total()


@WAYS
def test_without_trust_calls_end_as_bare_ones_do(storm, proxied, upstream):
    """What is not proven is not repeated; a goodbye opens no breaker all the same."""
    engine = PolicyEngine.from_text(POLICY.replace("_details: true", "_details: false"))
    try:
        tally = storm(proxied(1), engine)
    finally:
        engine.close()

    assert all("GOAWAY received" in error for error in tally.errors)
    assert tally.succeeded == upstream.executed.total()
