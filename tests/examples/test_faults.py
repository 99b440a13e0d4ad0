"""Faults are drawn by seed and request, so every client meets the same ones."""

import pytest

from examples.servers.faults import draw, uniform


def test_draw_depends_on_its_parts_only():
    """The n-th request of an intent always meets the same fate, another may differ."""
    fates = [draw({"lost": 0.5}, 7, "Charge", "order-1", nth) for nth in range(50)]

    assert fates == [
        draw({"lost": 0.5}, 7, "Charge", "order-1", nth) for nth in range(50)
    ]
    assert set(fates) == {"", "lost"}
    assert fates != [
        draw({"lost": 0.5}, 8, "Charge", "order-1", nth) for nth in range(50)
    ]


def test_shares_hold_over_many_requests():
    """Each fault takes its share of the requests, within three standard deviations."""
    shares = {"error": 0.1, "drop": 0.2}
    fates = [draw(shares, 1, nth) for nth in range(10_000)]

    assert fates.count("error") == pytest.approx(1000, abs=90)
    assert fates.count("drop") == pytest.approx(2000, abs=120)


def test_numbers_are_in_the_unit_interval():
    """A number is at least 0 and less than 1."""
    numbers = [uniform(nth) for nth in range(1000)]

    assert 0 <= min(numbers) < 0.01
    assert 0.99 < max(numbers) < 1


@pytest.mark.parametrize("shares", [{"a": -0.1}, {"a": 0.6, "b": 0.5}])
def test_impossible_shares_are_refused(shares):
    """Shares below zero or above one together are an error."""
    with pytest.raises(ValueError, match="shares must be"):
        draw(shares, 1)
