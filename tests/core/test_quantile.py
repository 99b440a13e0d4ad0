"""The delay of hedges: a quantile of recent latencies."""

import random

import pytest

from resilience.core.quantile import KEPT, REFRESH_S, LatencyQuantile


def test_none_before_enough():
    """There is no answer before `min_samples`, and one with the last of them."""
    made = LatencyQuantile(0.95, 20)
    for _ in range(19):
        made.sample(0.01)

    assert made.at(0.0) is None

    made.sample(0.01)

    assert pytest.approx(0.01, rel=0.02) == made.at(0.0)


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.95, 0.99])
def test_within_two_percent(quantile):
    """The answer is within a bucket of the true quantile."""
    rng = random.Random(7)
    drawn = [rng.lognormvariate(-5.0, 0.8) for _ in range(20_000)]
    made = LatencyQuantile(quantile, 20)
    for took in drawn:
        made.sample(took)
    exact = sorted(drawn)[int(quantile * len(drawn))]

    assert pytest.approx(exact, rel=0.025) == made.at(0.0)


def test_at_least_a_millisecond():
    """However fast answers are, no hedge is sent within a millisecond."""
    made = LatencyQuantile(0.5, 1)
    for took in (0.0, 1e-9, 0.0001):
        made.sample(took)

    assert 0.001 == made.at(0.0)


def test_longest():
    """What takes longer than the last bucket is counted in it."""
    made = LatencyQuantile(0.5, 1)
    made.sample(1e6)

    assert 250.0 < made.at(0.0) < 400.0


def test_refreshed_every_three_seconds():
    """New samples change the answer at the next refresh, not before."""
    made = LatencyQuantile(0.5, 1)
    made.sample(0.01)
    first = made.at(0.0)
    for _ in range(100):
        made.sample(1.0)

    assert first == made.at(REFRESH_S - 0.01)
    assert pytest.approx(1.0, rel=0.02) == made.at(REFRESH_S)


def test_follows_the_newest():
    """After a change of pace the old samples fade within half a minute."""
    made = LatencyQuantile(0.5, 20)
    now = 0.0
    for took, rounds in ((0.01, 20), (0.1, 5)):
        for _ in range(rounds):
            for _ in range(300):
                made.sample(took)
            now += REFRESH_S
            made.at(now)

    assert pytest.approx(0.1, rel=0.02) == made.at(now + REFRESH_S)


def test_quiet_target_keeps_its_samples():
    """Nothing fades where that would leave too few."""
    made = LatencyQuantile(0.5, 20)
    for _ in range(int(KEPT)):
        made.sample(0.01)
    for moment in range(1000):
        made.at(moment * REFRESH_S)

    assert KEPT == made.samples
