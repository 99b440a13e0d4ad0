"""Whether, why and when a failed attempt is repeated.

The rules of one call after its first failure live here: codes with limits of their
own, backoff, pushback, budget, fit. Made at the first failure, so that healthy calls
pay nothing. Owned by one call.
"""

from collections.abc import Callable
from typing import NamedTuple

from .allowance import fits, has_run_out, of_queue
from .backoff import Backoff, with_pushback
from .binding import Binding
from .classify import verdict
from .outcome import Outcome
from .policy import BackoffPolicy, RetryPolicy
from .record import Reason
from .target import Facts, Idempotency


MAX_FREE_ATTEMPTS = 100
"""Repeats of unprocessed work in one call (grpc-java allows 1000 local ones)."""
MAX_HOST_ATTEMPTS = 1000
"""Where the host library decides: no host that works asks for more in one call."""
LONGEST_HINT_S = 60.0
"""No wait that a server asks for holds a call longer, where no breaker says less."""

QUEUES_UNITS = 1.0
"""Attempt timeouts, and up to one more, that a repeat waits in which the breaker wants
none (`when_open: wait`): about as long as all are kept out after a cut."""


class Next(NamedTuple):
    """What follows a failed attempt."""

    reason: Reason
    wait_s: float | None = None
    """Until the next attempt; None: there is none."""
    budget_would_deny: bool = False
    """An observing budget would have denied it."""
    hold_s: float = 0.0
    """Wait this long before failing (a long poll that the budget denied)."""


