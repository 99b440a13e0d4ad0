"""Eight real processes on one host, real channels, real backends that really die."""

import pytest

from resilience.core.admission import RULE

from .host_site import EIGHT, Eight


pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """Eight processes that share one state."""
    with Eight(tmp_path_factory.mktemp("host")) as started:
        yield started


def test_a_dead_backend_is_found_by_all(eight):
    """All limit it within 300 ms of the second process to have evidence."""
    times = []
    for _ in range(3):  # a busy machine may miss one
        times.append(round(eight.time_to_know(), 3))
        if times[-1] <= 0.3:
            break

    assert min(times) <= 0.3, times


@pytest.mark.parametrize("fault", ["refuse", "mute"])
def test_a_broken_network_is_one_s_own(eight, fault):
    """One process that cannot reach a backend limits itself, and nobody else."""
    name, backend = eight.backend()
    relay = eight.relay(backend.port)
    ports = [relay.port] + [backend.port] * (EIGHT - 1)
    eight.use(name, ports, [0.02] * EIGHT)
    getattr(relay, fault)()
    changed = eight.who_limits(3.0)

    assert set(changed) == {0}
    assert changed[0][-1] == "open"


def test_probes_are_the_host_s(eight):
    """Eight processes together probe a dead backend as often as one of their rate."""
    name, backend = eight.backend()
    eight.use(name, [backend.port] * EIGHT, [0.04] * EIGHT)
    backend.kill()
    eight.who_limits(1.5)
    before = eight.counted()
    eight.who_limits(5.0)
    after = eight.counted()
    seconds = after[-1]["at"] - before[-1]["at"]
    rates = [sum(each["rate"] for each in counted) for counted in (before, after)]
    least, most = (seconds / RULE.probe_gap(rate) for rate in rates)
    probes = sum(each["probes"] for each in after) - sum(
        each["probes"] for each in before
    )

    assert {each["state"] for each in after} == {"open"}
    assert 0.7 * least <= probes <= 1.4 * most
