"""Commitment, modes, ambiguity and history of one call."""

import pytest

from resilience.core.command import Finish, StartAttempt
from resilience.core.event import (
    ARRIVED,
    AttemptCommitted,
    AttemptDone,
    Woke,
)
from resilience.core.outcome import Outcome
from resilience.core.record import Decided
from resilience.core.scope import Scope
from resilience.core.target import Facts
from tests.core.policies import (
    NOT_FOUND,
    OK,
    REFUSED,
    RESET,
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
