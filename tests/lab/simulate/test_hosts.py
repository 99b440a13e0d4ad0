"""Processes of one host see each other's evidence, one lag later and not before."""

import pytest

from resilience.core.ticks import BAD, begin
from resilience.lab.simulate import run
from resilience.lab.simulate.hosts import Host


def test_total_is_that_of_all_processes():
    """What a tick holds is the sum over the host's rings of that scope."""
    now = 0.0
    host = Host(0.1, 0.1, lambda: now)
    first, second = host.process(), host.process()
    one, two, other = first("a"), second("a"), first("b")
    for rows, bad in ((one, 3), (two, 2), (other, 7)):
        rows.own[begin(rows.own, 5) + BAD] = bad

    assert 5 == one.total(5).bad == two.total(5).bad
    assert 7 == other.total(5).bad
    assert 1 == one.lag
    assert one.is_shared()


def test_alarm_is_heard_by_all_but_not_beyond_the_scope():
    """Something bad in one process is heard by its peers of the same scope."""
    host = Host(0.1, 0.1, lambda: 0.0)
    one, two, other = host.process()("a"), host.process()("a"), host.process()("b")
    one.alarm(9)

    assert two.is_alarmed(9)
    assert not two.is_alarmed(10)
    assert not other.is_alarmed(0)


def test_a_process_alone_shares_with_nobody():
    """A host with one process has nobody to ask."""
    assert not Host(0.1, 0.1, lambda: 0.0).process()("a").is_shared()


@pytest.mark.parametrize(
    ("lag_s", "tick_s", "ticks"), [(0.0, 0.1, 0), (0.1, 0.1, 1), (0.1, 0.05, 2)]
)
def test_lag_in_ticks(lag_s, tick_s, ticks):
    """The lag is a whole number of ticks, never shorter than what was asked for."""
    assert ticks == Host(lag_s, tick_s, lambda: 0.0).lag


def test_sharing_finds_an_outage_with_fewer_attempts(small):
    """Where processes share, an outage costs fewer attempts than where they do not."""
    scenario = small(
        duration="10s",
        faults="[{kind: refuse, at: 2s, lasts: 8s}]",
        topologies="[{hosts: 1, processes: 40}]",
    )
    breaker = "all: {breaker: {kind: adaptive}}\n"
    shared = run(scenario, f"version: 1\nstate: host\n{breaker}").metrics
    alone = run(scenario, f"version: 1\nstate: process\n{breaker}").metrics

    assert shared["amplification"] < alone["amplification"]
