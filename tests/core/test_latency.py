"""Expected latency: a moving average."""

import pytest

from resilience.core.latency import Latency


def test_nothing_is_expected_before_an_answer() -> None:
    """Without answers, any attempt may fit."""
    assert Latency().expected_s == 0


def test_the_first_answer_is_taken_whole_and_later_ones_by_a_tenth() -> None:
    """The average follows, and one straggler does not move it far."""
    latency = Latency()
    latency.sample(1.0)

    assert latency.expected_s == 1.0

    latency.sample(2.0)

    assert latency.expected_s == pytest.approx(1.1)
