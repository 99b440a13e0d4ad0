"""Built-in values and AWS profiles."""

import subprocess
import sys

import pytest

from resilience import policy


BUILT_IN = policy.built_in()


def test_no_built_in_timeout():
    """A value that nobody wrote never cuts a call short."""
    for protocol in ("grpc", "aws", "app"):
        found = BUILT_IN.policy_for(protocol, "x", "x", "y")

        assert (None, None, None, None) == (
            found.timeout_s,
            found.attempt_timeout_s,
            found.first_message_timeout_s,
            found.idle_timeout_s,
        )


def test_grpc():
    """gRPC: three attempts, UNAVAILABLE and INTERNAL, the latter once and late."""
    found = BUILT_IN.policy_for("grpc", "x", "a.B", "C")
    rule = found.retry.codes["INTERNAL"]

    assert (3, frozenset({"UNAVAILABLE", "INTERNAL"})) == (
        found.retry.max_attempts,
        found.retry.retry_on,
    )
    assert (2, 1.0, "equal") == (
        rule.max_attempts,
        rule.backoff.initial_s,
        rule.backoff.jitter,
    )
    assert ("ratio", 0.2, 1.0, 10.0) == (
        found.retry_budget.kind,
        found.retry_budget.ratio,
        found.retry_budget.min_per_second,
        found.retry_budget.ttl_s,
    )


def test_breaker():
    """The built-in breaker is adaptive, per target; a classic one has growing waits."""
    found = BUILT_IN.policy_for("grpc", "x", "a.B", "C").breaker

    assert ("adaptive", ("target",), 30.0, 20, 0.5, 1.0, 10.0, 5, 1, 10.0) == (
        found.kind,
        found.scope,
        found.window_s,
        found.min_calls,
        found.failure_ratio,
        found.open_for_s,
        found.max_open_for_s,
        found.probes,
        found.concurrent_probes,
        found.probe_timeout_s,
    )
    assert found.jitter
    assert found.growing
    assert found.early_decision


@pytest.mark.parametrize(
    ("service", "attempts", "initial"),
    [("s3", 3, 0.05), ("dynamodb", 4, 0.025), ("dynamodbstreams", 4, 0.025)],
)
def test_aws_standard(service, attempts, initial):
    """AWS has the standard mode's values without any file."""
    found = BUILT_IN.policy_for("aws", service, service, "GetItem")

    assert (attempts, initial, 20.0, 1.0, frozenset(), {}) == (
        found.retry.max_attempts,
        found.retry.backoff.initial_s,
        found.retry.backoff.max_s,
        found.retry.overload_backoff.initial_s,
        found.retry.retry_on,
        dict(found.retry.codes),
    )
    assert ("quota", 500, 14, 5, 14, ("service", "region")) == (
        found.retry_budget.kind,
        found.retry_budget.capacity,
        found.retry_budget.retry_cost,
        found.retry_budget.throttle_cost,
        found.retry_budget.timeout_cost,
        found.breaker.scope,
    )


def load(text):
    return policy.load([("p", f'version: 1\nedition: "2026.11"\n{text}')])


def aws(text, service="s3", operation="GetObject"):
    return load(text).policy_for("aws", service, service, operation)


def test_built_in_profile_is_below_all():
    """`all` beats the profile that nobody wrote."""
    assert 5 == aws("all: {retry: {max_attempts: 5}}\n").retry.max_attempts


def test_written_profile_beats_all():
    """A profile acts at the level where it is written, below what stands beside it."""
    both = "all: {retry: {max_attempts: 5, jitter: none}}\naws: {all: {profile: "
    found = aws(f"{both}aws-standard-2.1, retry: {{jitter: equal}}}}}}\n")

    assert (3, "equal") == (found.retry.max_attempts, found.retry.backoff.jitter)


def test_profile_none():
    """Without a profile the edition's and `all`'s values hold."""
    found = aws("all: {retry: {jitter: none}}\naws: {all: {profile: none}}\n")

    assert (0.1, "none", "ratio", None) == (
        found.retry.backoff.initial_s,
        found.retry.backoff.jitter,
        found.retry_budget.kind,
        found.retry.overload_backoff,
    )


def test_most_specific_profile_alone():
    """Values of two profiles never mix."""
    text = (
        "aws:\n  all: {profile: aws-standard-2.1}\n"
        "  operations: {s3.*: {profile: none}}\n"
    )

    assert 0.1 == aws(text).retry.backoff.initial_s
    assert 0.05 == aws(text, "sqs", "SendMessage").retry.backoff.initial_s


def test_honour_client_config():
    """The client's own configuration decides: no budget, no bound of ours."""
    found = aws("aws: {all: {profile: honour-client-config}}\n")

    assert ("honour-client-config", None, 100) == (
        found.profile,
        found.retry_budget,
        found.retry.max_attempts,
    )


def test_native_retries():
    """Lower layers' retries are declared, expected or ruled out."""
    text = "all: {native_retries: %s}\n"

    assert [4, 5, 1, 1] == [
        load(text % value).policy_for("grpc", "x", "a.B", "C").native_attempts
        for value in ("{max_attempts: 4}", "expect", "forbid", "{max_attempts: 1}")
    ]


def test_built_in_imports_nothing_heavy():
    """Without a file neither pydantic nor PyYAML nor backoff is imported."""
    code = (
        "import sys, resilience.policy as p;"
        "p.built_in().policy_for('aws', 's3', 's3', 'PutObject');"
        "sys.exit(any(m in sys.modules for m in ('yaml', 'pydantic', 'backoff')))"
    )

    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode
