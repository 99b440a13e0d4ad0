"""Retry budgets: how much load retries may add, over all calls of a scope.

Three forms behind one interface: Finagle's windowed ratio (the default), gRPC's
throttling tokens (gRFC A6), AWS's retry quota. A budget never delays: it grants now or
it does not. Safe to share between threads.
"""

import threading
from typing import Protocol

from .outcome import Outcome
from .policy import BudgetPolicy


SLICES = 10
SCALE = 1000
"""A first attempt deposits this; a retry withdraws SCALE / ratio (Finagle)."""


class RetryBudget(Protocol):
    """What the engine asks of a budget."""

    policy: BudgetPolicy
    heeds_ends: bool
    """False: `ended` does nothing, so healthy calls need not say it."""

    def deposit(self, now: float) -> None:
        """A call started."""
        ...

    def allows(self, outcome: Outcome, now: float) -> bool:
        """Would a retry after *outcome* be granted now? Takes nothing."""
        ...

    def withdraw(self, outcome: Outcome, now: float) -> int | None:
        """Take what a retry after *outcome* costs; None: denied."""
        ...

    def refund(self, cost: int, now: float) -> None:
        """Give back what was taken for a retry that was not made."""
        ...

    def ended(self, cost: int | None, now: float, *, ok: bool) -> None:
        """A call ended; *cost* was taken for its last retry, None: it had none."""
        ...

    def failed(self, now: float, *, counts: bool) -> None:
        """An attempt failed; *counts*: in a way that throttling counts."""
        ...

    def balance(self, now: float) -> float:
        """Retries that would be granted now."""
        ...

    def renew(self) -> None:
        """Make the lock new, after a fork."""
        ...


class RatioBudget:
    """Retries stay within a ratio of calls, plus a small reserve (Finagle)."""

    __slots__ = (
        "_deposit",
        "_index",
        "_lock",
        "_reserve",
        "_slice_s",
        "_slices",
        "_slot",
        "_sum",
        "_turn_at",
        "_unit",
        "policy",
    )

    heeds_ends = False

    def __init__(self, policy: BudgetPolicy) -> None:
        self.policy = policy
        self._unit = int(SCALE / policy.ratio) if policy.ratio else SCALE
        self._deposit = SCALE if policy.ratio else 0
        self._reserve = int(policy.min_per_second * policy.ttl_s * self._unit)
        self._slice_s = policy.ttl_s / SLICES
        self._slices = [0] * SLICES
        self._sum = 0
        self._index = -1
        self._slot = 0
        self._turn_at = float("-inf")
        """When the running slice ends; until then deposits are two additions."""
        self.renew()

    def renew(self) -> None:
        """Make the lock new, after a fork."""
        self._lock = threading.Lock()

    def _add_locked(self, amount: int, now: float) -> None:
        if now >= self._turn_at:
            self._turn_locked(int(now / self._slice_s))
        self._slices[self._slot] += amount
        self._sum += amount

    def _turn_locked(self, index: int) -> None:
        """Make *index* the running slice and forget those that have expired."""
        for stale in range(max(self._index + 1, index - SLICES + 1), index + 1):
            self._sum -= self._slices[stale % SLICES]
            self._slices[stale % SLICES] = 0
        self._index = max(index, self._index)
        self._slot = self._index % SLICES
        self._turn_at = (self._index + 1) * self._slice_s

    def deposit(self, now: float) -> None:
        """A call started: it pays for `ratio` of a retry during `ttl`."""
        with self._lock:
            if now >= self._turn_at:
                self._turn_locked(int(now / self._slice_s))
            self._slices[self._slot] += self._deposit
            self._sum += self._deposit

    def balance(self, now: float) -> float:
        """Retries that would be granted now."""
        with self._lock:
            self._add_locked(0, now)
            return (self._reserve + self._sum) // self._unit

    def allows(self, outcome: Outcome, now: float) -> bool:  # noqa: ARG002 - one price for all
        """Would a retry be granted now?"""
        return self.balance(now) >= 1

    def withdraw(self, outcome: Outcome, now: float) -> int | None:  # noqa: ARG002 - one price for all
        """Take one retry; None: denied."""
        with self._lock:
            self._add_locked(0, now)
            if self._reserve + self._sum < self._unit:
                return None
            self._add_locked(-self._unit, now)
            return self._unit

    def refund(self, cost: int, now: float) -> None:
        """Give one retry back."""
        with self._lock:
            self._add_locked(cost, now)

    def ended(self, cost: int | None, now: float, *, ok: bool) -> None:
        """Nothing: deposits are made when calls start."""

    def failed(self, now: float, *, counts: bool) -> None:
        """Nothing: only calls and retries count."""


