"""Lengths of time as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.policy.durations import DurationError, parse, show


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("2s", 2.0),
        ("1m", 60.0),
        ("1h", 3600.0),
        ("1m30s", 90.0),
        ("1.5s", 1.5),
        ("1h0m1s500ms", 3601.5),
        ("2d", 172800.0),
        ("10us", 1e-5),
    ],
)
def test_parse(text, seconds):
    """A time is a number with a unit, or several from large to small."""
    assert pytest.approx(seconds) == parse(text)


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        (5, "bare-number", "write `5s`"),
        (300, "bare-number", "write `300s`"),
        (301, "bare-number", "write `301ms`"),
        (0.5, "bare-number", "write `0.5s`"),
        ("7", "bare-number", "write `7s`"),
        ("-5s", "negative", "write `5s`"),
        (-5, "negative", ""),
        ("5 s", "not-a-duration", "write `5s`"),
        ("5 Seconds", "not-a-duration", "write `5s`"),
        ("3min", "not-a-duration", "write `3m`"),
        ("1s1m", "not-a-duration", ""),
        ("1s1s", "not-a-duration", ""),
        ("", "not-a-duration", ""),
        ("s", "not-a-duration", ""),
        (True, "not-a-duration", ""),
        ("999999d", "out-of-range", ""),
        ("9" * 400 + "s", "not-a-duration", ""),
    ],
)
def test_refused(text, code, hint):
    """What is no time is refused with a hint at what was meant."""
    with pytest.raises(DurationError) as caught:
        parse(text)

    assert (code, hint) == (caught.value.code, caught.value.hint)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (0.9999, "1s"),
        (5415, "1h30m15s"),
        (2, "2s"),
        (59.99, "1m"),
        (90, "1m30s"),
        (3600, "1h"),
        (5400, "1h30m"),
        (86400, "1d"),
        (1e-5, "10us"),
        (1.2345, "1.23s"),
    ],
)
def test_show(seconds, text):
    """A length is shown in the largest readable unit."""
    assert text == show(seconds)


@given(st.floats(1e-6, 1e7))
def test_shown_is_readable(seconds):
    """What is shown can be read again, and is near."""
    assert parse(show(seconds)) == pytest.approx(seconds, rel=0.01)
