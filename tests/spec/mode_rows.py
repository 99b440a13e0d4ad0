"""Observe, for the whole and for each mechanism; hosts that decide themselves."""

from resilience.core.target import Facts
from tests.core.policies import (
    NOT_FOUND,
    OK,
    RESET,
    breaker,
    budget,
    policy,
    retry,
)
from tests.spec.story import Answer, Row, call


def hosted(outcome, wait_s):
    return Answer(outcome, 0.5, wait_s)


HOSTS = ("virtual", "host")
HOST_DECIDES = Facts(host_decides=True)

ROWS = [
    Row(
        says="Observe adds no timeout and no retry, and says what it would do.",
        policy=policy(mode="observe", timeout_s=1.0, attempt_timeout_s=0.5),
        calls=call(Answer(RESET, 3.0)),
        story="""
            0 start 1
            3 retry would retry (retry)
            3 UNAVAILABLE: return (native)
            3 end UNAVAILABLE (native) after 1, ambiguous
        """,
    ),
    Row(
        says="Observe says too when it would give up.",
        policy=policy(mode="observe"),
        calls=call(NOT_FOUND),
        story="""
            0 start 1
            0 retry would fail (not-retryable)
            0 NOT_FOUND: return (native)
            0 end NOT_FOUND (native) after 1
        """,
    ),
    Row(
        says="Observe rejects nothing.",
        policy=policy(mode="observe", breaker=breaker()),
        prepare=lambda binding: binding.breaker.move("open", 0.0),
        calls=call(OK, at=1.0),
        story="""
            1 breaker would reject (breaker-open)
            1 start 1
            1 end OK (ok) after 1
        """,
    ),
    Row(
        says="Observe lets a call run whose deadline has passed.",
        policy=policy(mode="observe"),
        calls=call(OK, at=3.0, facts=Facts(deadline_at=2.0)),
        story="""
            3 start 1
            3 end OK (ok) after 1
        """,
    ),
    Row(
        says="A breaker that observes learns and rejects nothing.",
        policy=policy(breaker=breaker(mode="observe"), retry=None),
        calls=(*call(RESET) * 4, *call(OK)),
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
            0 breaker would reject (breaker-open)
            0 start 1
            0 end OK (ok) after 1
        """,
    ),
    Row(
        says="Retries that observe repeat nothing.",
        policy=policy(retry=retry(mode="observe")),
        calls=call(RESET),
        story="""
            0 start 1
            0 retry would retry (retry)
            0 UNAVAILABLE: fail (not-retryable)
            0 end UNAVAILABLE (not-retryable) after 1, ambiguous
        """,
    ),
    Row(
        says="A budget that observes denies nothing.",
        policy=policy(retry_budget=budget("quota", mode="observe", capacity=14)),
        calls=call(RESET),
        story="""
            0 start 1
            0 UNAVAILABLE: retry (retry) in 1s
            1 start 2
            1 retry_budget would fail (retry-budget)
            1 UNAVAILABLE: retry (retry) in 2s
            3 start 3
            3 UNAVAILABLE: fail (attempts-exhausted)
            3 end UNAVAILABLE (attempts-exhausted) after 3, ambiguous
        """,
    ),
    Row(
        says="Observe counts the host's own retries as attempts of one call.",
        policy=policy(mode="observe"),
        calls=call(hosted(RESET, 0.3), hosted(RESET, 0.7), hosted(OK, None)),
        story="""
            0 start 1
            0.5 retry would retry (retry)
            0.5 UNAVAILABLE: retry (native) in 0.3s
            0.8 start 2
            1.3 retry would retry (retry)
            1.3 UNAVAILABLE: retry (native) in 0.7s
            2 start 3
            2.5 OK: return (ok)
            2.5 end OK (ok) after 3
        """,
        drivers=HOSTS,
    ),
    Row(
        says="A host that decides is followed.",
        policy=policy(retry=retry(max_attempts=2)),
        calls=call(
            hosted(NOT_FOUND, 0.1),
            hosted(RESET, 0.2),
            hosted(RESET, None),
            facts=HOST_DECIDES,
        ),
        story="""
            0 start 1
            0.5 NOT_FOUND: retry (host) in 0.1s
            0.6 start 2
            1.1 UNAVAILABLE: retry (host) in 0.2s
            1.3 start 3
            1.8 UNAVAILABLE: fail (host)
            1.8 end UNAVAILABLE (host) after 3, ambiguous
        """,
        drivers=HOSTS,
    ),
    Row(
        says="A host that decides is stopped by the deadline.",
        policy=policy(timeout_s=2.0),
        calls=call(hosted(RESET, 1.5), facts=HOST_DECIDES),
        story="""
            0 start 1 (2s)
            0.5 UNAVAILABLE: fail (deadline)
            0.5 end UNAVAILABLE (deadline) after 1, ambiguous
        """,
        drivers=HOSTS,
    ),
    Row(
        says="A host that decides is stopped by a declared idempotency.",
        policy=policy(idempotency="none"),
        calls=call(hosted(RESET, 0.1), facts=HOST_DECIDES),
        story="""
            0 start 1
            0.5 UNAVAILABLE: fail (idempotency)
            0.5 end UNAVAILABLE (idempotency) after 1, ambiguous
        """,
        drivers=HOSTS,
    ),
    Row(
        says="A host that decides is stopped by an open breaker.",
        policy=policy(breaker=breaker(min_calls=1)),
        calls=call(hosted(RESET, 0.1), facts=HOST_DECIDES),
        story="""
            0 start 1
            0.5 breaker closed to open
            0.5 UNAVAILABLE: retry (host) in 0.1s
            0.6 end UNAVAILABLE (breaker-open) after 1, ambiguous
        """,
        drivers=HOSTS,
    ),
]
