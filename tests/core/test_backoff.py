"""Waits: their growth, their cap, their jitter, and what servers ask for."""

import random

import pytest

from resilience.core.backoff import AWS_CLAMP_S, Backoff, with_pushback
from resilience.core.outcome import Outcome
from tests.core.policies import backoff, highest, middle


def waits(count: int, rng=middle, **changes) -> list[float]:
    made = Backoff(backoff(**changes))
    return [made.wait(n, rng) for n in range(1, count + 1)]


def test_waits_grow_up_to_the_cap() -> None:
    """The n-th wait is initial * multiplier ** (n - 1), at most the maximum."""
    assert waits(6) == [1, 2, 4, 8, 8, 8]


@pytest.mark.parametrize(
    ("jitter", "low", "high"),
    [("full", 0, 4), ("equal", 2, 4), ("none", 4, 4), ("decorrelated", 1, 8)],
)
def test_jitter_draws_between_its_bounds(jitter, low, high) -> None:
    """Each kind of jitter has its own range; this is that of the third wait."""
    lowest_draw = Backoff(backoff(jitter=jitter))
    highest_draw = Backoff(backoff(jitter=jitter))
    for n in (1, 2):
        lowest_draw.wait(n, middle)
        highest_draw.wait(n, highest)

    assert lowest_draw.wait(3, lambda: 0.0) == low
    assert highest_draw.wait(3, highest) == high


@pytest.mark.parametrize("jitter", ["full", "equal", "decorrelated"])
def test_jitter_survives_the_cap(jitter) -> None:
    """1000 clients at attempt 30 wait more than 900 different times."""
    rng = random.Random(7).random
    drawn = set()
    for _ in range(1000):
        made = Backoff(backoff(jitter=jitter))
        for n in range(1, 30):
            made.wait(n, rng)
        drawn.add(made.wait(30, rng))

    assert len(drawn) > 900
    assert max(drawn) <= 8


def test_a_smaller_number_restarts_the_sequence() -> None:
    """After an exact pushback the exponent starts again."""
    made = Backoff(backoff())

    assert [made.wait(n, middle) for n in (1, 3, 1, 2, 2)] == [1, 4, 1, 2, 2]


def test_an_initial_wait_above_the_cap_is_capped() -> None:
    """`max_backoff` wins over `initial_backoff`, with every jitter."""
    assert waits(2, initial_s=20, jitter="none") == [8, 8]
    assert waits(2, highest, initial_s=20, jitter="decorrelated") == [8, 8]


@pytest.mark.parametrize(
    ("form", "asked", "expected"),
    [
        ("exact", 3.0, 3.0),
        ("exact", 0.0, 0.0),
        ("hint", 4.0, 5.0),
        ("clamped", 1.5, 2.0),
        ("clamped", 3.5, 3.5),
        ("clamped", 60.0, 2.0 + AWS_CLAMP_S),
        ("clamped", -0.1, 2.0),
        ("hint", -0.1, 2.0),
        ("exact", None, 2.0),
    ],
)
def test_a_server_may_ask_for_a_wait(form, asked, expected) -> None:
    """Exact: to the letter; a hint: times 1-1.5; clamped: own wait to 5 s more."""
    outcome = Outcome("X", "overload", pushback_s=asked, pushback_form=form)

    assert with_pushback(outcome, 2.0, middle) == expected
