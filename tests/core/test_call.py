"""One call: arrival, admission, attempts, end. Its repeats are in `test_retries`."""

from dataclasses import replace

import pytest

from resilience.core.command import CancelAttempt, Finish, StartAttempt, Step
from resilience.core.event import (
    ARRIVED,
    AttemptCommitted,
    AttemptDone,
    CallerGone,
    Woke,
)
from resilience.core.record import CallEnded
from resilience.core.target import Facts
from tests.core.policies import (
    NOT_FOUND,
    OK,
    REFUSED,
    RESET,
    TARGET,
    TIMEOUT,
    arrive,
    bind,
    breaker,
    budget,
    call,
    done,
    finish_of,
    policy,
    retry,
)


# The plain way


def test_a_healthy_call_is_one_attempt_and_one_record() -> None:
    """It starts, ends, and leaves nothing but its `CallEnded`."""
    made = call()

    assert arrive(made, 5.0) == StartAttempt(1, None)

    step = done(made, 1, OK, 6.5)

    assert step.commands == (Finish(1, OK, "ok"),)
    assert step.wake_at is None
    (ended,) = step.records
    assert ended == CallEnded(
        call_id="c-1",
        target=TARGET,
        outcome=OK,
        reason="ok",
        attempts=1,
        free_attempts=0,
        first_code="OK",
        elapsed_s=1.5,
        wait_s=0.0,
        ambiguous=False,
        mode="enforce",
        idempotency="safe",
        timeout_s=None,
        now=6.5,
    )
    assert made.ended is ended
    assert list(made.history) == []


def test_an_attempts_own_elapsed_time_is_believed() -> None:
    """What the transport measured is nearer to the truth than start to end."""
    binding = bind()
    made = call(binding)
    arrive(made)
    done(made, 1, OK._replace(elapsed_s=0.25), 6.5)

    assert binding.scope.latency.expected_s == 0.25


def test_a_clean_success_that_no_sink_wants_is_not_recorded() -> None:
    """A record that nobody reads is not made; one of a failure always is."""
    binding = replace(bind(), records_successes=False)
    made, failing = call(binding), call(binding)
    arrive(made)
    arrive(failing)

    assert done(made, 1, OK, 0.5) == Step((Finish(1, OK, "ok"),))
    assert made.ended is None
    assert done(failing, 1, NOT_FOUND, 0.5).records[-1] is failing.ended


@pytest.mark.parametrize("facts", [Facts(long=True), Facts(least_s=20.0)])
def test_long_calls_teach_nothing_about_latency(facts) -> None:
    """A long poll of 20 s beside quick calls would keep these from being repeated."""
    binding = bind()
    made = call(binding, facts)
    arrive(made)
    done(made, 1, OK, 20.0)

    assert binding.scope.latency.expected_s == 0


@pytest.mark.parametrize(
    ("declared", "written", "expected"),
    [
        ("safe", "auto", "safe"),
        ("none", "auto", "none"),
        ("safe", "none", "none"),
        ("none", "keyed", "keyed"),
    ],
)
def test_the_policy_says_what_is_idempotent(declared, written, expected) -> None:
    """`auto` is what the protocol declares; any other word replaces it."""
    made = call(policy(idempotency=written), Facts(declared=declared))

    assert made.idempotency == expected


# Time


def test_what_is_left_shrinks_to_nothing() -> None:
    """Under a 10 s budget, attempts at 0, 4, 8.5, 9.2, 9.9 and 12 get what is left."""
    made = call(policy(timeout_s=10.0, retry=retry(max_attempts=9)))
    allowed = [arrive(made).timeout_s]
    for number, moment in enumerate((4.0, 8.5, 9.2, 9.9), start=1):
        asked = REFUSED._replace(pushback_s=0.0)
        step = done(made, number, asked, moment)
        step = made.advance(Woke(step.wake_at), moment)
        (start,) = step.commands
        allowed.append(start.timeout_s)
    step = done(made, 5, REFUSED, 12.0)

    assert allowed == pytest.approx([10, 6, 1.5, 0.8, 0.1])
    assert finish_of(step).reason == "deadline"


