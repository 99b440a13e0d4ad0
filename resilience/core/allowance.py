"""How long a call and each of its attempts may take.

The caller's own timeout, the policy's, the ambient deadline and what the request itself
asks for meet here and nowhere else. Pure functions of their arguments.
"""

import math

from .outcome import Outcome
from .policy import BreakerPolicy, CallPolicy
from .record import DeadlineOrigin
from .target import Facts


SLACK_S = 0.005
"""Timers and transports end an attempt early by rounding. A timed-out attempt that ends
this near the deadline was ended by it, and nothing useful fits into what is left."""
IMPATIENT = 2.0
"""A timeout that the caller's own budget cut below this many expected latencies says
nothing about the target."""
IMPATIENT_S = 0.05
"""Nor does one below this, whatever is expected."""


def of_call(
    policy: CallPolicy, facts: Facts, now: float
) -> tuple[float | None, float | None]:
    """The whole call's length and its deadline; None: it has none."""
    timeout_s = facts.timeout_s
    if timeout_s is None:
        timeout_s = policy.timeout_s
        if facts.long or facts.least_s is not None:
            timeout_s = _stretched(timeout_s, facts)
    ambient = facts.deadline_at
    if timeout_s is None:
        return (None if ambient is None else ambient - now), ambient
    deadline = now + timeout_s
    if ambient is not None and ambient < deadline:
        return ambient - now, ambient
    return timeout_s, deadline


def origin_of(
    facts: Facts, timeout_s: float | None, deadline: float | None
) -> DeadlineOrigin:
    """Who set the *deadline* of a call whose length is *timeout_s*."""
    if deadline is not None and deadline == facts.deadline_at:
        return "inbound" if deadline == facts.inbound_at else "ambient"
    if timeout_s is None:
        return "none"
    return "policy" if facts.timeout_s is None else "explicit"


def of_attempt(
    policy: CallPolicy, facts: Facts, deadline: float | None, now: float
) -> tuple[float | None, float | None]:
    """The length and the end of an attempt that starts now; None: no limit.

    Where the deadline ends it, the end *is* the deadline, bit for bit.
    """
    timeout_s = policy.attempt_timeout_s
    if facts.streams:
        return _of_stream(policy, facts, deadline, now)
    if facts.long or facts.least_s is not None:
        timeout_s = _stretched(timeout_s, facts)
    if deadline is None:
        return timeout_s, None if timeout_s is None else now + timeout_s
    left = deadline - now
    if timeout_s is None or left <= timeout_s:
        return left, deadline
    return timeout_s, now + timeout_s


def of_queue(policy: BreakerPolicy, arrived_at: float, deadline: float | None) -> float:
    """Before when a breaker must admit a call again, for it to be waited for."""
    if policy.when_open != "wait":
        return -math.inf
    return arrived_at + policy.max_open_for_s if deadline is None else deadline


def _of_stream(
    policy: CallPolicy, facts: Facts, deadline: float | None, now: float
) -> tuple[float | None, float | None]:
    """The transport gets the call's time; the end is that of the first message."""
    limits = (policy.first_message_timeout_s, policy.attempt_timeout_s)
    ends = [] if facts.long else [now + limit for limit in limits if limit is not None]
    end = min(ends, default=None)
    if deadline is None:
        return None, end
    return deadline - now, None if end is None else min(deadline, end)


def _stretched(timeout_s: float | None, facts: Facts) -> float | None:
    """A policy's timeout, never shorter than what a long request itself asks for."""
    if timeout_s is None or facts.least_s is None:
        return None
    return max(timeout_s, facts.least_s)


def has_run_out(outcome: Outcome, deadline: float | None, now: float) -> bool:
    """Did the deadline end the attempt, by our timer or by the transport's?"""
    if deadline is None:
        return False
    return deadline <= now or (outcome.timed_out and deadline - now <= SLACK_S)


def fits(wait_s: float, expected_s: float, deadline: float | None, now: float) -> bool:
    """Can an attempt that starts after *wait_s* be expected to end in time?"""
    if deadline is None:
        return True
    start = now + wait_s
    return start < deadline and start + expected_s <= deadline


def is_impatient(policy: CallPolicy, elapsed_s: float, expected_s: float) -> bool:
    """Did the caller's own budget, not the policy, make an attempt this short?"""
    timeout_s = policy.attempt_timeout_s
    if timeout_s is not None and elapsed_s >= timeout_s - SLACK_S:
        return False
    return elapsed_s < max(IMPATIENT * expected_s, IMPATIENT_S)
