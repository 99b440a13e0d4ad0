"""Calls whose answer is a stream: timed to the first message, settled by it."""

from resilience.core.command import CancelAttempt, StartAttempt
from resilience.core.event import ARRIVED, AttemptCommitted, Woke
from resilience.core.target import Facts
from tests.core.policies import (
    OK,
    RESET,
    arrive,
    bind,
    breaker,
    call,
    done,
    finish_of,
    middle,
    policy,
)


STREAM = Facts(streams=True)


def test_an_attempt_is_timed_to_its_first_message() -> None:
    """The shorter of both limits holds; the transport is given the call's time."""
    made = call(
        bind(
            policy(timeout_s=60.0, attempt_timeout_s=9.0, first_message_timeout_s=5.0)
        ),
        STREAM,
    )

    step = made.advance(ARRIVED, 1.0)

    assert step.commands == (StartAttempt(1, 60.0),)
    assert step.wake_at == 6.0


def test_silence_is_cancelled_and_repeated() -> None:
    """No first message in time: the attempt is cancelled, and the next is due."""
    made = call(bind(policy(first_message_timeout_s=5.0)), STREAM)
    arrive(made)

    step = made.advance(Woke(5.0), 5.0)

    assert step.commands == (CancelAttempt(1, "attempt-timeout"),)
    assert step.wake_at is not None


def test_the_first_message_ends_the_limit() -> None:
    """From then on no timer of ours runs, however long the stream lasts."""
    made = call(bind(policy(first_message_timeout_s=5.0)), STREAM)
    arrive(made)

    assert made.advance(AttemptCommitted(1), 4.0).wake_at is None
    assert made.advance(Woke(5.0), 5.0).commands == ()
    assert finish_of(done(made, 1, OK, 4000.0)).reason == "ok"


def test_outgrown_requests_leave_the_limit_alone() -> None:
    """A commit without an answer forbids the repeat, not the time limit."""
    made = call(bind(policy(first_message_timeout_s=5.0)), STREAM)
    arrive(made)

    assert made.advance(AttemptCommitted(1, answered=False), 4.0).wake_at == 5.0

    cancel, finish = made.advance(Woke(5.0), 5.0).commands
    assert cancel == CancelAttempt(1, "attempt-timeout")
    assert finish.reason == "committed"


def test_nothing_is_repeated_after_the_first_message() -> None:
    """What reached the caller cannot be taken back."""
    made = call(facts=STREAM)
    arrive(made)
    made.advance(AttemptCommitted(1), 1.0)

    assert finish_of(done(made, 1, RESET, 2.0)).reason == "committed"


def test_the_first_message_closes_a_half_open_breaker() -> None:
    """A probe that streams for hours holds the breaker for its first message only."""
    bound = bind(policy(retry=None, breaker=breaker(probes=1)))
    for _ in range(4):
        bound.breaker.done(
            bound.breaker.admit(0.0, middle), "failure", 0.1, 0.0, middle
        )
    made = call(bound, STREAM)
    arrive(made, 10.0)

    assert bound.breaker.state == "half-open"
    made.advance(AttemptCommitted(1), 11.0)
    assert bound.breaker.state == "closed"


def test_a_stream_that_breaks_later_is_a_failure_too() -> None:
    """Its first message was a success, its break is a failure: two samples."""
    bound = bind(policy(retry=None, breaker=breaker(min_calls=2)))
    made = call(bound, STREAM)
    arrive(made)
    made.advance(AttemptCommitted(1), 1.0)

    done(made, 1, RESET, 2.0)

    assert bound.breaker.state == "open"


def test_a_stream_that_ends_well_is_one_success() -> None:
    """The end of a stream that answered is not counted again."""
    bound = bind(policy(retry=None, breaker=breaker(min_calls=2)))
    made = call(bound, STREAM)
    arrive(made)
    made.advance(AttemptCommitted(1), 1.0)
    done(made, 1, OK, 2.0)

    assert bound.breaker.totals(2.0).calls == 1
