"""The model of a server is the textbook's queue, and its clients leave work behind."""

import math

import pytest

from resilience.lab.simulate import run


def erlang_wait(load, workers, mean_s):
    """Mean wait in an M/M/c queue (Erlang C), in seconds."""
    a = load * mean_s
    busy = a**workers / math.factorial(workers) * workers / (workers - a)
    idle = sum(a**k / math.factorial(k) for k in range(workers))
    return busy / (idle + busy) * mean_s / (workers - a)


@pytest.mark.parametrize(("load", "workers"), [(25, 1), (130, 4)])
def test_mean_wait_is_erlangs(small, load, workers):
    """Without faults the mean latency is that of the M/M/c queue."""
    scenario = small(load=load, duration="100s", server=f"{{workers: {workers}}}")
    found = run(scenario, against="none")
    expected = 0.02 + 0.002 + erlang_wait(load, workers, 0.02)

    assert found.metrics["latency_mean_s"] == pytest.approx(expected, rel=0.06)
    assert 1.0 == found.metrics["goodput"]


def test_service_times_of_a_lognormal_server(small):
    """A lognormal service has the mean and the deviation that were asked for."""
    service = "{kind: lognormal, mean: 20ms, deviation: 8ms}"
    scenario = small(
        load=100, duration="60s", server=f"{{workers: 1000, service: {service}}}"
    )
    found = run(scenario, against="none").metrics
    # p99 of a lognormal: exp(mu + 2.326 sigma), sigma^2 = log(1 + 0.4^2).
    sigma = math.sqrt(math.log(1 + 0.4**2))
    p99 = 0.02 * math.exp(2.326 * sigma - sigma**2 / 2) + 0.002

    assert found["latency_mean_s"] == pytest.approx(0.022, rel=0.02)
    assert found["latency_p99_s"] == pytest.approx(p99, rel=0.06)


def test_capacity_that_is_cut_leaves_a_backlog(small):
    """Work whose client gave up is done all the same: the backlog outlives the fault.

    At 160/s with 40/s served for 2 s, 240 requests wait; the 40/s to spare need 6 s,
    of which the last second is quick enough for the clients.
    """
    faults = "[{kind: capacity, at: 2s, lasts: 2s, factor: 0.25}]"
    found = run(small(duration="16s", faults=faults), against="none")
    backlog = found.series["queued"][39]

    assert backlog == pytest.approx(240, rel=0.25)
    assert found.metrics["recovery_s"] == pytest.approx(
        (backlog - 1.0 * 200) / 40, abs=2.0
    )


def test_servers_that_drop_expired_work_recover_at_once(small):
    """Dropping what nobody waits for is worth more than any client's policy."""
    faults = "[{kind: capacity, at: 2s, lasts: 6s, factor: 0.25}]"
    wasted = run(small(duration="30s", faults=faults), against="none")
    server = "{workers: 4, drops_expired: true}"
    dropped = run(small(duration="30s", faults=faults, server=server), against="none")

    assert dropped.metrics["recovery_s"] < wasted.metrics["recovery_s"] / 2


def test_outage_without_retries_has_amplification_one(small):
    """A policy without retries sends exactly one attempt per call."""
    outage = "[{kind: refuse, at: 2s, lasts: 2s}]"
    found = run(small(faults=outage, duration="9s"), against="none")

    assert 1.0 == found.metrics["amplification"]
    assert 0.0 == found.metrics["goodput_fault"]
    assert 0.0 == found.metrics["recovery_s"]


def test_a_full_queue_refuses(small):
    """Beyond its bound a queue refuses at once; goodput is what is served."""
    server = "{workers: 4, queue: 20}"
    found = run(small(load=400, server=server), against="none").metrics

    assert found["goodput"] == pytest.approx(0.5, abs=0.04)
    assert found["latency_p99_s"] < 0.3


def test_refusing_costs_capacity(small):
    """What a refusal costs a worker is not there for calls."""
    dear = run(
        small(load=400, server="{workers: 4, queue: 20, reject_cost: 5ms}"),
        against="none",
    )
    free = run(small(load=400, server="{workers: 4, queue: 20}"), against="none")

    assert dear.metrics["goodput"] < 0.85 * free.metrics["goodput"]


def test_silent_servers_lose_what_they_had(small):
    """Where replies stay out every call of that time ends at its deadline."""
    outage = "[{kind: silent, at: 2s, lasts: 2s}]"
    found = run(small(faults=outage, duration="9s"), against="none")

    assert 0.0 == found.metrics["goodput_fault"] == found.metrics["recovery_s"]


def test_a_crash_breaks_off_what_is_under_way(small):
    """Calls that a server has when it is killed fail at once, with those after them."""
    server = "{workers: 500, service: {kind: constant, mean: 500ms}}"
    good = {
        kind: run(
            small(
                load=100,
                duration="9s",
                server=server,
                faults=f"[{{kind: {kind}, at: 2s, lasts: 2s}}]",
            ),
            against="none",
        ).series["good"]
        for kind in ("refuse", "crash")
    }

    # Counted when they were offered: those of the half second before it are lost.
    assert sum(good["crash"][:14]) == sum(good["refuse"][:14]) > 0
    assert sum(good["refuse"][15:20]) > 30
    assert sum(good["crash"][15:40]) == 0
    assert sum(good["crash"][40:]) == sum(good["refuse"][40:]) > 0


def test_a_crash_is_told_before_a_timeout(small):
    """Nobody waits for what broke off: it is tried again 100 ms after the crash."""
    found = run(
        small(
            load=20,
            duration="6s",
            server="{workers: 500, service: {kind: constant, mean: 900ms}}",
            faults="[{kind: crash, at: 2s, lasts: 1ms}]",
        ),
        against="naive",
    )
    more = [
        sent - offered
        for sent, offered in zip(
            found.series["attempts"], found.series["offered"], strict=True
        )
    ]

    assert found.metrics["goodput"] == 1.0
    assert sum(more[20:25]) > 5
    assert sum(more[:20]) == sum(more[25:]) == 0


def test_cold_start_serves_the_integral_of_its_line(small):
    """Capacity that grows from a fifth to all serves three fifths meanwhile."""
    fault = "{kind: refuse, at: 1s, lasts: 1s, cold_start: 4s, cold_factor: 0.2}"
    scenario = small(
        load=400,
        duration="6s",
        server="{workers: 16, queue: 2, service: {kind: constant, mean: 50ms}}",
        faults=f"[{fault}]",
    )
    found = run(scenario, against="none")

    assert sum(found.series["good"][20:]) == pytest.approx(0.6 * 320 * 4, rel=0.1)


def test_slow_replica(small):
    """A fault hits only the replicas that it names."""
    server = "{workers: 4, replicas: 2, balance: round_robin}"
    fault = "{kind: slow, at: 0s, lasts: 3s, factor: 100, replicas: [0]}"
    found = run(small(load=40, server=server, faults=f"[{fault}]"), against="none")

    assert found.metrics["goodput_fault"] == pytest.approx(0.5, abs=0.15)


def test_only_so_many_connections(small):
    """All clients that begin at once are connected when the accept rate allows it."""
    scenario = small(
        "kind: reconnect",
        topologies="[{hosts: 1, processes: 200}]",
        calls="{deadline: 60s}",
        server="{workers: 100, accepts: 50}",
    )
    found = run(scenario, against="full-jitter").metrics

    assert found["all_connected_s"] >= 3.8
    assert found["tries"] > 1
