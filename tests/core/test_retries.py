"""Whether, why and when a failed attempt is repeated."""

import pytest

from resilience.core.command import Finish
from resilience.core.event import CallerGone, Woke
from resilience.core.retries import LONGEST_HINT_S, MAX_FREE_ATTEMPTS
from resilience.core.target import Facts
from tests.core.playing import play, pushed
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
    arrive,
    backoff,
    bind,
    breaker,
    budget,
    call,
    done,
    finish_of,
    highest,
    late_and_lone,
    policy,
    retry,
)


@pytest.mark.parametrize("outcome", [REFUSED, RESET, THROTTLED, ABORTED, TIMEOUT])
def test_attempts_count_the_first(outcome) -> None:
    """`max_attempts: 3` is a call and two repeats."""
    waits, end = play(call(), [outcome] * 5)

    assert waits == [1.0, 2.0]
    assert end == Finish(3, outcome, "attempts-exhausted")


@pytest.mark.parametrize(("before", "attempts"), [(0, 3), (1, 2), (2, 1), (7, 1)])
def test_a_call_inside_a_retry_spends_less(before, attempts) -> None:
    """What was tried above counts, but a call is always made once."""
    made = call(facts=Facts(previous_attempts=before))
    _, end = play(made, [RESET] * 5)

    assert end == Finish(attempts, RESET, "attempts-exhausted")


def test_inside_a_retry_unprocessed_work_still_costs_nothing() -> None:
    """A repeat of what nobody acted upon multiplies nothing."""
    made = call(facts=Facts(previous_attempts=2))
    _, end = play(made, [*[UNPROCESSED] * 10, OK])

    assert end == Finish(11, OK, "ok")


@pytest.mark.parametrize("outcome", [NOT_FOUND, BAD_CERT, OWN_FAULT])
def test_what_no_repeat_can_mend_is_not_repeated(outcome) -> None:
    """An unlisted answer, a permanent fault, a fault of our own."""
    assert play(call(), [outcome]) == ([], Finish(1, outcome, "not-retryable"))


def test_without_a_retry_policy_nothing_is_repeated() -> None:
    """`retry: off`."""
    _, end = play(call(policy(retry=None)), [REFUSED])

    assert end == Finish(1, REFUSED, "not-retryable")


@pytest.mark.parametrize("outcome", [RESET, ABORTED, TIMEOUT, INTERNAL])
def test_without_idempotency_only_refusals_are_repeated(outcome) -> None:
    """What may have been executed is not executed twice."""
    made = policy(idempotency="none")

    assert play(call(made), [outcome]) == ([], Finish(1, outcome, "idempotency"))
    assert play(call(made), [REFUSED, NO_DNS, OK])[1] == Finish(3, OK, "ok")


# Codes with rules of their own


def test_internal_is_repeated_late_and_alone() -> None:
    """One retry after 5 s, however many attempts are left."""
    made = policy(retry=retry(max_attempts=5, codes=late_and_lone()))

    assert play(call(made), [INTERNAL] * 3) == (
        [5.0],
        Finish(2, INTERNAL, "attempts-exhausted"),
    )


def test_a_codes_limit_counts_its_own_attempts() -> None:
    """An INTERNAL after an UNAVAILABLE still has its one retry, with its own wait."""
    made = policy(retry=retry(max_attempts=5, codes=late_and_lone()))
    waits, end = play(call(made), [REFUSED, INTERNAL, REFUSED, INTERNAL])

    assert waits == [1.0, 5.0, 4.0]
    assert end == Finish(4, INTERNAL, "attempts-exhausted")


def test_a_codes_limit_does_not_extend_the_policys() -> None:
    """The limits hold both."""
    made = policy(retry=retry(max_attempts=1, codes=late_and_lone()))

    assert play(call(made), [INTERNAL])[1].reason == "attempts-exhausted"


def test_a_rule_without_waits_takes_the_policys() -> None:
    """Each part of a rule can be left out."""
    rules = late_and_lone()
    lone = {"INTERNAL": type(rules["INTERNAL"])(max_attempts=2, backoff=None)}
    slow = {"INTERNAL": type(rules["INTERNAL"])(max_attempts=None, backoff=backoff(5))}

    assert play(call(policy(retry=retry(codes=lone))), [INTERNAL] * 3)[0] == [1.0]
    assert play(call(policy(retry=retry(codes=slow))), [INTERNAL] * 3)[0] == [5.0, 8.0]


def test_overload_has_waits_of_its_own() -> None:
    """AWS: 1 s after throttling where other failures wait 50 ms."""
    made = policy(
        retry=retry(
            max_attempts=4, backoff=backoff(0.05), overload_backoff=backoff(1.0)
        )
    )

    assert play(call(made), [RESET, THROTTLED, RESET])[0] == [0.05, 2.0, 0.2]


# Pushback


def test_an_exact_pushback_is_kept_to_the_letter() -> None:
    """No jitter, and the exponent starts again (gRFC A6)."""
    made = policy(retry=retry(max_attempts=5, backoff=backoff(jitter="full")))
    outcomes = [RESET, RESET, pushed(RESET, 0.3), RESET]

    assert play(call(made, rng=highest), outcomes)[0] == [1.0, 2.0, 0.3, 1.0]