def test_a_call_without_time_is_rejected_unsent() -> None:
    """An expired deadline sends nothing, and says so."""
    made = call(policy(owner="team-rates"), Facts(deadline_at=9.0))
    finish = finish_of(made.advance(ARRIVED, 10.0))

    assert finish.number == 0
    assert finish.reason == finish.rejection.reason == "deadline"
    assert finish.outcome.code == "DEADLINE_EXCEEDED"
    assert finish.rejection.message == (
        "rates/quote: the deadline has passed; nothing was sent; owner team-rates"
    )


def test_our_own_timer_ends_an_attempt() -> None:
    """Where the transport does not time attempts, the step's moment does."""
    made = call(policy(attempt_timeout_s=2.0))
    step = made.advance(ARRIVED, 0.0)

    assert step.wake_at == 2.0

    step = made.advance(Woke(2.0), 2.0)

    assert step.commands == (CancelAttempt(1, "attempt-timeout"),)
    assert step.wake_at == 3.0

    assert done(made, 1, OK, 2.5) == Step(wake_at=3.0)


@pytest.mark.parametrize("early", [0.0, 1e-17, 1e-9])
def test_an_early_timer_does_not_spin(early) -> None:
    """A timer that fires a rounding error early is in time: the event says its due."""
    made = call(policy(attempt_timeout_s=2.0, retry=None))
    arrive(made)

    assert finish_of(made.advance(Woke(2.0), 2.0 - early)).reason == "not-retryable"


def test_a_stale_timer_changes_nothing() -> None:
    """The timer of a wait that is over is answered with the one that holds."""
    made = call(policy(attempt_timeout_s=2.0))
    arrive(made)
    done(made, 1, RESET, 0.5)

    assert made.advance(Woke(1.0), 1.0) == Step(wake_at=1.5)

    made.advance(Woke(1.5), 1.5)

    assert made.advance(Woke(2.0), 2.0) == Step(wake_at=3.5)
    assert call(policy()).advance(ARRIVED, 0).wake_at is None


def test_a_timer_without_a_wait_changes_nothing() -> None:
    """An attempt without a timeout has no moment to be woken at."""
    made = call()
    arrive(made)

    assert made.advance(Woke(5.0), 5.0) == Step()


@pytest.mark.parametrize("attempt_timeout_s", [None, 10.0, 0.7, 0.7 + 1e-12])
@pytest.mark.parametrize("order", ["timer", "transport"])
@pytest.mark.parametrize("arrived", [0.0, 0.1, 12345.678])
def test_deadline_and_attempt_timeout_at_once_are_one_verdict(
    attempt_timeout_s, order, arrived
) -> None:
    """Whichever is heard first, the call ends by its deadline."""
    made = call(policy(timeout_s=0.7, attempt_timeout_s=attempt_timeout_s))
    step = made.advance(ARRIVED, arrived)
    end = step.wake_at
    if order == "timer":
        step = made.advance(Woke(end), end)
        late = done(made, 1, TIMEOUT, end)
    else:
        step = done(made, 1, TIMEOUT, end)
        late = made.advance(Woke(end), end)

    assert finish_of(step).reason == "deadline"
    assert finish_of(step).outcome.code == "DEADLINE_EXCEEDED"
    assert late == Step()


def test_a_transport_that_times_out_a_little_early_is_no_reason_to_retry() -> None:
    """Native deadlines fire a millisecond before ours: nothing fits in between."""
    made = call(policy(timeout_s=2.0, retry=retry(backoff=retry().backoff)))
    arrive(made)

    assert finish_of(done(made, 1, TIMEOUT, 1.999)).reason == "deadline"


def test_a_result_at_the_last_moment_is_a_result() -> None:
    """An answer in hand is given to the caller, deadline or not."""
    made = call(policy(timeout_s=2.0))
    arrive(made)

    assert finish_of(done(made, 1, OK, 2.1)).outcome is OK


# Late, double and impossible events


