"""The breaker: rejecting, waiting, probing, ramping."""

from resilience.core.target import Facts
from tests.core.policies import (
    NO_DNS,
    NOT_FOUND,
    OK,
    RESET,
    THROTTLED,
    breaker,
    middle,
    policy,
    retry,
)
from tests.spec.story import SILENT, Answer, Row, call


ONCE = {"retry": None}


def tripped(binding) -> None:
    """Four failures at the beginning of time."""
    for _ in range(4):
        permit = binding.breaker.admit(0.0, middle)
        binding.breaker.done(permit, "failure", 0.1, 0.0, middle)


ROWS = [
    Row(
        says="Half of four failures open it; then calls are rejected unsent.",
        policy=policy(**ONCE, breaker=breaker()),
        calls=(*call(OK), *call(OK), *call(RESET), *call(RESET), *call(OK)),
        story="""
            0 start 1
            0 end OK (ok) after 1
            0 start 1
            0 end OK (ok) after 1
            0 start 1
            0 UNAVAILABLE: fail (not-retryable)
            0 end UNAVAILABLE (not-retryable) after 1, ambiguous
            0 start 1
            0 breaker closed to open
            0 UNAVAILABLE: fail (not-retryable)
            0 end UNAVAILABLE (not-retryable) after 1, ambiguous
            0 end UNAVAILABLE (breaker-open) unsent
        """,
    ),
    Row(
        says="After its time it probes, and two successes close it.",
        policy=policy(**ONCE, breaker=breaker()),
        prepare=tripped,
        calls=(*call(OK, at=9.0), *call(OK, at=10.0), *call(OK), *call(OK)),
        story="""
            9 end UNAVAILABLE (breaker-open) unsent
            10 breaker open to half-open
            10 start 1
            10 end OK (ok) after 1
            10 start 1
            10 breaker half-open to closed
            10 end OK (ok) after 1
            10 start 1
            10 end OK (ok) after 1
        """,
    ),
    Row(
        says="A failed probe opens it again, for twice as long.",
        policy=policy(**ONCE, breaker=breaker(growing=True)),
        prepare=tripped,
        calls=(
            *call(RESET, at=10.0),
            *call(OK, at=29.0),
            *call(OK, at=30.0),
        ),
        story="""
            10 breaker open to half-open
            10 start 1
            10 breaker half-open to open
            10 UNAVAILABLE: fail (not-retryable)
            10 end UNAVAILABLE (not-retryable) after 1, ambiguous
            29 end UNAVAILABLE (breaker-open) unsent
            30 breaker open to half-open
            30 start 1
            30 end OK (ok) after 1
        """,
    ),
    Row(
        says="A call may wait for the breaker and be its probe.",
        policy=policy(**ONCE, breaker=breaker(when_open="wait"), timeout_s=30.0),
        prepare=tripped,
        calls=call(OK, at=4.0),
        story="""
            10 breaker open to half-open
            10 start 1 (24s)
            10 end OK (ok) after 1
        """,
    ),
    Row(
        says="A call that cannot be admitted in time does not wait.",
        policy=policy(**ONCE, breaker=breaker(when_open="wait"), timeout_s=5.0),
        prepare=tripped,
        calls=call(OK, at=4.0),
        story="""
            4 end UNAVAILABLE (breaker-open) unsent
        """,
    ),
    Row(
        says="A retry that could only be refused is not waited for.",
        policy=policy(breaker=breaker(min_calls=2)),
        calls=call(RESET),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 breaker closed to open
            1 UNAVAILABLE: fail (breaker-open)
            1 end UNAVAILABLE (breaker-open) after 2, ambiguous
        """,
    ),
    Row(
        says="A retry may wait for the breaker and be its probe.",
        policy=policy(breaker=breaker(min_calls=2, when_open="wait")),
        calls=call(RESET, RESET, OK),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 breaker closed to open
            1 UNAVAILABLE: retry (retry) in 2s
            11 breaker open to half-open
            11 start 3
            11 OK: return (ok)
            11 end OK (ok) after 3
        """,
    ),
    Row(
        says="A retry that is due when the breaker probes is a probe.",
        policy=policy(breaker=breaker(min_calls=2, open_for_s=1.5)),
        calls=call(RESET, RESET, OK),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 breaker closed to open
            1 UNAVAILABLE: retry (retry) in 2s
            3 breaker open to half-open
            3 start 3
            3 OK: return (ok)
            3 end OK (ok) after 3
        """,
    ),
    Row(
        says="Throttling, answers and faults of our own do not open it.",
        policy=policy(**ONCE, breaker=breaker()),
        calls=(*call(THROTTLED) * 4, *call(NOT_FOUND) * 4, *call(NO_DNS) * 4),
        story="""
            0 start 1
            0 RESOURCE_EXHAUSTED: fail (not-retryable)
            0 end RESOURCE_EXHAUSTED (not-retryable) after 1
            0 start 1
            0 RESOURCE_EXHAUSTED: fail (not-retryable)
            0 end RESOURCE_EXHAUSTED (not-retryable) after 1
            0 start 1
            0 RESOURCE_EXHAUSTED: fail (not-retryable)
            0 end RESOURCE_EXHAUSTED (not-retryable) after 1
            0 start 1
            0 RESOURCE_EXHAUSTED: fail (not-retryable)
            0 end RESOURCE_EXHAUSTED (not-retryable) after 1
            0 start 1
            0 NOT_FOUND: fail (not-retryable)
            0 end NOT_FOUND (not-retryable) after 1
            0 start 1
            0 NOT_FOUND: fail (not-retryable)
            0 end NOT_FOUND (not-retryable) after 1
            0 start 1
            0 NOT_FOUND: fail (not-retryable)
            0 end NOT_FOUND (not-retryable) after 1
            0 start 1
            0 NOT_FOUND: fail (not-retryable)
            0 end NOT_FOUND (not-retryable) after 1
            0 start 1
            0 UNAVAILABLE: fail (not-retryable)
            0 end UNAVAILABLE (not-retryable) after 1
            0 start 1
            0 UNAVAILABLE: fail (not-retryable)
            0 end UNAVAILABLE (not-retryable) after 1
            0 start 1
            0 UNAVAILABLE: fail (not-retryable)
            0 end UNAVAILABLE (not-retryable) after 1
            0 start 1
            0 UNAVAILABLE: fail (not-retryable)
            0 end UNAVAILABLE (not-retryable) after 1
        """,
    ),
    Row(
        says="Timeouts open it.",
        policy=policy(**ONCE, breaker=breaker(), attempt_timeout_s=1.0),
        calls=(*call(SILENT) * 4, *call(OK)),
        story="""
            0 start 1 (1s)
            1 DEADLINE_EXCEEDED: fail (not-retryable)
            1 end DEADLINE_EXCEEDED (not-retryable) after 1, ambiguous
            1 start 1 (1s)
            2 DEADLINE_EXCEEDED: fail (not-retryable)
            2 end DEADLINE_EXCEEDED (not-retryable) after 1, ambiguous
            2 start 1 (1s)
            3 DEADLINE_EXCEEDED: fail (not-retryable)
            3 end DEADLINE_EXCEEDED (not-retryable) after 1, ambiguous
            3 start 1 (1s)
            4 breaker closed to open
            4 DEADLINE_EXCEEDED: fail (not-retryable)
            4 end DEADLINE_EXCEEDED (not-retryable) after 1, ambiguous
            4 end UNAVAILABLE (breaker-open) unsent
        """,
    ),
    Row(
        says="Timeouts that the callers chose too short do not.",
        policy=policy(**ONCE, breaker=breaker(), attempt_timeout_s=1.0),
        calls=(*call(SILENT, facts=Facts(timeout_s=0.02)) * 4, *call(OK)),
        story="""
            0 start 1 (0.02s)
            0.02 DEADLINE_EXCEEDED: fail (deadline)
            0.02 end DEADLINE_EXCEEDED (deadline) after 1, ambiguous
            0.02 start 1 (0.02s)
            0.04 DEADLINE_EXCEEDED: fail (deadline)
            0.04 end DEADLINE_EXCEEDED (deadline) after 1, ambiguous
            0.04 start 1 (0.02s)
            0.06 DEADLINE_EXCEEDED: fail (deadline)
            0.06 end DEADLINE_EXCEEDED (deadline) after 1, ambiguous
            0.06 start 1 (0.02s)
            0.08 DEADLINE_EXCEEDED: fail (deadline)
            0.08 end DEADLINE_EXCEEDED (deadline) after 1, ambiguous
            0.08 start 1 (1s)
            0.08 end OK (ok) after 1
        """,
    ),
    Row(
        says="Slow answers open it; long polls are never slow.",
        policy=policy(**ONCE, breaker=breaker(slow_call_s=1.0)),
        calls=(
            *call(Answer(OK, 5.0), facts=Facts(least_s=5.0)) * 4,
            *call(Answer(OK, 1.5)) * 4,
            *call(OK),
        ),
        story="""
            0 start 1
            5 end OK (ok) after 1
            5 start 1
            10 end OK (ok) after 1
            10 start 1
            15 end OK (ok) after 1
            15 start 1
            20 end OK (ok) after 1
            20 start 1
            21.5 end OK (ok) after 1
            21.5 start 1
            23 end OK (ok) after 1
            23 start 1
            24.5 end OK (ok) after 1
            24.5 start 1
            26 breaker closed to open
            26 end OK (ok) after 1
            26 end UNAVAILABLE (breaker-open) unsent
        """,
    ),
    Row(
        says="While it ramps up, retries are not made.",
        policy=policy(breaker=breaker(ramp_s=10.0)),
        draw=0.0,
        prepare=lambda binding: binding.breaker.move("ramp", 0.0),
        calls=call(RESET),
        story="""
            0 start 1
            0 UNAVAILABLE: fail (breaker-open)
            0 end UNAVAILABLE (breaker-open) after 1, ambiguous
        """,
    ),
    Row(
        says="While it ramps up, some calls are rejected.",
        policy=policy(breaker=breaker(ramp_s=10.0)),
        draw=0.5,
        prepare=lambda binding: binding.breaker.move("ramp", 0.0),
        calls=(*call(OK, at=4.0), *call(OK, at=6.0), *call(OK, at=10.0)),
        story="""
            4 end UNAVAILABLE (breaker-open) unsent
            6 start 1
            6 end OK (ok) after 1
            10 breaker ramp to closed
            10 start 1
            10 end OK (ok) after 1
        """,
    ),
    Row(
        says="A server's pushback lengthens its wait.",
        policy=policy(**ONCE, breaker=breaker()),
        calls=(
            *call(RESET._replace(pushback_s=25.0)) * 4,
            *call(OK, at=24.0),
            *call(OK, at=25.0),
        ),
        story="""
            0 start 1
            0 UNAVAILABLE: fail (not-retryable)
            0 end UNAVAILABLE (not-retryable) after 1, ambiguous
            0 start 1
            0 UNAVAILABLE: fail (not-retryable)
            0 end UNAVAILABLE (not-retryable) after 1, ambiguous
            0 start 1
            0 UNAVAILABLE: fail (not-retryable)
            0 end UNAVAILABLE (not-retryable) after 1, ambiguous
            0 start 1
            0 breaker closed to open
            0 UNAVAILABLE: fail (not-retryable)
            0 end UNAVAILABLE (not-retryable) after 1, ambiguous
            24 end UNAVAILABLE (breaker-open) unsent
            25 breaker open to half-open
            25 start 1
            25 end OK (ok) after 1
        """,
    ),
    Row(
        says="Forced open rejects until somebody acts.",
        policy=policy(breaker=breaker(forced="open", when_open="wait")),
        calls=(*call(OK), *call(OK, at=1e4)),
        story="""
            0 end UNAVAILABLE (breaker-open) unsent
            10000 end UNAVAILABLE (breaker-open) unsent
        """,
    ),
    Row(
        says="Disabled, it sees nothing.",
        policy=policy(breaker=breaker(forced="disabled"), retry=retry(max_attempts=1)),
        calls=(*call(RESET) * 4, *call(OK)),
        story="""
            0 start 1
            0 UNAVAILABLE: fail (attempts-exhausted)
            0 end UNAVAILABLE (attempts-exhausted) after 1, ambiguous
            0 start 1
            0 UNAVAILABLE: fail (attempts-exhausted)
            0 end UNAVAILABLE (attempts-exhausted) after 1, ambiguous
            0 start 1
            0 UNAVAILABLE: fail (attempts-exhausted)
            0 end UNAVAILABLE (attempts-exhausted) after 1, ambiguous
            0 start 1
            0 UNAVAILABLE: fail (attempts-exhausted)
            0 end UNAVAILABLE (attempts-exhausted) after 1, ambiguous
            0 start 1
            0 end OK (ok) after 1
        """,
    ),
]
