"""The straight way of a healthy call decides as the ways around it do."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience import PolicyEngine
from resilience.core import allowance
from resilience.core.command import Finish, StartAttempt, Step
from resilience.core.event import AttemptDone
from resilience.core.outcome import OK
from resilience.core.record import CallEnded
from resilience.core.target import Facts, Target


TARGET = Target(protocol="app", name="rates", service="rates", method="quote")
TIMES = st.none() | st.floats(0.001, 100.0)


def call_of(rules, facts, *, mode="enforce", sinks=()):
    policy = {"version": 1, "name": "t", "mode": mode, "all": rules}
    engine = PolicyEngine.from_dict(policy, sinks=[*sinks])
    return engine.new_call(engine.bind(TARGET), facts)


@given(
    policy_ms=st.none() | st.integers(1, 100_000),
    attempt_ms=st.none() | st.integers(1, 100_000),
    facts=st.builds(
        Facts,
        level=st.none() | st.floats(0.0, 1.0, exclude_max=True),
        timeout_s=TIMES,
        deadline_at=st.none() | st.floats(1000.0, 1100.0),
        streams=st.booleans(),
        long=st.booleans(),
        least_s=TIMES,
    ),
)
def test_limits(policy_ms, attempt_ms, facts):
    """Call and first attempt have the limits that `allowance` gives, to the bit."""
    if policy_ms is not None and attempt_ms is not None:
        attempt_ms = min(policy_ms, attempt_ms)
    rules = {
        "timeout": "off" if policy_ms is None else f"{policy_ms}ms",
        "attempt_timeout": "off" if attempt_ms is None else f"{attempt_ms}ms",
    }
    call = call_of(rules, facts)
    policy = call._binding.policy
    started = call.arrive(1000.0)
    timeout_s, deadline = allowance.of_call(policy, facts, 1000.0)

    assert (call._timeout_s, call.deadline_at) == (timeout_s, deadline)
    if deadline is not None and deadline <= 1000.0:
        assert isinstance(started, Step)
        return

    limit_s, wake_at = allowance.of_attempt(policy, facts, deadline, 1000.0)

    assert started == StartAttempt(1, limit_s)
    assert call._wake_at == wake_at


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_arriving_twice(mode):
    """A call that has arrived does not arrive again."""
    call = call_of({}, Facts(), mode=mode)
    call.arrive(1.0)

    with pytest.raises(RuntimeError, match="arrived twice"):
        call.arrive(2.0)


class Wants:
    """A sink for records of successes, too."""

    def __init__(self):
        self.seen = []

    def emit(self, records, now):
        self.seen += records


@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.parametrize("outcome", [OK, OK._replace(elapsed_s=0.25)])
def test_success(wanted, outcome):
    """It ends once, is counted once, and leaves a record where somebody wants one."""
    call = call_of({}, Facts(), sinks=[Wants()] if wanted else ())
    breaker = call._binding.breaker
    call.arrive(1.0)
    before = breaker.snapshot(1.0)
    step = call.advance(AttemptDone(1, outcome), 1.5)
    again = call.advance(AttemptDone(1, outcome), 1.75)

    assert step.commands == (Finish(1, outcome, "ok"),)
    assert [type(record) for record in step.records] == [CallEnded] * wanted
    assert again == Step()
    assert breaker.snapshot(1.75) != before
    assert math.isclose(
        call._binding.scope.latency.expected_s, outcome.elapsed_s or 0.5
    )
