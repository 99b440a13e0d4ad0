"""The safe load is the highest below which everything heals in time."""

from resilience.lab.simulate import jobs_of, run_all
from resilience.lab.simulate.outcome import Simulation


SEARCH = """
safe_load: {heals_within: 4s, loads: [0.2, 0.4, 0.6, 0.9]}
"""


def test_safe_load(small):
    """Rivals stop at the first load that does not heal; ours tries all."""
    scenario = small(
        SEARCH,
        duration="14s",
        faults="[{kind: capacity, at: 2s, lasts: 3s, factor: 0.2}]",
    )
    policy = {"ours": [("p", "version: 1\nall: {breaker: off, retry: off}")]}
    jobs = jobs_of(scenario, policy, against=["none", "naive"])
    found = Simulation(scenario=scenario, runs=tuple(run_all(jobs, workers=1)))
    ours, none, naive = found.safe

    assert ours.safe == none.safe
    assert 0.2 <= none.safe < 0.9
    assert naive.safe < none.safe
    assert 4 == len(ours.recoveries) > len(naive.recoveries)
    assert [20.0 * 2, 20.0 * 4] == [run.load for run in found.runs[:2]]
