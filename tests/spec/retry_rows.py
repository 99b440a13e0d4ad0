"""Retries, backoff, pushback, codes, idempotency, budgets."""

from resilience.core.target import Facts
from tests.core.policies import (
    ABORTED,
    BAD_CERT,
    INTERNAL,
    NO_DNS,
    NOT_FOUND,
    OK,
    OWN_FAULT,
    REFUSED,
    RESET,
    THROTTLED,
    TIMEOUT,
    UNPROCESSED,
    backoff,
    budget,
    late_and_lone,
    policy,
    retry,
)
from tests.spec.story import Answer, Row, call


def pushed(outcome, seconds, form="exact"):
    return outcome._replace(pushback_s=seconds, pushback_form=form)


def slow(outcome, after_s=0.5):
    return Answer(outcome, after_s)


NONE = {"idempotency": "none"}
EMPTY_QUOTA = {"retry_budget": budget("quota", capacity=0)}

ROWS = [
    Row(
        says="A healthy call is one attempt.",
        calls=call(slow(OK)),
        story="""
            0 start 1
            0.5 end OK (ok) after 1
        """,
    ),
    Row(
        says="A failure is repeated and masked.",
        calls=call(slow(ABORTED), slow(OK)),
        story="""
            0 start 1
            0.5 ABORTED: retry (retry) in 1s
            1.5 start 2
            2 OK: return (ok)
            2 end OK (ok) after 2
        """,
    ),
    Row(
        says="Attempts end with max_attempts, and the last status is the call's.",
        calls=call(slow(RESET), slow(REFUSED), slow(ABORTED)),
        story="""
            0 start 1
            0.5 UNAVAILABLE: retry (retry) in 1s
            1.5 start 2
            2 UNAVAILABLE: retry (retry) in 2s
            4 start 3
            4.5 ABORTED: fail (attempts-exhausted)
            4.5 end ABORTED (attempts-exhausted) after 3, ambiguous
        """,
    ),
    Row(
        says="With one attempt there is no retry.",
        policy=policy(retry=retry(max_attempts=1)),
        calls=call(RESET),
        story="""
            0 start 1
            0 UNAVAILABLE: fail (attempts-exhausted)
            0 end UNAVAILABLE (attempts-exhausted) after 1, ambiguous
        """,
    ),
    Row(
        says="Without a retry policy there is no retry.",
        policy=policy(retry=None),
        calls=call(RESET),
        story="""
            0 start 1
            0 UNAVAILABLE: fail (not-retryable)
            0 end UNAVAILABLE (not-retryable) after 1, ambiguous
        """,
    ),
    Row(
        says="An answer that is not listed is not repeated.",
        calls=call(slow(NOT_FOUND)),
        story="""
            0 start 1
            0.5 NOT_FOUND: fail (not-retryable)
            0.5 end NOT_FOUND (not-retryable) after 1
        """,
    ),
    Row(
        says="A permanent fault is not repeated.",
        calls=call(BAD_CERT),
        story="""
            0 start 1
            0 UNAVAILABLE: fail (not-retryable)
            0 end UNAVAILABLE (not-retryable) after 1
        """,
    ),
    Row(
        says="A fault of our own is not repeated.",
        calls=call(OWN_FAULT),
        story="""
            0 start 1
            0 INTERNAL: fail (not-retryable)
            0 end INTERNAL (not-retryable) after 1
        """,
    ),
    Row(
        says="A later fault of another kind ends the repeats.",
        calls=call(RESET, NOT_FOUND),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 NOT_FOUND: fail (not-retryable)
            1 end NOT_FOUND (not-retryable) after 2, ambiguous
        """,
    ),
    Row(
        says="A write is repeated when it was refused.",
        policy=policy(**NONE),
        calls=call(REFUSED, OK),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 OK: return (ok)
            1 end OK (ok) after 2
        """,
    ),
    Row(
        says="A write is not repeated when it may have arrived.",
        policy=policy(**NONE),
        calls=call(REFUSED, RESET),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 UNAVAILABLE: fail (idempotency)
            1 end UNAVAILABLE (idempotency) after 2, ambiguous
        """,
    ),
    Row(
        says="A write is not repeated after a timeout.",
        policy=policy(**NONE, attempt_timeout_s=2.0),
        calls=call(slow(OK, 5.0)),
        story="""
            0 start 1 (2s)
            2 DEADLINE_EXCEEDED: fail (idempotency)
            2 end DEADLINE_EXCEEDED (idempotency) after 1, ambiguous
        """,
    ),
    Row(
        says="A listed answer to a write is not repeated.",
        policy=policy(**NONE),
        calls=call(ABORTED),
        story="""
            0 start 1
            0 ABORTED: fail (idempotency)
            0 end ABORTED (idempotency) after 1
        """,
    ),
    Row(
        says="A keyed write is repeated.",
        policy=policy(idempotency="keyed"),
        calls=call(RESET, OK),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 OK: return (ok)
            1 end OK (ok) after 2
        """,
    ),
    Row(
        says="An accepted duplicate is repeated.",
        policy=policy(idempotency="accept_duplicates"),
        calls=call(TIMEOUT, OK),
        story="""
            0 start 1
            0 DEADLINE_EXCEEDED: retry (retry) in 1s
            1 start 2
            1 OK: return (ok)
            1 end OK (ok) after 2
        """,
    ),
    Row(
        says="With auto, what the protocol declares is believed.",
        policy=policy(idempotency="auto"),
        calls=(
            *call(RESET, OK, facts=Facts(declared="safe")),
            *call(RESET, OK, facts=Facts(declared="none")),
        ),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 OK: return (ok)
            1 end OK (ok) after 2
            1 start 1
            1 UNAVAILABLE: fail (idempotency)
            1 end UNAVAILABLE (idempotency) after 1, ambiguous
        """,
    ),
    Row(
        says="A refused throttle is repeated for writes too.",
        policy=policy(**NONE),
        calls=call(THROTTLED, OK),
        story="""
            0 start 1
            0 RESOURCE_EXHAUSTED: retry (retry) in 1s
            1 start 2
            1 OK: return (ok)
            1 end OK (ok) after 2
        """,
    ),
    Row(
        says="A name that does not resolve is repeated: nothing was sent.",
        policy=policy(**NONE),
        calls=call(NO_DNS, OK),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 OK: return (ok)
            1 end OK (ok) after 2
        """,
    ),
    Row(
        says="Waits double up to the cap.",
        policy=policy(retry=retry(max_attempts=6, backoff=backoff(1, 3))),
        calls=call(RESET),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 UNAVAILABLE: retry (retry) in 2s
            3 start 3
            3 UNAVAILABLE: retry (retry) in 3s
            6 start 4
            6 UNAVAILABLE: retry (retry) in 3s
            9 start 5
            9 UNAVAILABLE: retry (retry) in 3s
            12 start 6
            12 UNAVAILABLE: fail (attempts-exhausted)
            12 end UNAVAILABLE (attempts-exhausted) after 6, ambiguous
        """,
    ),
    Row(
        says="Full jitter draws from nothing to the whole wait.",
        policy=policy(retry=retry(backoff=backoff(jitter="full"))),
        draw=0.25,
        calls=call(RESET),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 0.25s
            0.25 start 2
            0.25 UNAVAILABLE: retry (retry) in 0.5s
            0.75 start 3
            0.75 UNAVAILABLE: fail (attempts-exhausted)
            0.75 end UNAVAILABLE (attempts-exhausted) after 3, ambiguous
        """,
    ),
    Row(
        says="Equal jitter draws from its upper half.",
        policy=policy(retry=retry(backoff=backoff(jitter="equal"))),
        draw=0.25,
        calls=call(RESET),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 0.625s
            0.625 start 2
            0.625 UNAVAILABLE: retry (retry) in 1.25s
            1.875 start 3
            1.875 UNAVAILABLE: fail (attempts-exhausted)
            1.875 end UNAVAILABLE (attempts-exhausted) after 3, ambiguous
        """,
    ),
    Row(
        says="Decorrelated jitter grows from the wait before.",
        policy=policy(
            retry=retry(max_attempts=4, backoff=backoff(jitter="decorrelated"))
        ),
        calls=call(RESET),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 2s
            2 start 2
            2 UNAVAILABLE: retry (retry) in 3.5s
            5.5 start 3
            5.5 UNAVAILABLE: retry (retry) in 4.5s
            10 start 4
            10 UNAVAILABLE: fail (attempts-exhausted)
            10 end UNAVAILABLE (attempts-exhausted) after 4, ambiguous
        """,
    ),
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
