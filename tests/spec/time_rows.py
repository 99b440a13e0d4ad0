"""Deadlines, timeouts, callers who leave."""

from resilience.core.target import Facts
from tests.core.policies import (
    ABORTED,
    OK,
    REFUSED,
    RESET,
    UNPROCESSED,
    breaker,
    policy,
    retry,
)
from tests.spec.story import SILENT, Answer, Row, call


def slow(outcome, after_s):
    return Answer(outcome, after_s)


ROWS = [
    Row(
        says="Each attempt gets what is left of the call, never a fresh timeout.",
        policy=policy(timeout_s=10.0, retry=retry(max_attempts=9)),
        calls=call(slow(RESET, 3.0), slow(RESET, 2.5), slow(RESET, 0.2), SILENT),
        story="""
            0 start 1 (10s)
            3 UNAVAILABLE: retry (retry) in 1s
            4 start 2 (6s)
            6.5 UNAVAILABLE: retry (retry) in 2s
            8.5 start 3 (1.5s)
            8.7 UNAVAILABLE: fail (deadline)
            8.7 end UNAVAILABLE (deadline) after 3, ambiguous
        """,
    ),
    Row(
        says="An attempt that never answers is cut and repeated.",
        policy=policy(timeout_s=10.0, attempt_timeout_s=2.0),
        calls=call(SILENT, slow(OK, 0.5)),
        story="""
            0 start 1 (2s)
            2 DEADLINE_EXCEEDED: retry (retry) in 1s
            3 start 2 (2s)
            3.5 OK: return (ok)
            3.5 end OK (ok) after 2
        """,
    ),
    Row(
        says="After a silent attempt and an aborted one the third succeeds.",
        policy=policy(attempt_timeout_s=1.0),
        calls=call(SILENT, ABORTED, OK),
        story="""
            0 start 1 (1s)
            1 DEADLINE_EXCEEDED: retry (retry) in 1s
            2 start 2 (1s)
            2 ABORTED: retry (retry) in 2s
            4 start 3 (1s)
            4 OK: return (ok)
            4 end OK (ok) after 3
        """,
    ),
    Row(
        says="Attempts that never answer end with max_attempts.",
        policy=policy(attempt_timeout_s=2.0),
        calls=call(SILENT),
        story="""
            0 start 1 (2s)
            2 DEADLINE_EXCEEDED: retry (retry) in 1s
            3 start 2 (2s)
            5 DEADLINE_EXCEEDED: retry (retry) in 2s
            7 start 3 (2s)
            9 DEADLINE_EXCEEDED: fail (attempts-exhausted)
            9 end DEADLINE_EXCEEDED (attempts-exhausted) after 3, ambiguous
        """,
    ),
    Row(
        says="The last attempt is cut by the deadline.",
        policy=policy(timeout_s=6.0, attempt_timeout_s=4.0),
        calls=call(SILENT),
        story="""
            0 start 1 (4s)
            4 DEADLINE_EXCEEDED: retry (retry) in 1s
            5 start 2 (1s)
            6 DEADLINE_EXCEEDED: fail (deadline)
            6 end DEADLINE_EXCEEDED (deadline) after 2, ambiguous
        """,
    ),
    Row(
        says="Deadline and attempt timeout at one instant are the deadline.",
        policy=policy(timeout_s=2.0, attempt_timeout_s=2.0),
        calls=call(SILENT),
        story="""
            0 start 1 (2s)
            2 DEADLINE_EXCEEDED: fail (deadline)
            2 end DEADLINE_EXCEEDED (deadline) after 1, ambiguous
        """,
    ),
    Row(
        says="A wait that does not fit the deadline is not begun.",
        policy=policy(timeout_s=2.0),
        calls=call(slow(RESET, 1.5)),
        story="""
            0 start 1 (2s)
            1.5 UNAVAILABLE: fail (deadline)
            1.5 end UNAVAILABLE (deadline) after 1, ambiguous
        """,
    ),
    Row(
        says="A call whose time is over is rejected unsent.",
        policy=policy(timeout_s=5.0),
        calls=call(OK, at=3.0, facts=Facts(deadline_at=2.0)),
        story="""
            3 end DEADLINE_EXCEEDED (deadline) unsent
        """,
    ),
    Row(
        says="The ambient deadline shortens the policy's.",
        policy=policy(timeout_s=5.0),
        calls=call(SILENT, at=1.0, facts=Facts(deadline_at=3.0)),
        story="""
            1 start 1 (2s)
            3 DEADLINE_EXCEEDED: fail (deadline)
            3 end DEADLINE_EXCEEDED (deadline) after 1, ambiguous
        """,
    ),
    Row(
        says="An explicit timeout replaces the policy's, up or down.",
        policy=policy(timeout_s=5.0),
        calls=(
            *call(OK, facts=Facts(timeout_s=20.0)),
            *call(OK, facts=Facts(timeout_s=1.0)),
        ),
        story="""
            0 start 1 (20s)
            0 end OK (ok) after 1
            0 start 1 (1s)
            0 end OK (ok) after 1
        """,
    ),
    Row(
        says="A request that asks to last is not shortened by a policy.",
        policy=policy(timeout_s=5.0, attempt_timeout_s=2.0),
        calls=(
            *call(slow(OK, 19.0), facts=Facts(least_s=21.0)),
            *call(slow(OK, 100.0), facts=Facts(long=True)),
        ),
        story="""
            0 start 1 (21s)
            19 end OK (ok) after 1
            19 start 1
            119 end OK (ok) after 1
        """,
    ),
    Row(
        says="A retry that cannot be expected to end in time is not made.",
        policy=policy(timeout_s=4.0),
        calls=(*call(slow(OK, 2.5)), *call(slow(RESET, 1.0))),
        story="""
            0 start 1 (4s)
            2.5 end OK (ok) after 1
            2.5 start 1 (4s)
            3.5 UNAVAILABLE: fail (deadline)
            3.5 end UNAVAILABLE (deadline) after 1, ambiguous
        """,
    ),
    Row(
        says="Free repeats stop at the deadline too.",
        policy=policy(timeout_s=1.0),
        calls=call(slow(UNPROCESSED, 0.4)),
        story="""
            0 start 1 (1s)
            0.4 UNAVAILABLE: retry (unprocessed)
            0.4 start 2 (0.6s)
            0.8 UNAVAILABLE: retry (unprocessed)
            0.8 start 3 (0.2s)
            1 DEADLINE_EXCEEDED: fail (deadline)
            1 end DEADLINE_EXCEEDED (deadline) after 3, 2 free, ambiguous
        """,
    ),
    Row(
        says="A caller who leaves during an attempt cancels it.",
        calls=call(SILENT, cancel_at=1.5),
        story="""
            0 start 1
            1.5 CANCELLED: fail (cancelled)
            1.5 end CANCELLED (cancelled) after 1, ambiguous
        """,
    ),
    Row(
        says="A caller who leaves during a wait ends it at once.",
        calls=call(REFUSED, cancel_at=0.4),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            0.4 end CANCELLED (cancelled) after 1
        """,
    ),
    Row(
        says="A caller who leaves a later attempt leaves its history.",
        calls=call(RESET, SILENT, cancel_at=3.0),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            3 CANCELLED: fail (cancelled)
            3 end CANCELLED (cancelled) after 2, ambiguous
        """,
    ),
    Row(
        says="A caller who leaves the queue of an open breaker was never sent.",
        policy=policy(breaker=breaker(when_open="wait")),
        prepare=lambda binding: binding.breaker.move("open", 0.0),
        calls=call(OK, cancel_at=4.0),
        story="""
            4 end CANCELLED (cancelled) unsent
        """,
    ),
]
