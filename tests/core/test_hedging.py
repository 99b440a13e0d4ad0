"""The room that hedges have, and how late is late."""

import random

import pytest

from resilience.core.hedging import (
    FIRST_CREDIT,
    MAX_METHODS,
    MOST_CREDIT,
    MOST_PATIENCE,
    MOST_UNANSWERED,
    ExtraLoad,
    Hedgings,
)
from resilience.core.scope import Scope
from tests.core.hedging import hedging


def test_extra_load_is_bounded():
    """Never more hedges than the ratio of what was answered, and the first few."""
    rng = random.Random(3)
    load, answered, sent = ExtraLoad(0.05), 0, 0
    for _ in range(20_000):
        if rng.random() < 0.5:
            load.answered()
            answered += 1
        elif load.take():
            sent += 1

        assert sent <= 0.05 * answered + FIRST_CREDIT + 1e-6
    assert sent == load.sent


def test_failures_end_hedges():
    """In an outage no credit is left after a few failures, and none comes."""
    load = ExtraLoad(0.1)
    for _ in range(1000):
        load.answered()
    for _ in range(int(MOST_CREDIT)):
        load.failed()

    assert not load.take()


def test_no_answers_no_hedges():
    """A target that answers nobody gets a few hedges only, whatever was saved up."""
    load = ExtraLoad(1.0)
    for _ in range(1000):
        load.answered()

    assert MOST_UNANSWERED == sum(load.take() for _ in range(100))

    load.answered()

    assert load.take()


def test_credit_is_capped():
    """A quiet hour is not saved up for a burst."""
    load = ExtraLoad(1.0)
    for _ in range(1000):
        load.answered()

    assert MOST_CREDIT == load.credit


def test_no_load_no_hedge():
    """`max_extra_load: 0.0` sends none, not even the first."""
    assert not ExtraLoad(0.0).take()


def test_refund():
    """What another budget denied is given back and counted as denied."""
    load = ExtraLoad(0.1)
    load.take()
    load.refund()

    assert (FIRST_CREDIT, 0, 1) == (load.credit, load.sent, load.denied)


def test_methods_share_the_budget_not_the_delay():
    """A slow method does not make a fast one wait; the extra load is one for both."""
    hedgings, policy = Hedgings(), hedging(delay_s=None, quantile=0.5, min_samples=1)
    fast, slow = hedgings.of(policy, "a/Fast"), hedgings.of(policy, "a/Slow")
    fast.sample(0.01)
    slow.sample(1.0)

    assert pytest.approx(0.01, rel=0.02) == fast.delay_s(0.0)
    assert pytest.approx(1.0, rel=0.02) == slow.delay_s(0.0)
    assert fast.extra_load is slow.extra_load
    assert fast is hedgings.of(policy, "a/Fast")


def test_few_hedges_go_to_whom_waited_longest():
    """A percentile of latency is stretched as the first credit runs out, no other."""
    policy = hedging(delay_s=None, quantile=0.5, min_samples=1)
    found = Hedgings().of(policy, "a/B")
    found.sample(0.1)
    late_s = found.delay_s(0.0)
    for _ in range(int(FIRST_CREDIT) // 2):
        found.extra_load.failed()

    assert pytest.approx(late_s * (1.0 + MOST_PATIENCE / 2)) == found.delay_s(0.0)

    for _ in range(int(FIRST_CREDIT)):
        found.extra_load.failed()

    assert pytest.approx(late_s * (1.0 + MOST_PATIENCE)) == found.delay_s(0.0)

    for _ in range(1000):
        found.extra_load.answered()

    assert late_s == found.delay_s(0.0)


def test_methods_are_bounded():
    """Later methods share one delay, so a scope does not grow with names."""
    hedgings, policy = Hedgings(), hedging()
    for number in range(MAX_METHODS):
        hedgings.of(policy, f"a/{number}")

    assert hedgings.of(policy, "a/x") is hedgings.of(policy, "a/y")
    assert MAX_METHODS + 1 == len(hedgings.snapshot(0.0))


def test_fixed_delay_needs_no_samples():
    """A delay that was written holds from the first call on, credit or none."""
    found = Hedgings().of(hedging(), "a/B")

    assert 1.0 == found.delay_s(0.0)

    for _ in range(int(FIRST_CREDIT)):
        found.extra_load.failed()

    assert 1.0 == found.delay_s(0.0)


def test_mode_is_no_part_of_the_state():
    """Observed first and enforced later, samples and credit are kept."""
    scope = Scope("grpc:target=a", 0.0)
    seen = scope.hedging(hedging(mode="observe"), "a/B")

    assert seen is scope.hedging(hedging(mode="enforce"), "a/B")
    scope.renew()
