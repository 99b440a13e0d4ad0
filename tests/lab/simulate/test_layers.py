"""Services in a chain: what one layer tells the next holds in virtual time too."""

import pytest

from resilience.lab.simulate import run


OUTAGE = "[{kind: refuse, at: 2s, lasts: 2s}]"
RETRIES = """
version: 1
all:
  breaker: off
  retry: {max_attempts: 3, initial_backoff: 1ms, max_backoff: 2ms}
  retry_budget: off
"""
ADAPTIVE = """
version: 1
name: layers
state: host
all: {breaker: {kind: adaptive}}
"""


def refused(found, key):
    """*key* over the outage, but for its edges."""
    return sum(found.series[key][21:39])


def test_only_the_layer_nearest_the_fault_repeats(small):
    """Three layers of three attempts make three, not 27."""
    found = run(small(faults=OUTAGE, layers=3), RETRIES)
    naive = run(small(faults=OUTAGE, layers=3), against="naive")

    ours = refused(found, "attempts") / refused(found, "offered")
    assert ours == pytest.approx(3, abs=0.2)
    assert refused(naive, "attempts") / refused(naive, "offered") > 10


def test_nobody_repeats_for_a_layer_that_gave_up(small):
    """Attempts that time out in five layers at once are not multiplied either."""
    silent = "[{kind: silent, at: 2s, lasts: 2s}]"
    found = run(small(faults=silent, layers=5), RETRIES)

    assert sum(found.series["attempts"]) < 3.2 * sum(found.series["offered"])


@pytest.mark.parametrize("kind", ["refuse", "silent"])
def test_a_stack_of_five_reopens_at_one_percent_of_its_load(small, kind):
    """Ten seconds of outage, a hundredth of the capacity: whole again within 5 s."""
    outage = f"[{{kind: {kind}, at: 5s, lasts: 10s}}]"
    times = {"duration": "30s", "load": 10, "server": "{workers: 20}"}
    scenario = small(faults=outage, layers=5, **times)

    found = run(scenario, ADAPTIVE)

    late = range(205, 300)
    offered = sum(found.series["offered"][at] for at in late)
    good = sum(found.series["good"][at] for at in late)
    assert good >= 0.99 * offered