class Retries:
    """The retry state of one call. Owned by one call."""

    __slots__ = (
        "_backoffs",
        "_binding",
        "_by_code",
        "_cost",
        "_facts",
        "_free_next",
        "_has_queued",
        "_idempotency",
        "_n",
        "_pending",
        "_rng",
        "free",
        "last",
    )

    def __init__(
        self,
        binding: Binding,
        facts: Facts,
        idempotency: Idempotency,
        rng: Callable[[], float],
    ) -> None:
        self._binding = binding
        self._facts = facts
        self._idempotency: Idempotency = idempotency
        self._rng = rng
        self._by_code: dict[str, int] = {}
        self._backoffs: dict[BackoffPolicy, Backoff] = {}
        self._n = 0
        self._cost: int | None = None
        self._pending: int | None = None
        self._free_next = self._has_queued = False
        self.free = 0
        """Repeats of unprocessed work that were made so far."""
        self.last: Outcome | None = None
        """How the newest attempt failed."""

    def after(  # noqa: PLR0911 - a list of reasons, in order
        self,
        outcome: Outcome,
        host_wait_s: float | None,
        number: int,
        deadline: float | None,
        now: float,
    ) -> Next:
        """What follows attempt *number*, which failed with *outcome*."""
        self.last = outcome
        self._free_next = self._has_queued = False
        self._by_code[outcome.code] = self._by_code.get(outcome.code, 0) + 1
        if has_run_out(outcome, deadline, now):
            return Next("deadline")
        if self._facts.host_decides:
            if number >= MAX_HOST_ATTEMPTS:
                return Next("attempts-exhausted")
            return self._as_host_proposes(outcome, host_wait_s, deadline, now)
        retry = self._binding.policy.retry
        if retry is None:
            return Next("not-retryable")
        answer = verdict(outcome, retry, self._idempotency)
        if not answer.repeat:
            return Next(answer.reason)
        if answer.free and self.free < MAX_FREE_ATTEMPTS:
            if not self.fits(0.0, deadline, now):
                return Next("deadline")
            self._free_next = True
            return Next("unprocessed", 0.0)
        if self._is_exhausted(retry, outcome, number):
            return Next("attempts-exhausted")
        return self._paid(outcome, retry, deadline, now)

    def _is_exhausted(self, retry: RetryPolicy, outcome: Outcome, number: int) -> bool:
        rule = retry.codes.get(outcome.code)
        # The limit of a code counts the attempts that ended in it.
        limit = None if rule is None else rule.max_attempts
        if limit is not None and self._by_code[outcome.code] >= limit:
            return True
        # A call inside a retry spends less, or each layer would multiply the one above:
        # what was tried before it counts. The first attempt is always made.
        spent = number - self.free + self._facts.previous_attempts
        return spent >= retry.max_attempts

    def _paid(
        self, outcome: Outcome, retry: RetryPolicy, deadline: float | None, now: float
    ) -> Next:
        """An ordinary repeat waits, and costs budget: does it fit, is it granted?"""
        binding = self._binding
        budget, breaker = binding.budget, binding.breaker
        own_s = self._own_wait(outcome, retry)
        wait_s = with_pushback(outcome, own_s, self._rng)
        asked, form = outcome.pushback_s, outcome.pushback_form
        if asked is not None and form != "clamped":
            longest = (
                LONGEST_HINT_S if breaker is None else breaker.policy.max_open_for_s
            )
            if asked > longest:
                return Next("pushback")
            if form == "exact":
                self._n = 0  # gRFC A6: the exponent starts again
        if not self.fits(wait_s, deadline, now):
            return Next("deadline")
        denied = budget is not None and not budget.allows(outcome, now)
        if denied and binding.budget_acts:
            hold_s = own_s if self._facts.wait_before_failing else 0.0
            return Next("retry-budget", hold_s=hold_s)
        if self._is_hopeless(now + wait_s):
            return Next("breaker-open")
        return Next("retry", wait_s, budget_would_deny=denied)

    def _as_host_proposes(
        self,
        outcome: Outcome,
        host_wait_s: float | None,
        deadline: float | None,
        now: float,
    ) -> Next:
        """The host library proposes; time and a declared idempotency may veto."""
        if host_wait_s is None:
            return Next("host")
        is_declared = self._binding.policy.idempotency != "auto"
        if is_declared and outcome.reached != "no" and self._idempotency == "none":
            return Next("idempotency")
        if not self.fits(host_wait_s, deadline, now):
            return Next("deadline")
        return Next("host", host_wait_s)

    def fits(self, wait_s: float, deadline: float | None, now: float) -> bool:
        """Can a repeat after *wait_s* be expected to end before *deadline*?"""
        return fits(wait_s, self._binding.scope.latency.expected_s, deadline, now)

    def _is_hopeless(self, moment: float) -> bool:
        """A wait that can only end at a breaker that says no is not begun."""
        breaker = self._binding.breaker
        if breaker is None or not self._binding.breaker_acts or self._may_queue:
            return False
        return not self.may_add_load or breaker.will_refuse(moment)

    @property
    def may_add_load(self) -> bool:
        """False while a breaker ramps up, but for repeats of unprocessed work.

        And for one that has waited: it is as good as a call that comes for the first
        time, which the breaker admits or not.
        """
        binding = self._binding
        breaker = binding.breaker
        if breaker is None or not binding.breaker_acts:
            return True
        return self._free_next or self._has_queued or breaker.allows_retries

    @property
    def _may_queue(self) -> bool:
        breaker = self._binding.breaker
        return (
            breaker is not None
            and breaker.policy.when_open == "wait"
            and breaker.state != "forced-open"
        )

    def queues_until(
        self, now: float, arrived_at: float, deadline: float | None
    ) -> float | None:
        """Until when a repeat waits that may add no load now; None: it is not made."""
        breaker = self._binding.breaker
        if breaker is None or not self._may_queue:
            return None
        policy = breaker.policy
        until = now + policy.unit_s * (QUEUES_UNITS + self._rng())
        if until >= of_queue(policy, arrived_at, deadline):
            return None
        self._has_queued = True
        return until

    def _own_wait(self, outcome: Outcome, retry: RetryPolicy) -> float:
        """The policy's wait after *outcome*, without what the server asked for."""
        self._n += 1
        n, policy = self._n, retry.backoff
        rule = retry.codes.get(outcome.code)
        if rule is not None and rule.backoff is not None:
            n, policy = self._by_code[outcome.code], rule.backoff
        elif outcome.kind == "overload" and retry.overload_backoff is not None:
            policy = retry.overload_backoff
        backoff = self._backoffs.get(policy)
        if backoff is None:
            backoff = self._backoffs[policy] = Backoff(policy)
        return backoff.wait(n, self._rng)

    def pay(self, now: float) -> bool:
        """A repeat is due: take what it costs. False: the budget denies it."""
        binding, last = self._binding, self.last
        if self._free_next or binding.budget is None or last is None:
            return True
        self._pending = binding.budget.withdraw(last, now)
        if self._pending is not None or not binding.budget_acts:
            return True
        return self._facts.host_decides

    def started(self) -> None:
        """The repeat that was paid for is under way."""
        if self._free_next:
            self.free += 1
        else:
            self._cost, self._pending = self._pending, None

    def give_back(self, now: float) -> None:
        """The repeat that was paid for is not made after all."""
        budget, cost = self._binding.budget, self._pending
        if budget is not None and cost:
            budget.refund(cost, now)
        self._pending = None

    @property
    def cost(self) -> int | None:
        """What the newest repeat took from the budget; None: nothing was taken."""
        return self._cost
