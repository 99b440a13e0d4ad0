"""Repeats and budgets; long polls, and hosts that decide themselves."""

import pytest

from resilience.core.command import Finish
from resilience.core.event import AttemptDone, CallerGone, Woke
from resilience.core.target import Facts
from tests.core.playing import play, pushed
from tests.core.policies import (
    ABORTED,
    NOT_FOUND,
    OK,
    REFUSED,
    RESET,
    THROTTLED,
    UNPROCESSED,
    arrive,
    bind,
    budget,
    call,
    done,
    finish_of,
    policy,
    retry,
)


# Budgets


def test_a_denied_retry_returns_the_last_real_error() -> None:
    """Now, with the reason noted."""
    made = policy(retry_budget=budget(min_per_second=0))

    assert play(call(made), [RESET]) == ([], Finish(1, RESET, "retry-budget"))


def test_a_budget_that_ran_dry_in_the_meantime_denies_the_retry() -> None:
    """It is asked again when the wait is over: others may have been quicker."""
    binding = bind(policy(retry_budget=budget("quota", capacity=14)))
    made = call(binding)
    arrive(made)
    done(made, 1, RESET, 0.0)
    binding.budget.withdraw(RESET, 0.5)

    assert finish_of(made.advance(Woke(1.0), 1.0)) == Finish(1, RESET, "retry-budget")


@pytest.mark.parametrize(
    ("outcomes", "left"),
    [
        ([OK], 500),
        ([RESET, OK], 500),
        ([THROTTLED, OK], 500),
        ([RESET, RESET, OK], 486),
        ([RESET, UNPROCESSED, OK], 500),
        ([RESET, NOT_FOUND], 486),
        ([RESET, RESET, RESET], 472),
    ],
)
def test_a_quota_gets_the_last_price_back_on_success(outcomes, left) -> None:
    """AWS: what the last retry cost; earlier ones stay spent."""
    binding = bind(policy(retry_budget=budget("quota")))
    play(call(binding), outcomes)

    assert binding.budget._left == left


@pytest.mark.parametrize(
    ("outcome", "tokens"),
    [
        (RESET, 9),
        (THROTTLED, 9),
        (ABORTED, 9),
        (NOT_FOUND, 10),
        (pushed(NOT_FOUND, -1.0), 9),
        (OK, 10),
    ],
)
def test_what_takes_a_token(outcome, tokens) -> None:
    """GRFC A6: what could be retried, and a server that says "no more"."""
    binding = bind(policy(retry_budget=budget("tokens"), idempotency="none"))
    made = call(binding)
    arrive(made)
    done(made, 1, outcome, 0.0)

    assert binding.budget._tokens == tokens


def test_failures_count_without_a_retry_policy() -> None:
    """The budget belongs to the scope, not to one method's retries."""
    binding = bind(policy(retry=None, retry_budget=budget("tokens")))
    play(call(binding), [RESET])
    play(call(binding), [ABORTED])

    assert binding.budget._tokens == 9


# Long polls and hosts that decide


@pytest.mark.parametrize(("timeout_s", "hold"), [(None, 1.0), (3.0, 1.0), (0.9, None)])
def test_a_long_poll_waits_before_it_fails(timeout_s, hold) -> None:
    """Without quota it would be asked again at once, in a loop; never past its end."""
    spent = budget("quota", capacity=0)
    made = call(
        policy(timeout_s=timeout_s, retry_budget=spent), Facts(wait_before_failing=True)
    )
    arrive(made)
    step = done(made, 1, RESET, 0.0)

    if hold is None:
        assert finish_of(step).reason == "deadline"
    else:
        assert step.wake_at == hold
        assert finish_of(made.advance(Woke(hold), hold)) == Finish(
            1, RESET, "retry-budget"
        )
        assert next(iter(made.history)).wait_s == hold


def test_a_long_poll_that_only_observes_fails_at_once() -> None:
    """Nothing of ours slows a call that is only watched."""
    made = policy(retry=retry(mode="observe"), retry_budget=budget("quota", capacity=0))
    made_call = call(made, Facts(wait_before_failing=True))

    assert play(made_call, [RESET])[1].reason == "retry-budget"


def test_a_caller_may_leave_while_a_long_poll_waits_to_fail() -> None:
    """The wait ends at once."""
    spent = budget("quota", capacity=0)
    made = call(policy(retry_budget=spent), Facts(wait_before_failing=True))
    arrive(made)
    done(made, 1, RESET, 0.0)

    assert finish_of(made.advance(CallerGone(), 0.5)).reason == "cancelled"


def hosted(**changes):
    return call(policy(**changes), Facts(host_decides=True))


def test_a_host_that_decides_is_followed() -> None:
    """Its wait, its count, its verdict; ours add nothing."""
    made = hosted()
    arrive(made)
    for number in range(1, 6):
        step = made.advance(AttemptDone(number, NOT_FOUND, 0.25), 0.0)

        assert step.wake_at == 0.25

        made.advance(Woke(0.25), 0.0)
    step = made.advance(AttemptDone(6, RESET, None), 0.0)

    assert finish_of(step) == Finish(6, RESET, "host")


def test_a_host_is_vetoed_by_time() -> None:
    """A wait that does not fit the deadline fails now."""
    made = hosted(timeout_s=1.0)
    arrive(made)
    step = made.advance(AttemptDone(1, RESET, 1.5), 0.0)

    assert finish_of(step).reason == "deadline"


@pytest.mark.parametrize(
    ("idempotency", "outcome", "reason"),
    [
        ("none", RESET, "idempotency"),
        ("none", REFUSED, None),
        ("safe", RESET, None),
        ("auto", RESET, None),
    ],
)
def test_a_host_is_vetoed_by_a_declared_idempotency(
    idempotency, outcome, reason
) -> None:
    """Only by a declared one: a guess of ours does not overrule botocore."""
    made = hosted(idempotency=idempotency)
    arrive(made)
    step = made.advance(AttemptDone(1, outcome, 0.5), 0.0)

    if reason is None:
        assert step.wake_at == 0.5
    else:
        assert finish_of(step).reason == reason


def test_a_host_is_not_vetoed_by_our_budget() -> None:
    """It has its own; ours counts along."""
    binding = bind(policy(retry_budget=budget("quota", capacity=20)))
    made = call(binding, Facts(host_decides=True))
    arrive(made)
    for number in (1, 2):
        step = made.advance(AttemptDone(number, RESET, 0.5), 0.0)
        step = made.advance(Woke(step.wake_at), 0.5)

        assert step.commands

    assert binding.budget._left == 6
