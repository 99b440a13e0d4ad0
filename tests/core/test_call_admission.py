"""Admission: the order of the checks, and what a breaker does to a call."""

import pytest

from resilience.core.command import Finish, StartAttempt, Step
from resilience.core.event import (
    ARRIVED,
    Woke,
)
from resilience.core.record import BreakerChanged
from resilience.core.target import Facts
from tests.core.policies import (
    NO_DNS,
    NOT_FOUND,
    OK,
    REFUSED,
    RESET,
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
)


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


def test_a_retry_may_wait_until_it_may_add_load() -> None:
    """With `when_open: wait`, an attempt timeout or two, and then as who is new."""
    binding = bind(
        policy(
            breaker=breaker(ramp_s=10.0, when_open="wait", unit_s=4.0, min_calls=9),
            retry_budget=budget("quota"),
        )
    )
    binding.breaker.move("ramp", 0.0)
    made = call(binding, rng=lambda: 0.0)
    arrive(made)
    step = done(made, 1, RESET, 0.5)

    assert 1.5 == step.wake_at

    step = made.advance(Woke(1.5), 1.5)

    assert ((), 5.5) == (step.commands, step.wake_at)
    assert (StartAttempt(2, None),) == made.advance(Woke(5.5), 5.5).commands
    assert 486 == binding.budget._left

    again = done(made, 2, RESET, 5.6).wake_at
    step = made.advance(Woke(again), again)

    assert binding.breaker.state == "ramp"
    assert ((), again + 4.0) == (step.commands, step.wake_at)


@pytest.mark.parametrize(("when_open", "answered"), [("reject", 0), ("wait", 1)])
def test_the_last_call_of_many_is_not_given_up(when_open: str, answered: int) -> None:
    """Two attempts in a row without an answer, and nobody else left to be answered.

    Evidence of others will not come any more, so who may wait tries once more.
    """
    kind = breaker(kind="adaptive", when_open=when_open)
    binding = bind(policy(breaker=kind, attempt_timeout_s=1.0))
    for moment in (0.0, 0.1, 0.2):
        other = call(binding)
        arrive(other, moment)
        done(other, 1, OK, moment + 0.05)
    made = call(binding, Facts(timeout_s=9.0), rng=lambda: 0.5)
    step = made.advance(ARRIVED, 0.25)
    while made.ended is None:
        now = step.wake_at
        step = made.advance(Woke(now), now)
        if StartAttempt(3, 1.0) in step.commands:
            done(made, 3, OK, now)

    assert (2 + answered, bool(answered)) == (
        made.ended.attempts,
        made.ended.outcome == OK,
    )


def test_a_retry_waits_no_longer_than_its_call() -> None:
    """Where the deadline comes first the real error is handed back at once."""
    binding = bind(policy(breaker=breaker(ramp_s=10.0, when_open="wait", unit_s=4.0)))
    binding.breaker.move("ramp", 0.0)
    made = call(binding, Facts(timeout_s=5.4), rng=lambda: 0.0)
    arrive(made)
    step = done(made, 1, RESET, 0.5)

    assert Finish(1, RESET, "breaker-open") == finish_of(
        made.advance(Woke(step.wake_at), step.wake_at)
    )


def test_a_retry_does_not_wait_for_a_breaker_forced_open() -> None:
    """Only somebody's hand ends it."""
    binding = bind(policy(breaker=breaker(when_open="wait")))
    made = call(binding)
    arrive(made)
    binding.breaker.move("forced-open", 0.2)

    assert "breaker-open" == finish_of(done(made, 1, RESET, 0.5)).reason


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
