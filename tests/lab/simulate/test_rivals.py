"""The compared policies do what their makers publish."""

import pytest

from resilience.lab.simulate import run
from resilience.lab.simulate.rivals import RIVALS


OUTAGE = "[{kind: refuse, at: 2s, lasts: 20s}]"
MANY = "[{hosts: 1, processes: 30}]"


@pytest.fixture
def outage(small):
    return small(duration="23s", faults=OUTAGE, topologies=MANY, load=24)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("none", 1.0, 1.0),
        ("naive", 3.9, 4.0),
        ("jitter", 3.9, 4.0),
        # 10 tokens, 4 failures above half: 3 or 4 repeats per client of 16 calls.
        ("grpc", 1.15, 1.3),
        # A quota of 500: 100 and 35 repeats, far more than 16 calls ask for.
        ("aws", 2.7, 3.0),
        ("aws2026", 2.8, 3.0),
        ("finagle", 3.9, 4.0),
        ("resilience4j", 2.8, 3.0),
        ("sre", 0.2, 1.1),
        ("oracle", 0.0, 0.0),
    ],
)
def test_amplification_in_an_outage(outage, name, least, most):
    """In an outage every client sends what its budget allows."""
    assert least <= run(outage, against=name).metrics["amplification"] <= most


def test_quota_of_2026_runs_out(small):
    """Repeats at 14 of 500: a busy client has 35 of them, and then none."""
    scenario = small(
        duration="12s",
        faults="[{kind: refuse, at: 1s, lasts: 10s}]",
        topologies="[{hosts: 1, processes: 1}]",
    )
    found = run(scenario, against="aws2026")
    calls = sum(found.series["offered"][10:110])

    assert sum(found.series["attempts"][10:110]) == pytest.approx(calls + 35, abs=3)


def test_resilience4j_opens_for_a_minute(small):
    """With a hundred failed calls in one client its breaker stays open for 60 s."""
    scenario = small(
        duration="70s",
        load=30,
        faults="[{kind: refuse, at: 1s, lasts: 6s}]",
        topologies="[{hosts: 1, processes: 1}]",
    )

    assert 50 < run(scenario, against="resilience4j").metrics["recovery_s"] < 60


@pytest.mark.parametrize("name", sorted(set(RIVALS) - {"hedge"}))
def test_healthy_servers_are_left_alone(small, name):
    """Without a fault every policy sends each call once, and all are good."""
    found = run(small(load=60, duration="3s"), against=name).metrics

    assert 1.0 == found["amplification"] == found["goodput"]


def test_one_hedge_halves_the_tail(small):
    """A hedge at the p90 of latencies is sent for a tenth of the calls at most."""
    service = (
        "{kind: exponential, mean: 5ms, straggler_ratio: 0.05, straggler_factor: 10}"
    )
    scenario = small(
        duration="20s", server=f"{{workers: 100, service: {service}}}", load=200
    )
    alone = run(scenario, against="none").metrics
    hedged = run(scenario, against="hedge").metrics

    assert hedged["latency_p99_s"] < 0.5 * alone["latency_p99_s"]
    assert 1.03 < hedged["amplification"] < 1.1


def test_clients_reconnect_until_they_are(small):
    """A client whose call ends without success makes another one."""
    scenario = small(
        "kind: reconnect",
        topologies="[{hosts: 1, processes: 100}]",
        server="{workers: 100, accepts: 50}",
    )
    found = run(scenario, "version: 1\nall: {breaker: off, retry: off}").metrics

    assert 1.5 < found["all_connected_s"] < 30
    assert found["tries"] > 1.3
