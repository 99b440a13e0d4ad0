"""The pytest fixtures, as a user's tests meet them."""

import pytest

import resilience
from resilience.testing import Script


def test_waits_take_no_time(resilience_engine, resilience_clock, resilience_records):
    """Backoff passes on the virtual clock, and each decision is recorded."""
    script = Script([ConnectionRefusedError(), "quote"], clock=resilience_clock)
    quote = resilience_engine.call("app:rates/quote", script.run)
    [failed, recovered] = resilience_records.attempts
    [ended] = resilience_records.calls

    assert quote == "quote"
    assert (failed.decision, recovered.decision) == ("retry", "return")
    assert ended.wait_s == resilience_clock.now() - 1000.0
    assert resilience_clock.sleeps == pytest.approx([failed.wait_s])


def test_deadlines_are_virtual(resilience_engine, resilience_clock):
    """A deadline of the code under test counts in the same time."""
    script = Script(["quote"], clock=resilience_clock)
    with resilience.deadline(0.5):
        resilience_clock.advance(0.2)
        resilience_engine.call("app:rates/quote", script.run)

    assert abs(script.started[0].timeout_s - 0.3) < 1e-9


def test_records_by_kind(resilience_engine, resilience_records):
    """A collecting sink gives its records by kind."""
    resilience_engine.mode = "observe"
    script = Script([ConnectionRefusedError()])
    try:
        resilience_engine.call("app:rates/quote", script.run)
    except ConnectionRefusedError:
        seen = resilience_records.observed

    assert [(made.mechanism, made.decision) for made in seen] == [("retry", "retry")]
