"""Writes: what is lost and who is killed, and how often a job is committed."""

import pytest

from resilience.lab.simulate import jobs_of, read, run, run_all
from resilience.lab.simulate.asserting import judge
from resilience.lab.simulate.asserting import read as read_assertion


HEAD = """
version: 1
name: writes
load: 200
duration: {duration}
topologies: [{{hosts: 2, processes: 2}}]
"""


def scenario_of(writes, *, idempotency="keyed", duration="20s"):
    head = HEAD.format(duration=duration)
    calls = f"calls: {{idempotency: {idempotency}}}"
    return read("writes.yaml", f"{head}{calls}\nwrites: {writes}\n")


def metrics(writes, *, idempotency="keyed", seed=1, **others):
    found = scenario_of(writes, idempotency=idempotency)
    return run(found, seed=seed, **others).metrics


HARSH = "{lost: 0.02, unanswered: 0.05, late: 0.03, killed: 0.05}"
UNKEYED = HARSH.replace("}", ", honours_keys: false}")


def test_the_job_s_key_outlives_its_worker():
    """Nothing lost, late or killed commits a job twice, and nothing is made up."""
    found = metrics(HARSH)

    assert (found["duplicates"], found["lies"]) == (0.0, 0.0)
    assert found["goodput"] > 0.99
    assert found["amplification_run"] > 1.05


def test_a_key_of_the_call_does_not():
    """Whoever makes a key for each call commits again what a killed worker did."""
    found = metrics(HARSH, against="keyed")
    killed_less = metrics(HARSH.replace("killed: 0.05", "killed: 0.0"), against="keyed")

    assert found["duplicates"] > 1000
    assert killed_less["duplicates"] == 0


def test_retries_without_keys_write_twice():
    """Where the server knows no keys, a repeat after a commit writes again."""
    ours = metrics(UNKEYED)
    naive = metrics(HARSH, against="naive")

    assert ours["duplicates"] > 50_000
    assert naive["duplicates"] > 50_000


@pytest.mark.parametrize("seed", [1, 2])
def test_undeclared_writes_are_not_repeated(seed):
    """Without keys only what was never processed is repeated, and none twice."""
    unkeyed = UNKEYED.replace("killed: 0.05", "killed: 0.0")
    found = metrics(unkeyed, idempotency="none", seed=seed)

    assert found["duplicates"] == 0
    assert found["amplification_run"] <= 1.0
    assert found["goodput"] < 0.95


def test_a_killed_worker_s_job_is_done_by_another():
    """Kills alone lose no job."""
    found = metrics("{killed: 0.5, killed_within: 30ms}")

    assert found["written"] == 1.0
    assert found["goodput"] > 0.99
    assert found["amplification_run"] > 1.1


@pytest.mark.parametrize(
    ("text", "holds"),
    [("duplicates <= 0", True), ("lies <= 0", True), ("written >= 1.01", False)],
)
def test_assertions_about_writes(text, holds):
    """A pipeline can ask that nothing is written twice."""
    found = scenario_of("{unanswered: 0.1}", duration="3s")
    ours = {"ours": [("policy", "version: 1")]}
    (verdict,) = judge([read_assertion(text)], run_all(jobs_of(found, ours), workers=1))

    assert holds == verdict.holds
