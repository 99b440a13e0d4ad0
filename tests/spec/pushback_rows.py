"""Codes, pushback, free repeats, commitment, budgets."""

from resilience.core.target import Facts
from tests.core.playing import pushed
from tests.core.policies import (
    ABORTED,
    INTERNAL,
    OK,
    RESET,
    THROTTLED,
    UNPROCESSED,
    backoff,
    budget,
    late_and_lone,
    policy,
    retry,
)
from tests.spec.story import Answer, Row, call


def slow(outcome, after_s=0.5):
    return Answer(outcome, after_s)


NONE = {"idempotency": "none"}
EMPTY_QUOTA = {"retry_budget": budget("quota", capacity=0)}

ROWS = [
    Row(
        says="INTERNAL is repeated once, and late.",
        policy=policy(retry=retry(max_attempts=5, codes=late_and_lone())),
        calls=call(INTERNAL),
        story="""
            0 start 1
            0 INTERNAL: retry (retry) in 5s
            5 start 2
            5 INTERNAL: fail (attempts-exhausted)
            5 end INTERNAL (attempts-exhausted) after 2, ambiguous
        """,
    ),
    Row(
        says="A code's own rule leaves the others alone.",
        policy=policy(retry=retry(max_attempts=5, codes=late_and_lone())),
        calls=call(RESET, INTERNAL, RESET, OK),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 INTERNAL: retry (retry) in 5s
            6 start 3
            6 UNAVAILABLE: retry (retry) in 4s
            10 start 4
            10 OK: return (ok)
            10 end OK (ok) after 4
        """,
    ),
    Row(
        says="Overload has longer waits.",
        policy=policy(
            retry=retry(backoff=backoff(0.05), overload_backoff=backoff(1.0))
        ),
        calls=call(THROTTLED, RESET, OK),
        story="""
            0 start 1
            0 RESOURCE_EXHAUSTED: retry (retry) in 1s
            1 start 2
            1 UNAVAILABLE: retry (retry) in 0.1s
            1.1 start 3
            1.1 OK: return (ok)
            1.1 end OK (ok) after 3
        """,
    ),
    Row(
        says="A pushback is kept to the letter and restarts the backoff.",
        policy=policy(retry=retry(max_attempts=4)),
        calls=call(RESET, pushed(RESET, 0.4), RESET, OK),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 UNAVAILABLE: retry (retry) in 0.4s
            1.4 start 3
            1.4 UNAVAILABLE: retry (retry) in 1s
            2.4 start 4
            2.4 OK: return (ok)
            2.4 end OK (ok) after 4
        """,
    ),
    Row(
        says="A negative pushback ends the call.",
        calls=call(pushed(RESET, -1.0)),
        story="""
            0 start 1
            0 UNAVAILABLE: fail (pushback)
            0 end UNAVAILABLE (pushback) after 1, ambiguous
        """,
    ),
    Row(
        says="A hint is never undercut.",
        calls=call(pushed(THROTTLED, 2.0, "hint"), OK),
        story="""
            0 start 1
            0 RESOURCE_EXHAUSTED: retry (retry) in 2.5s
            2.5 start 2
            2.5 OK: return (ok)
            2.5 end OK (ok) after 2
        """,
    ),
    Row(
        says="A clamped hint stays within 5 s of our own wait.",
        calls=call(pushed(THROTTLED, 60.0, "clamped"), OK),
        story="""
            0 start 1
            0 RESOURCE_EXHAUSTED: retry (retry) in 6s
            6 start 2
            6 OK: return (ok)
            6 end OK (ok) after 2
        """,
    ),
    Row(
        says="A hint longer than the longest is not waited for.",
        calls=call(pushed(THROTTLED, 3600.0)),
        story="""
            0 start 1
            0 RESOURCE_EXHAUSTED: fail (pushback)
            0 end RESOURCE_EXHAUSTED (pushback) after 1
        """,
    ),
    Row(
        says="A pushback beyond the deadline fails at once.",
        policy=policy(timeout_s=3.0),
        calls=call(slow(pushed(THROTTLED, 3.0))),
        story="""
            0 start 1 (3s)
            0.5 RESOURCE_EXHAUSTED: fail (deadline)
            0.5 end RESOURCE_EXHAUSTED (deadline) after 1
        """,
    ),
    Row(
        says="Unprocessed work is repeated at once and for free.",
        policy=policy(**NONE, **EMPTY_QUOTA, retry=retry(max_attempts=1)),
        calls=call(UNPROCESSED, UNPROCESSED, OK),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (unprocessed)
            0 start 2
            0 UNAVAILABLE: retry (unprocessed)
            0 start 3
            0 OK: return (ok)
            0 end OK (ok) after 3, 2 free
        """,
    ),
    Row(
        says="Free repeats do not use up the others.",
        policy=policy(retry=retry(max_attempts=2)),
        calls=call(UNPROCESSED, RESET, UNPROCESSED, RESET),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (unprocessed)
            0 start 2
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 3
            1 UNAVAILABLE: retry (unprocessed)
            1 start 4
            1 UNAVAILABLE: fail (attempts-exhausted)
            1 end UNAVAILABLE (attempts-exhausted) after 4, 2 free, ambiguous
        """,
    ),
    Row(
        says="A ratio budget grants its reserve, then denies.",
        policy=policy(retry_budget=budget(ratio=0.2, min_per_second=0.2, ttl_s=10)),
        calls=(*call(RESET), *call(RESET, OK)),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 UNAVAILABLE: retry (retry) in 2s
            3 start 3
            3 UNAVAILABLE: fail (attempts-exhausted)
            3 end UNAVAILABLE (attempts-exhausted) after 3, ambiguous
            3 start 1
            3 UNAVAILABLE: fail (retry-budget)
            3 end UNAVAILABLE (retry-budget) after 1, ambiguous
        """,
    ),
    Row(
        says="Calls pay for retries of later calls.",
        policy=policy(retry_budget=budget(ratio=0.5, min_per_second=0, ttl_s=10)),
        calls=(*call(RESET, OK), *call(RESET, OK), *call(RESET, OK)),
        story="""
            0 start 1
            0 UNAVAILABLE: fail (retry-budget)
            0 end UNAVAILABLE (retry-budget) after 1, ambiguous
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 OK: return (ok)
            1 end OK (ok) after 2
            1 start 1
            1 UNAVAILABLE: fail (retry-budget)
            1 end UNAVAILABLE (retry-budget) after 1, ambiguous
        """,
    ),
    Row(
        says="Tokens stop retries at half, and successes bring them back.",
        policy=policy(retry_budget=budget("tokens", max_tokens=4, token_ratio=1.0)),
        calls=(*call(RESET), *call(OK), *call(RESET, OK)),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 UNAVAILABLE: fail (retry-budget)
            1 end UNAVAILABLE (retry-budget) after 2, ambiguous
            1 start 1
            1 end OK (ok) after 1
            1 start 1
            1 UNAVAILABLE: fail (retry-budget)
            1 end UNAVAILABLE (retry-budget) after 1, ambiguous
        """,
    ),
    Row(
        says="A quota of 20 grants one retry of 14; its price comes back on success.",
        policy=policy(retry_budget=budget("quota", capacity=20)),
        calls=(*call(RESET, OK), *call(RESET), *call(THROTTLED, OK)),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 OK: return (ok)
            1 end OK (ok) after 2
            1 start 1
            1 UNAVAILABLE: retry (retry) in 1s
            2 start 2
            2 UNAVAILABLE: fail (retry-budget)
            2 end UNAVAILABLE (retry-budget) after 2, ambiguous
            2 start 1
            2 RESOURCE_EXHAUSTED: retry (retry) in 1s
            3 start 2
            3 OK: return (ok)
            3 end OK (ok) after 2
        """,
    ),
    Row(
        says="After the first message there is no retry.",
        calls=call(Answer(ABORTED, 0.5, committed_after_s=0.2)),
        story="""
            0 start 1
            0.5 ABORTED: fail (committed)
            0.5 end ABORTED (committed) after 1
        """,
    ),
    Row(
        says="An attempt that ends before its first message is repeated.",
        calls=call(slow(ABORTED), Answer(OK, 0.5, committed_after_s=0.2)),
        story="""
            0 start 1
            0.5 ABORTED: retry (retry) in 1s
            1.5 start 2
            2 OK: return (ok)
            2 end OK (ok) after 2
        """,
    ),
    Row(
        says="Ten failures that never left the client are ten free repeats.",
        policy=policy(retry=retry(max_attempts=1)),
        calls=call(*[UNPROCESSED] * 10, OK),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (unprocessed)
            0 start 2
            0 UNAVAILABLE: retry (unprocessed)
            0 start 3
            0 UNAVAILABLE: retry (unprocessed)
            0 start 4
            0 UNAVAILABLE: retry (unprocessed)
            0 start 5
            0 UNAVAILABLE: retry (unprocessed)
            0 start 6
            0 UNAVAILABLE: retry (unprocessed)
            0 start 7
            0 UNAVAILABLE: retry (unprocessed)
            0 start 8
            0 UNAVAILABLE: retry (unprocessed)
            0 start 9
            0 UNAVAILABLE: retry (unprocessed)
            0 start 10
            0 UNAVAILABLE: retry (unprocessed)
            0 start 11
            0 OK: return (ok)
            0 end OK (ok) after 11, 10 free
        """,
    ),
    Row(
        says="A long poll without quota waits before it fails.",
        policy=policy(**EMPTY_QUOTA),
        calls=call(RESET, facts=Facts(wait_before_failing=True)),
        story="""
            0 start 1
            0 UNAVAILABLE: fail (retry-budget) in 1s
            1 end UNAVAILABLE (retry-budget) after 1, ambiguous
        """,
    ),
]
