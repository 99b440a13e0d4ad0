"""Attempts, idempotency, backoff."""

from resilience.core.target import Facts
from tests.core.policies import (
    ABORTED,
    BAD_CERT,
    NO_DNS,
    NOT_FOUND,
    OK,
    OWN_FAULT,
    REFUSED,
    RESET,
    THROTTLED,
    TIMEOUT,
    backoff,
    budget,
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
]
