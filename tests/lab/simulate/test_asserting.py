"""Assertions over results, in the words of the tables."""

import pytest

from resilience.lab.simulate import jobs_of, run_all
from resilience.lab.simulate.asserting import AssertionSyntaxError, judge, read


@pytest.fixture
def runs(small):
    scenario = small(faults="[{kind: refuse, at: 2s, lasts: 2s}]", duration="9s")
    policy = {"ours": [("p", "version: 1\nall: {breaker: off, retry: off}")]}
    return run_all(
        jobs_of(scenario, policy, against=["naive"], seeds=[1, 2]), workers=1
    )


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("amplification <= 1.0", True),
        ("amplification < 1", False),
        ("goodput_after >= .99", True),
        ("recovery <= 2s", True),
        ("recovery_s<=2000ms", True),
        ("p99 <= 300ms", False),  # there are no good calls in the outage
        ("amplification <= naive.amplification * 0.3", True),
        ("recovery <= naive.recovery + 2s", True),
        ("goodput >= naive.goodput + 0.5", False),
    ],
)
def test_assertions(runs, text, holds):
    """An assertion compares a figure with a number, a time or a rival's figure."""
    (verdict,) = judge([read(text)], runs)

    assert holds == verdict.holds
    assert bool(verdict.details) != holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("amplification 1.2", "has not the form"),
        ("amplification <= lots", "neither a number nor a time"),
        ("amplifcation <= 1", "did you mean amplification"),
        ("goodput >= grpc.goodput", "grpc was not run"),
    ],
)
def test_what_cannot_be_read(runs, text, said):
    """A mistake is told with what would be right."""
    with pytest.raises(AssertionSyntaxError, match=said):
        judge([read(text)], runs)


def test_what_never_happened_is_late(small):
    """Never recovered is longer than any time, for ours and for a rival."""
    scenario = small(faults="[{kind: refuse, at: 2s, lasts: 3s}]", duration="6s")
    policy = {"ours": [("p", "version: 1\nall: {breaker: off}")]}
    found = run_all(jobs_of(scenario, policy, against=["none"]), workers=1)
    late, relative = judge(
        [read("recovery <= 1h"), read("recovery <= none.recovery")], found
    )

    assert not late.holds
    assert relative.holds
