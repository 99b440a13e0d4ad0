"""Eight real processes on one host, real channels, real backends that really die."""

import signal
import time

import pytest

from .host_site import EIGHT, Eight, wanted


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


def test_nobody_waits_for_a_process_that_stands_still(eight):
    """While seven are stopped at any instruction, the eighth calls on at its pace."""
    name, backend = eight.backend()
    eight.use(name, [backend.port] * EIGHT, [0.02] * EIGHT)
    first, *rest = eight.workers
    for each in rest:
        each.process.send_signal(signal.SIGSTOP)
    try:
        first.order(count=True)
        at, calls = first_counted(eight)
        time.sleep(2.0)
        first.order(count=True)
        later_at, later_calls = first_counted(eight)
    finally:
        for each in rest:
            each.process.send_signal(signal.SIGCONT)

    assert (later_calls - calls) / (later_at - at) >= 25


def first_counted(eight: Eight) -> tuple[float, int]:
    """When, and how many calls, the first worker has counted."""
    for number, said in eight.telling():
        if number == 0 and said["what"] == "counted":
            return said["at"], said["calls"]
    raise AssertionError


def test_probes_are_the_host_s(eight):
    """Eight processes together ask a dead backend as often as one of their rate."""
    asked, rate = eight.outage(0.04, 6.0)

    assert wanted(rate, 6.0) == pytest.approx(asked, rel=0.4)
