"""How long a call and its attempts may take."""

import pytest

from resilience.core.allowance import (
    SLACK_S,
    fits,
    has_run_out,
    is_impatient,
    of_attempt,
    of_call,
    origin_of,
)
from resilience.core.target import Facts
from tests.core.policies import OK, RESET, TIMEOUT, policy


@pytest.mark.parametrize(
    ("timeout_s", "facts", "expected"),
    [
        (None, Facts(), (None, None)),
        (5.0, Facts(), (5.0, 105.0)),
        (5.0, Facts(timeout_s=2.0), (2.0, 102.0)),
        (5.0, Facts(timeout_s=9.0), (9.0, 109.0)),
        (None, Facts(timeout_s=0.0), (0.0, 100.0)),
        (5.0, Facts(deadline_at=103.0), (3.0, 103.0)),
        (5.0, Facts(deadline_at=200.0), (5.0, 105.0)),
        (None, Facts(deadline_at=103.0), (3.0, 103.0)),
        (5.0, Facts(timeout_s=2.0, deadline_at=101.0), (1.0, 101.0)),
        (5.0, Facts(deadline_at=90.0), (-10.0, 90.0)),
        (5.0, Facts(long=True), (None, None)),
        (5.0, Facts(long=True, timeout_s=2.0), (2.0, 102.0)),
        (5.0, Facts(long=True, deadline_at=103.0), (3.0, 103.0)),
        (5.0, Facts(least_s=21.0), (21.0, 121.0)),
        (30.0, Facts(least_s=21.0), (30.0, 130.0)),
        (None, Facts(least_s=21.0), (None, None)),
        (5.0, Facts(long=True, least_s=21.0), (21.0, 121.0)),
    ],
)
def test_a_calls_length_and_deadline(timeout_s, facts, expected) -> None:
    """The caller's word, then the policy's; a request that asks to last is not cut."""
    assert of_call(policy(timeout_s=timeout_s), facts, 100.0) == expected


@pytest.mark.parametrize(
    ("timeout_s", "facts", "deadline", "expected"),
    [
        (None, Facts(), None, (None, None)),
        (3.0, Facts(), None, (3.0, 103.0)),
        (3.0, Facts(), 110.0, (3.0, 103.0)),
        (3.0, Facts(), 102.0, (2.0, 102.0)),
        (None, Facts(), 102.0, (2.0, 102.0)),
        (3.0, Facts(long=True), 110.0, (10.0, 110.0)),
        (3.0, Facts(least_s=8.0), 110.0, (8.0, 108.0)),
    ],
)
def test_an_attempts_length_and_end(timeout_s, facts, deadline, expected) -> None:
    """Its own timeout, at most what is left of the call."""
    made = policy(attempt_timeout_s=timeout_s)

    assert of_attempt(made, facts, deadline, 100.0) == expected


def test_the_deadline_is_the_end_bit_for_bit() -> None:
    """`now + (deadline - now)` is not the deadline in floating point; the end is."""
    now, deadline = 0.18, 0.68
    odd = now + (deadline - now)
    _, end = of_attempt(policy(), Facts(), deadline, now)

    assert odd != deadline
    assert end == deadline


@pytest.mark.parametrize(
    ("outcome", "deadline", "now", "expected"),
    [
        (OK, None, 10.0, False),
        (RESET, 10.0, 10.0, True),
        (RESET, 10.0, 9.999, False),
        (TIMEOUT, 10.0, 10.0 - SLACK_S / 2, True),
        (TIMEOUT, 10.0, 10.0 - SLACK_S * 2, False),
    ],
)
def test_a_timer_that_is_early_by_rounding_is_in_time(
    outcome, deadline, now, expected
) -> None:
    """An attempt that timed out just before the deadline was ended by it."""
    assert has_run_out(outcome, deadline, now) is expected


@pytest.mark.parametrize(
    ("wait_s", "expected_s", "deadline", "expected"),
    [
        (5.0, 99.0, None, True),
        (1.0, 1.0, 2.0, True),
        (1.0, 1.1, 2.0, False),
        (2.0, 0.0, 2.0, False),
        (1.9, 0.0, 2.0, True),
    ],
)
def test_an_attempt_fits_if_it_can_be_expected_to_end(
    wait_s, expected_s, deadline, expected
) -> None:
    """Start plus expected latency up to the deadline; never a start at it."""
    assert fits(wait_s, expected_s, deadline, 0.0) is expected


@pytest.mark.parametrize(
    ("timeout_s", "elapsed_s", "expected_s", "expected"),
    [
        (3.0, 3.0, 9.0, False),
        (3.0, 2.999, 9.0, False),
        (3.0, 1.0, 0.6, True),
        (3.0, 1.3, 0.6, False),
        (None, 0.04, 0.0, True),
        (None, 0.06, 0.0, False),
    ],
)
def test_an_impatient_caller_is_no_slow_server(
    timeout_s, elapsed_s, expected_s, expected
) -> None:
    """A timeout cut below twice the expected latency is the caller's own doing."""
    made = policy(attempt_timeout_s=timeout_s)

    assert is_impatient(made, elapsed_s, expected_s) is expected


@pytest.mark.parametrize(
    ("timeout_s", "facts", "deadline", "expected"),
    [
        (None, Facts(), None, "none"),
        (2.0, Facts(), 12.0, "policy"),
        (2.0, Facts(timeout_s=2.0), 12.0, "explicit"),
        (2.0, Facts(timeout_s=2.0), None, "explicit"),
        (1.0, Facts(timeout_s=2.0, deadline_at=11.0), 11.0, "ambient"),
        (2.0, Facts(deadline_at=15.0), 12.0, "policy"),
        (1.0, Facts(deadline_at=11.0, inbound_at=11.0), 11.0, "inbound"),
        (0.5, Facts(deadline_at=10.5, inbound_at=11.0), 10.5, "ambient"),
        (
            0.5,
            Facts(timeout_s=0.5, deadline_at=11.0, inbound_at=11.0),
            10.5,
            "explicit",
        ),
    ],
)
def test_whose_deadline_it_is(timeout_s, facts, deadline, expected) -> None:
    """The deadline that holds is that of whoever set it, nobody else's."""
    assert origin_of(facts, timeout_s, deadline) == expected
