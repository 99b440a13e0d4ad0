"""Who writes a key of the classic breaker, and no kind, means the classic one."""

import pytest

from resilience import policy


HEAD = "version: 1\nname: t\n"


def breaker_of(*rules):
    """The breaker of one method, and where its kind is from, under texts of `all`."""
    texts = [
        (f"{number}.yaml", f"{HEAD}all: {{breaker: {rule}}}\n")
        for number, rule in enumerate(rules)
    ]
    table = policy.load(texts)
    return table.policy_for("app", "rates", "rates", "quote", None).breaker


@pytest.mark.parametrize(
    "rule",
    [
        "{window: 10s}",
        "{min_calls: 5}",
        "{failure_ratio: 0.6}",
        "{slow_ratio: 0.6}",
        "{open_for: 200ms}",
        "{max_open_for: 20s}",
        "{probes: 2}",
        "{concurrent_probes: 1}",
        "{probe_timeout: 2s}",
        "{ramp: 2s}",
        "{ramp_aggression: 2.0}",
    ],
)
def test_a_key_of_the_classic_kind(rule):
    """It means the classic kind, unless a kind is written, wherever that is."""
    assert "classic" == breaker_of(rule).kind
    assert "adaptive" == breaker_of(rule[:-1] + ", kind: adaptive}").kind
    assert "adaptive" == breaker_of(rule, "{kind: adaptive}").kind
    assert "adaptive" == breaker_of("{kind: adaptive}", rule).kind


@pytest.mark.parametrize("rule", ["on", "{scope: [target]}", "{slow_call: 1s}"])
def test_a_key_of_both_kinds(rule):
    """It means nothing: the edition's kind holds."""
    assert "adaptive" == breaker_of(rule).kind


def test_no_breaker():
    """Where there is none nothing follows."""
    assert breaker_of("off") is None
    assert "classic" == breaker_of("{open_for: 200ms}", "on").kind
