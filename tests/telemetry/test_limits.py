"""The gauges of limiters."""

from resilience import PolicyEngine
from resilience.core.event import ARRIVED
from resilience.core.target import Target
from resilience.telemetry import limits, names
from resilience.telemetry.states import SHOWN
from tests.telemetry.measured import Meter


def test_limit_use_and_queue():
    """A watched engine's limiters are shown by scope; engines without have none."""
    meter = Meter()
    policy = {"version": 1, "all": {"limiter": {"initial_limit": 2}}}
    engine = PolicyEngine.from_dict(policy, sinks=[])
    meter.sink.watch(engine.snapshot)
    meter.sink.watch(PolicyEngine(sinks=[]).snapshot)
    target = Target(protocol="grpc", name="cart", service="shop.Cart", method="Get")
    for _ in range(3):
        engine.new_call(engine.bind(target)).advance(ARRIVED, engine.now())

    scope = ("grpc:target=cart",)
    assert meter.sums(names.LIMITER_LIMIT) == {scope: 2}
    assert meter.sums(names.LIMITER_IN_FLIGHT) == {scope: 2}
    assert meter.sums(names.LIMITER_WAITING) == {scope: 1}


def test_the_busiest_are_named():
    """Of many scopes those with the most under way are named, the rest summed up."""
    scopes = [
        {
            "scope": f"app:target=s{number}",
            "limiters": [{"limit": 10, "in_flight": number, "waiting": 0}],
        }
        for number in range(SHOWN + 5)
    ]
    found = dict(limits.read({"scopes": scopes}, "in_flight"))

    assert len(found) == SHOWN + 1
    assert found[f"app:target=s{SHOWN + 4}"] == SHOWN + 4
    assert found[names.OTHER] == 0 + 1 + 2 + 3 + 4
