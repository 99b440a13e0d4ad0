"""Words of other systems are understood as hints, never accepted."""

import pytest

from resilience.policy import foreign
from resilience.policy.elsewhere import FailoverRegion
from resilience.policy.mechanisms import Breaker, Hedging, Limiter, Retry, RetryBudget
from resilience.policy.model import AppSection, AwsRule, GrpcSection, Overlay, Rule
from resilience.policy.transport import Channel, Keepalive, Reconnect


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("num_retries", "3", ("max_attempts", "4")),
        ("maxRetries", "many", ("max_attempts", "")),
        ("total_max_attempts", "3", ("max_attempts", "3")),
        ("failureRateThreshold", "50", ("failure_ratio", "0.5")),
        ("failure-rate-threshold", "50%", ("failure_ratio", "0.5")),
        ("perTryTimeout", "2s", ("attempt_timeout", "2s")),
        ("read_timeout", "60", ("attempt_timeout", "60s")),
        ("sleepWindowInMilliseconds", "500", ("open_for", "500ms")),
        ("slidingWindowSize", "100", ("window", "100 calls")),
        ("circuit_breaker", "", ("breaker", "")),
    ],
)
def test_meant(key, text, expected):
    """A known word of others gives our key, and its value in our unit."""
    assert expected == foreign.meant(key, text)


def test_unknown_word():
    """A word that nobody uses gives nothing."""
    assert foreign.meant("frobnicate", "3") is None


def test_every_hint_names_a_key():
    """Each word in the table leads to a key that exists."""
    rules = (Retry, RetryBudget, Breaker, Limiter, Hedging, Rule, Overlay)
    parts = (*rules, Channel, Keepalive, Reconnect, AwsRule, FailoverRegion)
    known = {
        key for part in (*parts, GrpcSection, AppSection) for key in part.model_fields
    }

    assert {word for word, _ in foreign.WORDS.values()} <= known