def test_the_end_of_an_attempt_counts_once() -> None:
    """Ends of attempts that were cancelled, or never made, change nothing."""
    made = call(policy(attempt_timeout_s=1.0))
    arrive(made)

    assert done(made, 7, OK, 0.5).commands == ()

    made.advance(Woke(1.0), 1.0)

    assert done(made, 1, OK, 1.1).commands == ()

    made.advance(Woke(2.0), 2.0)

    assert done(made, 1, OK, 2.1).commands == ()

    step = done(made, 2, OK, 2.2)

    assert step.commands == (Finish(2, OK, "ok"),)


@pytest.mark.parametrize(
    "event", [AttemptDone(1, OK), Woke(1.0), CallerGone(), AttemptCommitted(1)]
)
def test_nothing_follows_the_end(event) -> None:
    """After `Finish` every event but an arrival is ignored."""
    made = call()
    arrive(made)
    done(made, 1, OK, 0.5)

    assert made.advance(event, 2.0) == Step()


def test_a_call_arrives_once() -> None:
    """A second arrival is a mistake in the driver, named with state and call."""
    made = call()
    arrive(made)

    with pytest.raises(RuntimeError, match=r"call c-1: arrived twice \(state running"):
        made.advance(ARRIVED, 1.0)


@pytest.mark.parametrize("event", [AttemptDone(1, OK), Woke(1.0), AttemptCommitted(1)])
def test_nothing_comes_before_arrival(event) -> None:
    """Any other event before it is a mistake in the driver."""
    with pytest.raises(RuntimeError, match=r"call c-1: .* before Arrived"):
        call().advance(event, 0.0)


def test_a_driver_may_be_interrupted_before_the_arrival() -> None:
    """Then nothing happened, and nothing is written down."""
    made = call()

    assert made.advance(CallerGone(), 0.0) == Step()
    assert made.ended is None
    with pytest.raises(RuntimeError):
        made.advance(ARRIVED, 1.0)


# The caller goes


def test_a_caller_who_leaves_cancels_the_attempt() -> None:
    """The attempt is stopped, the call ends, and it may have been executed."""
    binding = bind(policy(breaker=breaker()))
    made = call(binding)
    arrive(made)
    step = made.advance(CallerGone(), 1.0)

    assert step.commands[0] == CancelAttempt(1, "cancelled")
    assert finish_of(step).outcome.code == "CANCELLED"
    assert made.ended.ambiguous
    assert binding.breaker.totals(1.0).calls == 0


def test_a_caller_who_leaves_a_wait_ends_it_at_once() -> None:
    """C-core's retry_cancel_during_delay: CANCELLED, and the timer is gone."""
    made = call()
    arrive(made)
    done(made, 1, REFUSED, 0.5)
    step = made.advance(CallerGone(), 0.7)

    assert finish_of(step).outcome.code == "CANCELLED"
    assert finish_of(step).reason == "cancelled"
    assert step.wake_at is None
    assert not made.ended.ambiguous
    assert made.advance(Woke(1.5), 1.5) == Step()


def test_a_caller_who_leaves_a_queue_was_never_sent() -> None:
    """Waiting for an open breaker, then gone: nothing was made."""
    binding = bind(policy(breaker=breaker(when_open="wait")))
    binding.breaker.move("open", 0.0)
    made = call(binding)

    assert made.advance(ARRIVED, 0.0).wake_at == 10.0

    step = made.advance(CallerGone(), 1.0)

    assert finish_of(step).number == 0
    assert made.ended.attempts == 0
    assert not made.ended.ambiguous
    assert made.ended.wait_s == 1.0


def test_a_caller_who_leaves_pays_for_what_was_sent() -> None:
    """A retry that was made stays paid for when the next wait is cancelled."""
    binding = bind(policy(retry_budget=budget("quota", capacity=100)))
    made = call(binding)
    arrive(made)
    done(made, 1, RESET, 0.0)
    made.advance(Woke(1.0), 1.0)
    done(made, 2, RESET, 1.0)
    made.advance(CallerGone(), 1.5)

    assert binding.budget._left == 100 - 14
