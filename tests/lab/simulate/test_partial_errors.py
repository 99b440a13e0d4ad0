"""Failures that are not load: nobody is worse off with the breaker than without."""

import pytest

from resilience.lab.simulate import run


LOST = """
calls: {idempotency: keyed}
writes: {lost: 0.2}
faults: [{kind: errors, ratio: 0.05}]
"""


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.8])
def test_random_errors_cost_no_calls(small, ratio):
    """Whatever share of the answers are errors, as many calls succeed as bare."""
    scenario = small(
        f"faults: [{{kind: errors, ratio: {ratio}}}]",
        load=100,
        duration="20s",
        topologies="[{hosts: 2, processes: 1}]",
    )
    ours, none = run(scenario), run(scenario, against="none")

    assert ours.metrics["goodput"] >= none.metrics["goodput"]


@pytest.mark.parametrize("hosts", [1, 10])
def test_lost_answers_are_made_good_at_few_calls(small, hosts):
    """Of a quarter of the calls that fail bare, most succeed."""
    scenario = small(
        LOST,
        load=20,
        duration="60s",
        topologies=f"[{{hosts: {hosts}, processes: 1}}]",
    )
    ours, none = run(scenario), run(scenario, against="none")
    lost = 1 - none.metrics["goodput"]

    assert lost > 0.2
    assert 1 - ours.metrics["goodput"] < lost / 2
