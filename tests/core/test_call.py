"""One call: arrival, admission, attempts, end. Its repeats are in `test_retries`."""

import pytest

from resilience.core.command import CancelAttempt, Finish, StartAttempt, Step
from resilience.core.event import (
    ARRIVED,
    AttemptCommitted,
    AttemptDone,
    CallerGone,
    Woke,
)
from resilience.core.outcome import Outcome
from resilience.core.record import BreakerChanged, CallEnded, Decided
from resilience.core.scope import Scope
from resilience.core.target import Facts
from tests.core.policies import (
    NO_DNS,
    NOT_FOUND,
    OK,
    REFUSED,
    RESET,
    TARGET,
    THROTTLED,
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
    assert made.key_needed is (expected == "keyed")


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


# Order of the checks


def test_time_is_checked_before_the_breaker() -> None:
    """A call without time takes no probe."""
    binding = bind(policy(breaker=breaker()))
    binding.breaker.move("open", 0.0)
    finish = finish_of(call(binding, Facts(timeout_s=0.0)).advance(ARRIVED, 20.0))

    assert finish.reason == "deadline"
    assert binding.breaker.state == "open"


def test_the_permit_is_back_before_the_call_is_decided() -> None:
    """Breaker and budget hear of the attempt before a retry is considered."""
    binding = bind(
        policy(
            breaker=breaker(min_calls=1),
            retry_budget=budget("tokens", max_tokens=2, token_ratio=0.1),
        )
    )
    made = call(binding)
    arrive(made)
    step = done(made, 1, RESET, 0.5)

    assert binding.breaker.state == "open"
    assert finish_of(step).reason == "retry-budget"
    assert [type(r).__name__ for r in step.records] == [
        "BreakerChanged",
        "AttemptEnded",
        "CallEnded",
    ]


def test_a_refused_call_pays_nothing_into_the_budget() -> None:
    """Only calls that are sent earn retries: a shed call is no load."""
    binding = bind(
        policy(breaker=breaker(), retry_budget=budget(ratio=1, min_per_second=0))
    )
    binding.breaker.move("forced-open", 0.0)
    for _ in range(50):
        call(binding).advance(ARRIVED, 0.0)

    assert binding.budget.balance(0.0) == 0


def test_a_retry_does_not_deposit() -> None:
    """A call pays once, whatever it takes."""
    binding = bind(policy(retry_budget=budget(ratio=1, min_per_second=0, ttl_s=100)))
    made = call(binding)
    arrive(made)
    done(made, 1, RESET, 0.0)
    made.advance(Woke(1.0), 1.0)
    done(made, 2, OK, 1.0)

    assert binding.budget.balance(1.0) == 0


# Breaker


def opened(**changes) -> tuple:
    binding = bind(policy(breaker=breaker(**changes), owner="team-rates"))
    binding.breaker.move("open", 0.0)
    binding.breaker.drain()
    return binding, call(binding)


def test_an_open_breaker_rejects_unsent() -> None:
    """The rejection names the rule, the scope, the evidence and until when."""
    _, made = opened()
    finish = finish_of(made.advance(ARRIVED, 4.0))

    assert finish.reason == "breaker-open"
    assert finish.outcome.kind == "local"
    assert finish.rejection.scope == "app:target=rates"
    assert finish.rejection.retry_after_s == 6.0
    assert finish.rejection.message == (
        "rates/quote: breaker open for app:target=rates (by hand); "
        "nothing was sent; next admission in 6s; owner team-rates"
    )
    assert made.ended.attempts == 0
    assert not made.ended.ambiguous


def test_a_breaker_that_is_forced_open_names_no_moment() -> None:
    """Only somebody's hand ends it."""
    binding, made = opened()
    binding.breaker.move("forced-open", 0.0)
    finish = finish_of(made.advance(ARRIVED, 4.0))

    assert finish.rejection.retry_after_s is None
    assert "next admission" not in finish.rejection.message


def test_forced_open_is_not_waited_for() -> None:
    """With `when_open: wait` there is still nothing to wait for."""
    binding, made = opened(when_open="wait")
    binding.breaker.move("forced-open", 0.0)

    assert finish_of(made.advance(ARRIVED, 4.0)).reason == "breaker-open"


def test_a_call_may_wait_for_an_open_breaker() -> None:
    """It starts as a probe when the wait is over; its wait is written down."""
    _, made = opened(when_open="wait")
    step = made.advance(ARRIVED, 4.0)

    assert step == Step(wake_at=10.0)

    step = made.advance(Woke(10.0), 10.0)

    assert step.commands == (StartAttempt(1, None),)
    assert any(isinstance(r, BreakerChanged) for r in step.records)

    done(made, 1, OK, 11.0)

    assert (made.ended.wait_s, made.ended.elapsed_s) == (6.0, 7.0)


def test_waiting_ends_with_the_deadline() -> None:
    """A call that cannot be admitted in time is rejected at once, not at the end."""
    binding, _ = opened(when_open="wait")
    made = call(binding, Facts(timeout_s=5.0))

    assert finish_of(made.advance(ARRIVED, 4.0)).reason == "breaker-open"


def test_waiting_without_a_deadline_ends_too() -> None:
    """It lasts at most the breaker's own maximum."""
    binding, made = opened(when_open="wait", max_open_for_s=10.0)
    step = made.advance(ARRIVED, 4.0)
    binding.breaker.move("open", 9.0, until=30.0)

    assert finish_of(made.advance(Woke(step.wake_at), 10.0)).reason == "breaker-open"


def test_a_retry_that_the_breaker_refuses_hands_back_the_real_error() -> None:
    """A veto never hides the server's answer."""
    binding = bind(policy(breaker=breaker(), retry_budget=budget("quota")))
    made = call(binding)
    arrive(made)
    done(made, 1, RESET, 0.5)
    binding.breaker.move("open", 1.0)
    finish = finish_of(made.advance(Woke(1.5), 1.5))

    assert finish == Finish(1, RESET, "breaker-open")
    assert made.ended.ambiguous
    assert binding.budget._left == 500


def test_a_retry_may_wait_for_an_open_breaker() -> None:
    """It is paid for once, however long it waits."""
    binding = bind(
        policy(breaker=breaker(when_open="wait"), retry_budget=budget("quota"))
    )
    made = call(binding)
    arrive(made)
    done(made, 1, RESET, 0.5)
    binding.breaker.move("open", 1.0)

    assert made.advance(Woke(1.5), 1.5).wake_at == 11.0

    step = made.advance(Woke(11.0), 11.0)

    assert step.commands == (StartAttempt(2, None),)
    assert binding.budget._left == 486


def test_no_retries_while_ramping() -> None:
    """A retry during recovery is what makes the second collapse."""
    binding = bind(policy(breaker=breaker(ramp_s=10.0)))
    binding.breaker.move("ramp", 0.0)
    made = call(binding, rng=lambda: 0.0)
    arrive(made)

    assert finish_of(done(made, 1, RESET, 0.5)).reason == "breaker-open"


def test_a_retry_is_checked_again_when_it_wakes() -> None:
    """A ramp that began while it waited stops it; so does a deadline that is near."""
    binding = bind(policy(breaker=breaker(ramp_s=10.0), retry_budget=budget("quota")))
    made = call(binding, rng=lambda: 0.0)
    arrive(made)
    done(made, 1, RESET, 0.5)
    binding.breaker.move("ramp", 1.0)

    assert finish_of(made.advance(Woke(1.5), 1.5)).reason == "breaker-open"
    assert binding.budget._left == 500


def test_free_repeats_go_on_while_ramping() -> None:
    """Work that was never processed is no added load."""
    binding = bind(policy(breaker=breaker(ramp_s=10.0)))
    binding.breaker.move("ramp", 0.0)
    made = call(binding, rng=lambda: 0.0)
    arrive(made)
    step = done(made, 1, REFUSED._replace(unprocessed=True), 0.5)
    step = made.advance(Woke(step.wake_at), 0.5)

    assert step.commands == (StartAttempt(2, None),)


@pytest.mark.parametrize(
    ("outcome", "calls", "failed"),
    [
        (OK, 1, 0),
        (NOT_FOUND, 1, 0),
        (RESET, 1, 1),
        (THROTTLED, 0, 0),
        (NO_DNS, 0, 0),
    ],
)
def test_the_breaker_hears_what_is_about_the_target(outcome, calls, failed) -> None:
    """Answers and failures are samples; throttling and our own faults are not."""
    binding = bind(policy(breaker=breaker(), retry=None))
    made = call(binding)
    arrive(made)
    done(made, 1, outcome, 0.5)
    totals = binding.breaker.totals(0.5)

    assert (totals.calls, totals.failed) == (calls, failed)


@pytest.mark.parametrize(("timeout_s", "failed"), [(0.01, 0), (3.0, 1)])
def test_an_impatient_caller_is_not_the_targets_failure(timeout_s, failed) -> None:
    """A timeout of 10 ms that the caller chose opens nobody's breaker."""
    binding = bind(policy(breaker=breaker(), attempt_timeout_s=3.0))
    made = call(binding, Facts(timeout_s=timeout_s))
    arrive(made)
    done(made, 1, TIMEOUT, timeout_s)

    assert binding.breaker.totals(timeout_s).failed == failed


def test_a_long_poll_is_never_slow() -> None:
    """It asked for 20 s."""
    binding = bind(policy(breaker=breaker(slow_call_s=1.0)))
    made = call(binding, Facts(least_s=20.0))
    arrive(made)
    done(made, 1, OK, 20.0)

    assert binding.breaker.totals(20.0).slow == 0


# Commitment


def test_after_the_first_message_there_is_no_retry() -> None:
    """What the caller has seen cannot be taken back."""
    made = call()
    arrive(made)
    made.advance(AttemptCommitted(1), 0.2)

    assert finish_of(done(made, 1, RESET, 0.5)) == Finish(1, RESET, "committed")


def test_commitment_of_another_attempt_means_nothing() -> None:
    """Only the attempt that runs can commit the call."""
    made = call()
    arrive(made)
    made.advance(AttemptCommitted(2), 0.2)

    assert done(made, 1, RESET, 0.5).wake_at == 1.5

    made.advance(AttemptCommitted(1), 0.6)
    made.advance(Woke(1.5), 1.5)

    assert done(made, 2, RESET, 2.0).wake_at == 4.0


# Modes


def test_observe_changes_nothing_and_writes_down_everything() -> None:
    """No timeout, no retry, no rejection of ours; what would have been is recorded."""
    binding = bind(
        policy(
            mode="observe",
            timeout_s=1.0,
            attempt_timeout_s=0.5,
            breaker=breaker(),
        )
    )
    binding.breaker.move("forced-open", 0.0)
    made = call(binding, Facts(timeout_s=7.0))
    step = made.advance(ARRIVED, 0.0)

    assert step.commands == (StartAttempt(1, None),)
    assert step.wake_at is None
    refused = next(r for r in step.records if isinstance(r, Decided))
    assert (refused.mechanism, refused.decision) == ("breaker", "reject")

    step = done(made, 1, REFUSED, 9.0)

    assert step.commands == (Finish(1, REFUSED, "native"),)
    would = next(r for r in step.records if isinstance(r, Decided))
    assert (would.mechanism, would.decision, would.wait_s) == ("retry", "retry", 1.0)
    assert (made.ended.mode, made.ended.timeout_s) == ("observe", 7.0)


def test_observe_follows_the_hosts_own_retries() -> None:
    """Botocore goes on retrying; each attempt is one of the same call."""
    binding = bind(policy(mode="observe", retry_budget=budget("quota")))
    made = call(binding)
    arrive(made)
    step = made.advance(AttemptDone(1, RESET, 0.3), 1.0)

    assert step.wake_at == 1.3

    step = made.advance(Woke(1.3), 1.3)

    assert step.commands == (StartAttempt(2, None),)
    assert binding.budget._left == 486

    finish = finish_of(made.advance(AttemptDone(2, NOT_FOUND, None), 2.0))

    assert finish == Finish(2, NOT_FOUND, "native")
    assert made.ended.attempts == 2


def test_observe_says_when_it_would_have_failed() -> None:
    """Also that nothing would have been repeated is worth knowing."""
    made = call(policy(mode="observe"))
    arrive(made)
    step = done(made, 1, NOT_FOUND, 1.0)
    would = next(r for r in step.records if isinstance(r, Decided))

    assert (would.decision, would.reason) == ("fail", "not-retryable")


def test_a_breaker_that_observes_rejects_nothing() -> None:
    """The mode of one mechanism; the others go on acting."""
    binding = bind(policy(breaker=breaker(mode="observe")))
    binding.breaker.move("open", 0.0)
    made = call(binding)
    step = made.advance(ARRIVED, 1.0)

    assert step.commands == (StartAttempt(1, None),)
    assert [r.mechanism for r in step.records if isinstance(r, Decided)] == ["breaker"]
    assert done(made, 1, RESET, 2.0).wake_at == 3.0


def test_retries_that_observe_repeat_nothing() -> None:
    """The failure is returned; the retry that would have been is recorded."""
    made = call(policy(retry=retry(mode="observe")))
    arrive(made)
    step = done(made, 1, RESET, 1.0)

    assert finish_of(step).reason == "not-retryable"
    assert [r.decision for r in step.records if isinstance(r, Decided)] == ["retry"]


def test_retries_that_observe_say_nothing_of_what_nobody_repeats() -> None:
    """Where no retry would have been, there is nothing to record."""
    made = call(policy(retry=retry(mode="observe")))
    arrive(made)
    step = done(made, 1, NOT_FOUND, 1.0)

    assert not [r for r in step.records if isinstance(r, Decided)]


def test_a_budget_that_observes_denies_nothing() -> None:
    """It is charged, and says when it would have denied."""
    spent = budget("quota", mode="observe", capacity=14)
    binding = bind(policy(retry_budget=spent))
    made = call(binding)
    arrive(made)
    done(made, 1, RESET, 0.0)
    made.advance(Woke(1.0), 1.0)
    step = done(made, 2, RESET, 1.0)

    assert [r.mechanism for r in step.records if isinstance(r, Decided)] == [
        "retry_budget"
    ]
    assert step.wake_at == 3.0
    assert made.advance(Woke(3.0), 3.0).commands == (StartAttempt(3, None),)


# Ambiguity, history


@pytest.mark.parametrize(
    ("outcomes", "ambiguous"),
    [
        ([REFUSED, REFUSED, REFUSED], False),
        ([RESET, REFUSED, REFUSED], True),
        ([RESET, NOT_FOUND], True),
        ([NOT_FOUND], False),
        ([RESET, OK], False),
    ],
)
def test_a_failure_is_ambiguous_if_any_attempt_may_have_arrived(
    outcomes, ambiguous
) -> None:
    """A refusal at the end does not undo what the first attempt may have done."""
    made = call()
    arrive(made)
    now = 0.0
    for number, outcome in enumerate(outcomes, start=1):
        step = done(made, number, outcome, now)
        if step.wake_at is not None:
            now = step.wake_at
            made.advance(Woke(now), now)

    assert made.ended.ambiguous is ambiguous


def test_the_history_tells_each_attempt() -> None:
    """Number, outcome, decision, reason, wait and time left, in order."""
    made = call(policy(timeout_s=100.0))
    arrive(made)
    done(made, 1, RESET, 0.5)
    made.advance(Woke(1.5), 1.5)
    done(made, 2, OK, 2.0)
    told = [
        (a.number, a.decision, a.reason, a.wait_s, a.time_left_s) for a in made.history
    ]

    assert told == [(1, "retry", "retry", 1.0, 99.5), (2, "return", "ok", 0.0, 98.0)]
    assert made.ended.first_code == "UNAVAILABLE"
    assert made.ended.wait_s == 1.0


def test_calls_of_one_scope_share_its_state() -> None:
    """Two methods of a target feed one breaker."""
    scope = Scope("s", 0.0)
    one, other = (
        bind(policy(breaker=breaker()), scope),
        bind(policy(breaker=breaker()), scope),
    )
    for binding in (one, other, one, other):
        made = call(binding, Facts(declared="none"))
        arrive(made)
        done(made, 1, Outcome("UNAVAILABLE", "transport", "maybe"), 0.1)

    assert finish_of(call(one).advance(ARRIVED, 0.2)).reason == "breaker-open"
    assert scope.last_used == 0.2