def test_a_hint_gets_jitter_on_top() -> None:
    """`Retry-After` and RetryInfo times 1 to 1.5: never sooner than asked."""
    outcome = pushed(THROTTLED, 4.0, "hint")

    assert play(call(rng=highest), [outcome], 1)[0] == [6.0]


def test_a_clamped_wait_stays_near_our_own() -> None:
    """`x-amz-retry-after` between our wait and 5 s more."""
    assert play(call(), [pushed(THROTTLED, 60.0, "clamped")], 1)[0] == [6.0]
    assert play(call(), [pushed(THROTTLED, 0.0, "clamped")], 1)[0] == [1.0]


def test_a_negative_pushback_ends_the_call() -> None:
    """The server says: do not try again."""
    outcome = pushed(RESET, -1.0)

    assert play(call(), [outcome])[1] == Finish(1, outcome, "pushback")


@pytest.mark.parametrize("form", ["exact", "hint"])
def test_no_hint_holds_a_call_longer_than_the_breaker_would(form) -> None:
    """Nobody can park our callers for an hour."""
    with_breaker = policy(breaker=breaker(max_open_for_s=40.0))
    _, end = play(call(with_breaker), [pushed(THROTTLED, 41.0, form)])

    assert end.reason == "pushback"

    _, end = play(call(), [pushed(THROTTLED, LONGEST_HINT_S + 1, form)])

    assert end.reason == "pushback"
    assert play(call(), [pushed(THROTTLED, LONGEST_HINT_S)], 1)[0] == [LONGEST_HINT_S]


def test_a_pushback_that_does_not_fit_fails_now() -> None:
    """The caller gets the error at once, and the wait that was asked for with it."""
    made = call(policy(timeout_s=3.0))
    outcome = pushed(THROTTLED, 4.0)
    _, end = play(made, [outcome])

    assert end == Finish(1, outcome, "deadline")
    assert made.ended.outcome.pushback_s == 4.0


# Fit


def test_a_retry_that_cannot_end_in_time_is_not_made() -> None:
    """Wait plus expected latency have to fit into what is left."""
    binding = bind(policy(timeout_s=3.0))
    binding.scope.latency.sample(1.9)

    assert play(call(binding), [RESET], 1)[0] == [1.0]

    binding.scope.latency.sample(9.0)

    assert play(call(binding), [RESET])[1].reason == "deadline"


def test_fit_is_checked_again_when_the_wait_is_over() -> None:
    """A thread that overslept does not start what cannot end."""
    binding = bind(policy(timeout_s=3.0, retry_budget=budget("quota")))
    binding.scope.latency.sample(1.5)
    made = call(binding)
    arrive(made)
    step = done(made, 1, RESET, 0.0)

    assert finish_of(made.advance(Woke(step.wake_at), 1.6)).reason == "deadline"
    assert binding.budget._left == 500


def test_a_repeat_never_starts_at_or_after_the_deadline() -> None:
    """Not even a free one."""
    made = call(policy(timeout_s=3.0))
    arrive(made)
    step = done(made, 1, UNPROCESSED, 2.9)

    assert finish_of(made.advance(Woke(step.wake_at), 3.0)).reason == "deadline"

    binding = bind(policy(timeout_s=3.0))
    binding.scope.latency.sample(1.0)
    late = call(binding)
    arrive(late)

    assert finish_of(done(late, 1, UNPROCESSED, 2.5)).reason == "deadline"


# Free repeats


def test_unprocessed_work_costs_nothing() -> None:
    """No attempt, no budget, no wait; and it needs no idempotency."""
    spent = budget("quota", capacity=0)
    binding = bind(policy(idempotency="none", retry_budget=spent))
    made = call(binding)
    waits, end = play(made, [*[UNPROCESSED] * 10, OK])

    assert waits == [0.0] * 10
    assert end == Finish(11, OK, "ok")
    assert (made.ended.attempts, made.ended.free_attempts) == (11, 10)


def test_free_repeats_end() -> None:
    """At most 100 in one call; then it is a failure like others."""
    made = call()
    waits, end = play(made, [UNPROCESSED] * 200)

    assert waits == [*[0.0] * MAX_FREE_ATTEMPTS, 1.0, 2.0]
    assert end == Finish(103, UNPROCESSED, "attempts-exhausted")
    assert made.ended.free_attempts == MAX_FREE_ATTEMPTS


def test_a_free_repeat_that_is_not_made_is_not_counted() -> None:
    """The caller left in between."""
    made = call()
    arrive(made)
    done(made, 1, UNPROCESSED, 0.0)
    made.advance(CallerGone(), 0.0)

    assert made.ended.free_attempts == 0


def test_unprocessed_work_takes_no_token() -> None:
    """GRFC A6: transparent retries never count for throttling."""
    binding = bind(policy(retry_budget=budget("tokens", max_tokens=4)))
    play(call(binding), [*[UNPROCESSED] * 3, OK])

    assert binding.budget._tokens == 4
