"""The worst that one call may cost under a policy: attempts, time, amplification.

Upper bounds from the policy alone, with every wait at its longest and every attempt
at its timeout; what a caller's own deadline cuts is not counted.
"""

from dataclasses import dataclass
from itertools import islice, zip_longest

from resilience.core.policy import BackoffPolicy, BudgetPolicy, CallPolicy, RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """Upper bounds for one call."""

    attempts: int
    """Attempts that we make, the first included."""
    native_attempts: int
    """Attempts that layers below make for each of ours."""
    wire_attempts: int
    """Both multiplied: what a server may see of one call."""
    wait_s: float
    """All waits between attempts, each at its longest."""
    seconds: float | None
    """The whole call; None: no timeout bounds it."""
    sustained: float
    """Attempts per call while everything fails: what the retry budget lets through."""
    sustained_why: str
    """The rule behind `sustained`."""


def worst_case(policy: CallPolicy) -> Worst:
    """Return the upper bounds that *policy* sets for one call."""
    retry = policy.retry
    acts = policy.mode == "enforce" and retry is not None and retry.mode == "enforce"
    attempts = retry.max_attempts if acts and retry is not None else 1
    wait_s = 0.0
    if acts and retry is not None:
        wait_s = round(_all_waits(retry), 6)
    limiter = policy.limiter
    if policy.mode == "enforce" and limiter is not None and limiter.mode == "enforce":
        wait_s = round(wait_s + attempts * limiter.max_wait_s, 6)
    sustained, why = _sustained(policy, attempts)
    wire = attempts * policy.native_attempts
    return Worst(
        attempts=attempts,
        native_attempts=policy.native_attempts,
        wire_attempts=wire,
        wait_s=wait_s,
        seconds=_seconds(policy, attempts, wait_s),
        sustained=sustained * policy.native_attempts,
        sustained_why=why,
    )


def _all_waits(retry: RetryPolicy) -> float:
    """Return the longest that the waits of one call can be together."""
    retries = retry.max_attempts - 1
    rows = [_longest(retry.backoff, retries)]
    if retry.overload_backoff is not None:
        rows.append(_longest(retry.overload_backoff, retries))
    for rule in retry.codes.values():
        if rule.backoff is not None:
            most = retries if rule.max_attempts is None else rule.max_attempts - 1
            rows.append(_longest(rule.backoff, min(retries, most)))
    return sum(max(column) for column in zip_longest(*rows, fillvalue=0.0))


def _longest(backoff: BackoffPolicy, retries: int) -> list[float]:
    """Return the longest wait before each retry."""
    if backoff.jitter == "decorrelated":
        return [
            min(backoff.max_s, backoff.initial_s * 3.0 ** min(number, 600))
            for number in range(1, retries + 1)
        ]
    return list(islice(backoff.waits(), retries))


def _seconds(policy: CallPolicy, attempts: int, wait_s: float) -> float | None:
    if policy.mode != "enforce":
        return None
    attempt_s = policy.attempt_timeout_s
    total = None if attempt_s is None else attempts * attempt_s + wait_s
    if policy.timeout_s is None:
        return total
    return policy.timeout_s if total is None else min(total, policy.timeout_s)


def _sustained(policy: CallPolicy, attempts: int) -> tuple[float, str]:
    if attempts == 1:
        return 1.0, "no retries"
    budget = policy.retry_budget
    if budget is None or budget.mode != "enforce":
        return float(attempts), "no retry budget: max_attempts alone"
    return _budgeted(budget, attempts)


def _budgeted(budget: BudgetPolicy, attempts: int) -> tuple[float, str]:
    if budget.kind == "ratio":
        share = min(float(attempts), 1 + budget.ratio)
        floor = f"{budget.min_per_second:g} a second"
        return share, f"retry_budget.ratio {budget.ratio:g}, and {floor} in any case"
    if budget.kind == "tokens":
        return 1.0, "retry_budget kind tokens: none once half the tokens are gone"
    return 1.0, "retry_budget kind quota: none once the quota is used up"
