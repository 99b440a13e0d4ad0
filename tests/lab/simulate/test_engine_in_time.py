"""The simulated engine is the one that runs: its decisions show in the counts."""

import pytest

from resilience.lab.simulate import run


OUTAGE = "[{kind: refuse, at: 2s, lasts: 2s}]"
NO_BREAKER = """
version: 1
all:
  breaker: off
  retry: {max_attempts: 3, initial_backoff: 10ms, max_backoff: 20ms}
  retry_budget: off
"""


def test_attempts_are_those_of_the_policy(small):
    """Three attempts and no breaker: three attempts per call that is refused."""
    found = run(small(faults=OUTAGE), NO_BREAKER)

    assert found.metrics["amplification"] == pytest.approx(3, abs=0.05)


def test_a_policy_without_retries_is_none(small):
    """With everything switched off ours offers what no policy at all does."""
    off = "version: 1\nall: {breaker: off, retry: off, retry_budget: off}"
    ours = run(small(faults=OUTAGE), off)
    none = run(small(faults=OUTAGE), against="none")

    assert ours.series["attempts"] == none.series["attempts"]
    assert ours.series["good"] == none.series["good"]


def test_breaker_rejects_unsent(small):
    """While a breaker is open, calls end without an attempt."""
    breaker = "{kind: classic, window: 10 calls, min_calls: 5, open_for: 5s}"
    found = run(small(faults=OUTAGE), f"version: 1\nall: {{breaker: {breaker}}}")

    assert sum(found.series["unsent"]) > 100
    assert found.metrics["amplification"] < 0.6


def test_errors_are_masked_by_retries(small):
    """At 5 % of errors two repeats leave one call in eight thousand."""
    found = run(small(faults="[{kind: errors, ratio: 0.05}]"))

    assert found.metrics["goodput"] > 0.995
    assert found.metrics["amplification"] == pytest.approx(1 / 0.95, abs=0.02)


def test_scenario_gives_timeouts_and_the_policy_replaces_them(small):
    """The scenario's timeouts hold where the policy under test says nothing."""
    silent = "[{kind: silent, at: 1s, lasts: 1s}]"
    quick = "version: 1\nall: {attempt_timeout: 50ms, breaker: off}"
    slow = "version: 1\nall: {breaker: off}"
    scenario = small(faults=silent, duration="4s")

    assert run(scenario, quick).metrics["amplification"] > 1.5
    assert run(scenario, slow).metrics["amplification"] < 1.3


def test_late_answers_are_not_good(small):
    """What comes after the caller's deadline counts for nothing."""
    patient = "version: 1\nall: {timeout: 1m, attempt_timeout: 1m, breaker: off}"
    calls = "{deadline: 500ms, attempt_timeout: 500ms}"
    fault = "[{kind: slow, at: 1s, lasts: 2s, factor: 100}]"
    found = run(small(load=10, calls=calls, faults=fault, duration="4s"), patient)

    assert found.metrics["goodput_fault"] < 0.5


def test_watch_sees_engines(small):
    """A watcher is given every engine at each tenth of a second."""
    seen = run(small(duration="2s"), watch=lambda engines, now: len(engines) + now)

    assert seen.series["watched"] == pytest.approx(
        [4 + tenth / 10 for tenth in range(1, 21)]
    )


def test_layers_multiply_what_each_repeats(small):
    """Without budgets each layer repeats what the one above repeats."""
    scenario = small(layers=2, faults=OUTAGE, load=40)
    found = run(scenario, NO_BREAKER)
    naive = run(scenario, against="naive")

    assert naive.metrics["amplification"] > 8
    # Ours knows from above that it serves a repeat.
    assert found.metrics["amplification"] < 7


def test_hedges_go_out_and_losers_are_cancelled(small):
    """Hedging shortens the tail for as much extra load as the policy allows."""
    service = "{kind: lognormal, mean: 5ms, straggler_ratio: 0.05}"
    scenario = small(
        duration="20s", load=100, server=f"{{workers: 100, service: {service}}}"
    )
    hedging = "{hedging_delay: p90, max_extra_load: 0.1}"
    hedged = run(scenario, f"version: 1\nall: {{hedging: {hedging}}}").metrics
    alone = run(scenario, "version: 1\nall: {hedging: off}").metrics

    assert hedged["latency_p99_s"] < 0.6 * alone["latency_p99_s"]
    assert 1.02 < hedged["amplification"] <= 1.11


def test_shards_have_targets_of_their_own(small):
    """A dead shard opens its own breaker; the others go on."""
    scenario = small(
        server="{workers: 4, shards: 2}",
        faults="[{kind: refuse, at: 1s, lasts: 4s, shards: [1]}]",
    )
    found = run(scenario).metrics

    assert 1.0 == found["healthy_goodput"]
    assert found["dead_shard_attempts"] < 0.7
