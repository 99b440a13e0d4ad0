"""Which state is shared: a bounded registry of scopes, least recently used out.

A scope is a name (`grpc:target=cart`). Under one name each set of parameters has its
own state, so methods that tune a breaker differently do not fight over one, and state
survives a reload unless its own parameters changed. Safe to share between threads;
looked at when a binding is made, not on each call.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from .admission import RULE
from .breaker import Breaker
from .budget import RetryBudget, make_budget
from .latency import Latency
from .policy import BreakerPolicy, BudgetPolicy, HedgingPolicy, LimiterPolicy
from .shared_budget import SharedBudget, pool_key
from .target import Target
from .ticks import OwnRows, Rows


if TYPE_CHECKING:
    from .hedging import Hedging, Hedgings
    from .limiter import Limiter

LONG_AGO = float("-inf")
EVICT_SHARE = 16
"""One of this many is evicted at once, so that finding them is paid rarely."""


MakeRows = Callable[[str], Rows]
"""Gives the evidence of the scope of that name."""


def own_rows(key: str) -> Rows:  # noqa: ARG001 - each scope has rows of its own
    """Evidence that no other process sees."""
    return OwnRows()


class Scope:
    """The state that calls of one scope share."""

    __slots__ = (
        "_rows",
        "breakers",
        "budgets",
        "hedgings",
        "key",
        "last_used",
        "latency",
        "limiters",
        "tells_until",
    )

    def __init__(
        self,
        key: str,
        now: float,
        rows: MakeRows = own_rows,
    ) -> None:
        self.key = key
        self._rows = rows
        # Lists, for there may be ten thousand scopes and a map weighs thrice as much.
        self.breakers: list[Breaker] = []
        self.budgets: list[RetryBudget] = []
        self.hedgings: Hedgings | None = None
        """None: nothing is hedged here."""
        self.limiters: dict[LimiterPolicy, Limiter] | None = None
        """None: nothing is limited here."""
        self.latency = Latency()
        self.last_used = now
        """Written by each call; a lost update costs nothing."""
        self.tells_until = LONG_AGO
        """Until then calls tell their levels: a layer below has shed one of them."""

    def breaker(self, policy: BreakerPolicy) -> Breaker:
        """The breaker of these parameters; the mode is not one of them."""
        policy = _enforced(policy)
        for found in self.breakers:
            if found.policy == policy:
                return found
        return _first_of(self.breakers, self._make(policy))

    def _make(self, policy: BreakerPolicy) -> Breaker:
        # Whoever has one kind mostly does without the other.
        if policy.kind == "adaptive":
            from .adaptive import AdaptiveBreaker

            rows = self._rows(evidence_key(self.key, policy))
            return AdaptiveBreaker(policy, self.key, rows)
        from .classic import ClassicBreaker

        return ClassicBreaker(policy, self.key)

    @property
    def all_limiters(self) -> "list[Limiter]":
        """Those that are there."""
        return [*(self.limiters or {}).values()]

    def budget(self, policy: BudgetPolicy) -> RetryBudget:
        """The retry budget of these parameters; the mode is not one of them."""
        policy = _enforced(policy)
        for found in self.budgets:
            if found.policy == policy:
                return found
        return _first_of(self.budgets, self._pool(policy))

    def _pool(self, policy: BudgetPolicy) -> RetryBudget:
        """The host's where there is one: tokens and quotas are their owners' own."""
        if policy.kind == "ratio":
            rows = self._rows(pool_key(self.key, policy))
            if not isinstance(rows, OwnRows):
                return SharedBudget(policy, rows)
        return make_budget(policy)

    def hedging(self, policy: HedgingPolicy, method: str) -> "Hedging":
        """What calls of *method* under these parameters share for hedging."""
        if self.hedgings is None:
            from .hedging import Hedgings  # most processes do without

            self.hedgings = Hedgings()
        return self.hedgings.of(replace(policy, mode="enforce"), method)

    def limiter(self, policy: LimiterPolicy) -> "Limiter":
        """The limiter of these parameters; the mode is not one of them."""
        from .limiter import Limiter  # most processes do without

        if self.limiters is None:
            self.limiters = {}
        policy = _enforced(policy)
        found = self.limiters.get(policy)
        return found or self.limiters.setdefault(policy, Limiter(policy, self.key))

    def renew(self) -> None:
        """Make all locks new, after a fork."""
        if self.hedgings is not None:
            self.hedgings.renew()
        for limiter in self.all_limiters:
            limiter.renew()
        for breaker in self.breakers:
            breaker.renew()
        for budget in self.budgets:
            budget.renew()


_State = TypeVar("_State", Breaker, RetryBudget)


def _first_of(kept: list[_State], made: _State) -> _State:
    """Put *made* in; what another thread has put in before it, of one policy, wins."""
    kept.append(made)
    first = next(each for each in kept if each.policy == made.policy)
    if first is not made:
        kept.remove(made)
    return first


_Policy = TypeVar("_Policy", BreakerPolicy, BudgetPolicy, LimiterPolicy)


def _enforced(policy: _Policy) -> _Policy:
    return policy if policy.mode == "enforce" else replace(policy, mode="enforce")


def scope_key(target: Target, dimensions: tuple[str, ...]) -> str:
    """The name of a scope: protocol, then each dimension with its value."""
    parts = [f"{name}={target.dimension(name)}" for name in dimensions]
    return f"{target.protocol}:{','.join(parts)}"


def evidence_key(scope: str, policy: BreakerPolicy) -> str:
    """What processes call the evidence that they share about *scope*.

    The length of ticks and what counts as good are part of it.
    """
    rule, name = policy.rule, f"{scope} @{policy.unit_s:g}s"
    if policy.slow_call_s is not None:
        name += f",slow={policy.slow_call_s:g}s"
    if (rule.answered_within, rule.slow_beyond) != (
        RULE.answered_within,
        RULE.slow_beyond,
    ):
        name += f",good={rule.answered_within:g}/{rule.slow_beyond:g}"
    return name


class Scopes:
    """All scopes of an engine."""

    def __init__(
        self,
        max_scopes: int = 10_000,
        on_evict: Callable[[], object] = lambda: None,
        rows: MakeRows = own_rows,
    ) -> None:
        self._rows = rows
        self._scopes: dict[str, Scope] = {}
        self._max = max_scopes
        self._on_evict = on_evict
        self._lock = threading.Lock()
        self.evicted = 0

    def renew(self) -> None:
        """Make all locks new, after a fork."""
        self._lock = threading.Lock()
        for scope in self._scopes.values():
            scope.renew()

    def get(self, key: str, now: float) -> Scope:
        """The scope called *key*, made when it is not there yet."""
        with self._lock:
            scope = self._scopes.get(key)
            if scope is None:
                evicted = self._make_room_locked()
                scope = self._scopes[key] = Scope(key, now, self._rows)
            else:
                evicted = False
            scope.last_used = now
        if evicted:
            self._on_evict()
        return scope

    def _make_room_locked(self) -> bool:
        if len(self._scopes) < self._max:
            return False
        oldest = sorted(self._scopes.values(), key=lambda scope: scope.last_used)
        for scope in oldest[: max(1, self._max // EVICT_SHARE)]:
            del self._scopes[scope.key]
            self.evicted += 1
        return True

    def forget_evidence(self) -> None:
        """Make anew what shares evidence: it shares it with others now."""
        for scope in self:
            scope.breakers = [b for b in scope.breakers if b.policy.kind != "adaptive"]
            scope.budgets = [b for b in scope.budgets if b.policy.kind != "ratio"]

    def find(self, key: str) -> Scope | None:
        """The scope called *key*, if it is there."""
        return self._scopes.get(key)

    def snapshot(self, now: float) -> list[dict[str, object]]:
        """Every scope with its evidence, by name, as data ready for JSON."""
        return [
            {
                "scope": scope.key,
                "idle_s": round(max(0.0, now - scope.last_used), 3),
                "expected_latency_s": round(scope.latency.expected_s, 6),
                "breakers": [b.snapshot(now) for b in [*scope.breakers]],
                "retry_budget": [round(b.balance(now), 3) for b in [*scope.budgets]],
                "hedging": scope.hedgings.snapshot(now) if scope.hedgings else [],
                "limiters": [one.snapshot() for one in scope.all_limiters],
            }
            for scope in sorted(self, key=lambda scope: scope.key)
        ]

    def __iter__(self) -> Iterator[Scope]:
        with self._lock:
            return iter([*self._scopes.values()])

    def __len__(self) -> int:
        return len(self._scopes)
