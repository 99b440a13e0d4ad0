"""A complete policy file means what it says."""

from pathlib import Path

import pytest

from resilience import policy


SAMPLE = Path(__file__).parent / "sample.yaml"


@pytest.fixture(scope="module")
def table():
    return policy.load_files([SAMPLE])


def test_identity(table):
    """Name, edition, mode and state are the file's."""
    assert ("orders", "2026.11", "enforce", "process") == (
        table.name,
        table.edition,
        table.mode,
        table.state,
    )


def test_grpc_method(table):
    """A method takes each leaf from the most specific place that has it."""
    found = table.policy_for("grpc", "orders-eu", "shop.Orders", "Get")

    assert (6.0, 1.0, "safe", "team-orders") == (
        found.timeout_s,
        found.attempt_timeout_s,
        found.idempotency,
        found.owner,
    )


def test_stream_without_a_total(table):
    """`timeout: off` for a stream leaves first message and idle timeouts."""
    found = table.policy_for("grpc", "x", "shop.Orders", "Watch")

    assert (None, 5.0, 90.0) == (
        found.timeout_s,
        found.first_message_timeout_s,
        found.idle_timeout_s,
    )


def test_retry_values(table):
    """Retry values are compiled: seconds, the built-in codes, rules of a code."""
    retry = table.policy_for("grpc", "x", "a.B", "C").retry

    assert (4, 0.05, 2.0, 1.5, "equal") == (
        retry.max_attempts,
        retry.backoff.initial_s,
        retry.backoff.max_s,
        retry.backoff.multiplier,
        retry.backoff.jitter,
    )
    assert frozenset({"ABORTED", "UNAVAILABLE", "INTERNAL"}) == retry.retry_on
    assert 1.5 == retry.codes["INTERNAL"].backoff.initial_s
    assert 1.0 == retry.overload_backoff.initial_s


def test_retry_off(table):
    """`retry: off` compiles to no retry policy."""
    assert table.policy_for("grpc", "x", "shop.Orders", "Pay").retry is None


def test_aws(table):
    """AWS operations have their profile, budget and scope."""
    found = table.policy_for("aws", "s3", "s3", "PutObject")

    assert ("aws-standard-2.1", "keyed", "quota", ("region", "bucket")) == (
        found.profile,
        found.idempotency,
        found.retry_budget.kind,
        found.breaker.scope,
    )


def test_app(table):
    """Functions called through the engine have rules of their own."""
    found = table.policy_for("app", "rates", "rates", "quote")

    assert ("safe", "disabled") == (found.idempotency, found.breaker.forced)


def test_hedging(table):
    """A method that turns hedging on gets the edition's values; others have none."""
    found = table.policy_for("grpc", "x", "shop.Orders", "Get").hedging

    assert (0.95, None, 1, 0.05, 20) == (
        found.quantile,
        found.delay_s,
        found.max_hedges,
        found.max_extra_load,
        found.min_samples,
    )
    assert table.policy_for("grpc", "x", "a.B", "C").hedging is None


def test_notices(table):
    """All that the sample switches on acts: there is nothing to tell."""
    assert () == table.notices


def test_one_policy_object_for_all_calls(table):
    """A method's policy is compiled once and shared."""
    first = table.policy_for("grpc", "x", "a.B", "C")

    assert first is table.policy_for("grpc", "x", "a.B", "C")


def test_waits_are_capped_and_begin_at_once():
    """The waits' generator yields numbers from the first item on, capped."""
    retry = policy.built_in().policy_for("grpc", "x", "a.B", "C").retry
    waits = retry.backoff.waits()

    assert [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0] == pytest.approx(
        [next(waits) for _ in range(8)]
    )
