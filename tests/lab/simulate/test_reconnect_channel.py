"""Channels that come back: gRPC's own waits from the policy's numbers."""

from resilience.lab.simulate import read, run, scenario


TEXT = """
version: 1
name: back
kind: reconnect
duration: 60s
topologies: [{{hosts: 1, processes: {processes}}}]
calls: {{method: shop.Cart/GetCart, deadline: 300s}}
server: {{accepts: {accepts}, workers: 1000}}
faults: [{{kind: refuse, at: 0s, lasts: {down}}}]
"""


def waits(reconnect, *, processes=1, accepts=1000, down="5s"):
    text = TEXT.format(processes=processes, accepts=accepts, down=down)
    policy = f"version: 1\ngrpc: {{channel: {{reconnect: {{{reconnect}}}}}}}"
    return run(read("back.yaml", text), policy).metrics


def test_waits_grow_by_1_6():
    """1 s, 1.6 s, 2.56 s, each a fifth either way: the fourth try is after 5 s."""
    found = waits("initial_backoff: 1s, max_backoff: 10s, spread: 0.0")

    assert found["tries"] in {4, 5}
    assert 5.0 <= found["all_connected_s"] <= 5.16 * 1.2 + 4.1 * 1.2


def test_the_longest_wait_holds():
    """Waits that may not grow: about one try a second."""
    found = waits("initial_backoff: 1s, max_backoff: 1s, spread: 0.0", down="20s")

    assert 17 <= found["tries"] <= 26


def test_a_spread_keeps_clients_apart():
    """Channels that draw their own waits need fewer tries to get in."""
    section = "initial_backoff: 4s, max_backoff: 4s, spread: {}"
    crowd = {"processes": 400, "accepts": 40, "down": "50ms"}
    together = waits(section.format("0.0"), **crowd)
    apart = waits(section.format("1.0"), **crowd)

    assert apart["tries"] < 0.9 * together["tries"]


def test_s7_reaches_what_is_wanted():
    """Five thousand clients are back within 20 s, in 2.5 tries each."""
    found = run(scenario("S7")).metrics

    assert found["all_connected_s"] <= 20
    assert found["tries"] <= 2.5