class TokenBudget:
    """gRPC's throttling: -1 per failure, +ratio per success, retry above half."""

    __slots__ = ("_lock", "_tokens", "policy")

    heeds_ends = True

    def __init__(self, policy: BudgetPolicy) -> None:
        self.policy = policy
        self._tokens = policy.max_tokens
        self.renew()

    def renew(self) -> None:
        """Make the lock new, after a fork."""
        self._lock = threading.Lock()

    def deposit(self, now: float) -> None:
        """Nothing: only ends count."""

    def allows(self, outcome: Outcome, now: float) -> bool:  # noqa: ARG002 - one price for all
        """Are more than half of the tokens left?"""
        return self._tokens > self.policy.max_tokens / 2

    def withdraw(self, outcome: Outcome, now: float) -> int | None:
        """Granted above half; nothing is taken."""
        return 0 if self.allows(outcome, now) else None

    def refund(self, cost: int, now: float) -> None:
        """Nothing was taken."""

    def ended(self, cost: int | None, now: float, *, ok: bool) -> None:  # noqa: ARG002 - no expiry, no price
        """A success gives `token_ratio` back, up to the maximum."""
        if ok:
            with self._lock:
                tokens = self._tokens + self.policy.token_ratio
                self._tokens = min(self.policy.max_tokens, round(tokens, 3))

    def failed(self, now: float, *, counts: bool) -> None:  # noqa: ARG002 - no expiry
        """A failure that could be retried takes one token."""
        if counts:
            with self._lock:
                self._tokens = max(0.0, self._tokens - 1)

    def balance(self, now: float) -> float:  # noqa: ARG002 - no expiry
        """Failures until retries stop."""
        return max(0.0, self._tokens - self.policy.max_tokens / 2)


class QuotaBudget:
    """AWS's retry quota: a pool that retries draw from and successes refill."""

    __slots__ = ("_left", "_lock", "policy")

    heeds_ends = True

    def __init__(self, policy: BudgetPolicy) -> None:
        self.policy = policy
        self._left = policy.capacity
        self.renew()

    def renew(self) -> None:
        """Make the lock new, after a fork."""
        self._lock = threading.Lock()

    def _cost(self, outcome: Outcome) -> int:
        if outcome.throttled:
            return self.policy.throttle_cost
        return self.policy.timeout_cost if outcome.timed_out else self.policy.retry_cost

    def deposit(self, now: float) -> None:
        """Nothing: only ends count."""

    def allows(self, outcome: Outcome, now: float) -> bool:  # noqa: ARG002 - no expiry
        """Is the price of this retry left?"""
        return self._left >= self._cost(outcome)

    def withdraw(self, outcome: Outcome, now: float) -> int | None:  # noqa: ARG002 - no expiry
        """Take the price of this retry; None: denied."""
        cost = self._cost(outcome)
        with self._lock:
            if self._left < cost:
                return None
            self._left -= cost
            return cost

    def refund(self, cost: int, now: float) -> None:  # noqa: ARG002 - no expiry
        """Put *cost* back, up to the capacity."""
        with self._lock:
            self._left = min(self.policy.capacity, self._left + cost)

    def ended(self, cost: int | None, now: float, *, ok: bool) -> None:
        """A first-try success refills 1; one after a retry gives its price back."""
        if ok and (cost is not None or self._left < self.policy.capacity):
            self.refund(1 if cost is None else cost, now)

    def failed(self, now: float, *, counts: bool) -> None:
        """Nothing: failures cost only when they are retried."""

    def balance(self, now: float) -> float:  # noqa: ARG002 - no expiry
        """Retries at full price that would be granted now."""
        return self._left // self.policy.retry_cost


def make_budget(policy: BudgetPolicy) -> RetryBudget:
    """The budget of one scope in one process, full."""
    if policy.kind == "tokens":
        return TokenBudget(policy)
    if policy.kind == "quota":
        return QuotaBudget(policy)
    return RatioBudget(policy)
