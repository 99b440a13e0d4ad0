"""What an attempt that ended leaves behind: budget, breaker, expected latency.

Done before anything is decided about the call itself. Which outcome is evidence for
what is `classify.py`'s business; what state follows is the state's own.
"""

from collections.abc import Callable

from .allowance import is_impatient
from .binding import Binding
from .breaker import Permit
from .classify import evidence
from .outcome import Outcome
from .target import Facts


TOLD_S = 10.0
"""After a shed of a lower layer, calls tell it their levels for so long."""


def succeeded(  # noqa: PLR0917 - on every healthy call; names would cost
    binding: Binding,
    permit: Permit | None,
    facts: Facts,
    elapsed_s: float,
    now: float,
    rng: Callable[[], float],
) -> None:
    """Give *permit* back and count an attempt that ended well after *elapsed_s*."""
    is_long = facts.long or facts.streams or facts.least_s is not None
    if not is_long:
        # What a long poll takes says nothing about the calls beside it.
        binding.scope.latency.sample(elapsed_s)
    breaker = binding.breaker
    if breaker is None or permit is None:
        return
    is_plain = is_long or breaker.policy.slow_call_s is None
    if not (is_plain and breaker.succeeded(permit, elapsed_s, now, rng)):
        breaker.done(permit, "success", elapsed_s, now, rng, long=is_long)


def failed(
    binding: Binding,
    permit: Permit | None,
    facts: Facts,
    outcome: Outcome,
    elapsed_s: float,
    *,
    now: float,
    rng: Callable[[], float],
) -> None:
    """Give *permit* back and count *outcome*, a failure after *elapsed_s*."""
    breaker = binding.breaker
    if outcome.shed:
        binding.scope.tells_until = now + TOLD_S
    if binding.budget is not None:
        binding.budget.failed(now, counts=_is_throttling(binding, outcome))
    if breaker is None or permit is None:
        return
    shown = evidence(outcome)
    if outcome.timed_out and shown == "failure":
        expected_s = binding.scope.latency.expected_s
        if is_impatient(binding.policy, elapsed_s, expected_s):
            shown = "neutral"
    hint_s = outcome.pushback_s
    is_long = facts.long or facts.streams or facts.least_s is not None
    breaker.done(permit, shown, elapsed_s, now, rng, hint_s=hint_s, long=is_long)


def _is_throttling(binding: Binding, outcome: Outcome) -> bool:
    """Failures that take a token: gRFC A6 counts what could be retried and "no more".

    Unprocessed work is repeated for free and counts for nothing.
    """
    if outcome.unprocessed:
        return False
    if outcome.kind in {"transport", "overload"} or outcome.retryable:
        return True
    retry = binding.policy.retry
    if retry is not None and outcome.code in retry.retry_on:
        return True
    return outcome.pushback_s is not None and outcome.pushback_s < 0
