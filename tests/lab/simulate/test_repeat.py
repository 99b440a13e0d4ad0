"""A run is its seed: the same figures to the byte, on one core or many."""

import json

import pytest

from resilience.lab.simulate import jobs_of, run, run_all
from resilience.lab.simulate.outcome import Simulation


POLICY = (("p.yaml", "version: 1\nstate: host\n"),)
FAULT = "[{kind: capacity, at: 2s, lasts: 1s, factor: 0.2}]"


def data(scenario, runs):
    return json.dumps(Simulation(scenario=scenario, runs=tuple(runs)).as_dict())


def test_repeatable_to_the_byte(small):
    """Two runs of the same jobs give the same JSON and the same series."""
    scenario = small(faults=FAULT)
    jobs = jobs_of(scenario, {"ours": POLICY}, against=["grpc", "sre"], seeds=[1, 2])
    first, second = run_all(jobs, workers=1), run_all(jobs, workers=1)

    assert data(scenario, first) == data(scenario, second)
    assert [r.series for r in first] == [r.series for r in second]


def test_other_processes_give_the_same(small):
    """How many processes share the work shows nowhere."""
    scenario = small(faults=FAULT, duration="4s")
    jobs = jobs_of(scenario, {"ours": POLICY}, against=["none"], seeds=[3])

    assert data(scenario, run_all(jobs, workers=1)) == data(
        scenario, run_all(jobs, workers=2)
    )


def test_reports_repeat(small):
    """A report is the same text for the same runs, pictures included."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    from resilience.lab.simulate.report import html

    scenario = small(duration="3s")
    jobs = jobs_of(scenario, {"ours": POLICY}, against=["none"])
    one, other = (
        Simulation(scenario=scenario, runs=tuple(run_all(jobs, workers=1)))
        for _ in range(2)
    )

    assert html(one) == html(other)


def test_seeds_differ(small):
    """Another seed is another run."""
    one, other = (run(small(), seed=seed).series["good"] for seed in (1, 2))

    assert one != other


def test_every_policy_is_offered_the_same_calls(small):
    """Policies are compared on the very same arrivals."""
    offered = {run(small(), against=name).series["offered"] for name in ("none", "aws")}
    offered.add(run(small()).series["offered"])

    assert 1 == len(offered)


def test_environment_does_not_act(small, monkeypatch):
    """A mode that this machine's environment sets is not the simulated fleet's."""
    scenario = small(faults="[{kind: refuse, at: 2s, lasts: 2s}]")
    before = run(scenario).metrics
    monkeypatch.setenv("RESILIENCE_MODE", "bypass")

    assert before == run(scenario).metrics
