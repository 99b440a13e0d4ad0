"""What all calls of one target share, looked up once and kept by the adapter.

A binding is valid while its epoch is the engine's: a reload, a change of mode or an
eviction makes adapters ask for a new one. Calls in flight keep the one they began with.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .breaker import Breaker
from .budget import RetryBudget
from .kinds import MakeCall, make_other
from .policy import (
    BreakerPolicy,
    BudgetPolicy,
    CallPolicy,
    HedgingPolicy,
    LimiterPolicy,
    RetryPolicy,
)
from .record import Mode
from .scope import Scope
from .target import Target


if TYPE_CHECKING:
    from .hedging import Hedging
    from .limiter import Limiter


_Mechanism = RetryPolicy | BudgetPolicy | BreakerPolicy | HedgingPolicy | LimiterPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Policy and shared state of one target. Safe to share between threads."""

    target: Target
    policy: CallPolicy
    mode: Mode
    scope: Scope
    breaker: Breaker | None
    breaker_acts: bool
    """False: the breaker observes; its refusals are recorded, not enforced."""
    budget: RetryBudget | None
    budget_acts: bool
    retry_acts: bool
    epoch: int
    records_successes: bool = True
    """False: no sink wants the record of a call whose first attempt succeeded."""
    hedging: "Hedging | None" = None
    hedging_acts: bool = False
    """False: what would have been hedged is recorded only."""
    limiter: "Limiter | None" = None
    limiter_acts: bool = False
    """False: who would have waited or been refused is recorded only."""
    make_call: MakeCall | None = None
    """Makes its calls; None: they are plain `Call`s."""


def bind(
    target: Target,
    policy: CallPolicy,
    mode: Mode,
    scope: Scope,
    epoch: int,
    *,
    successes: bool = True,
) -> Binding:
    """The binding of *target* under *policy*, in *mode*, with the state of *scope*."""

    def acts(part: _Mechanism | None) -> bool:
        return mode == "enforce" and part is not None and part.mode == "enforce"

    breaker, budget, hedging = policy.breaker, policy.retry_budget, policy.hedging
    limiter = policy.limiter
    return Binding(
        target=target,
        policy=policy,
        mode=mode,
        scope=scope,
        breaker=None if breaker is None else scope.breaker(breaker),
        breaker_acts=acts(breaker),
        budget=None if budget is None else scope.budget(budget),
        budget_acts=acts(budget),
        retry_acts=acts(policy.retry),
        epoch=epoch,
        records_successes=successes,
        hedging=(
            None if hedging is None else scope.hedging(hedging, target.full_method)
        ),
        hedging_acts=acts(hedging),
        limiter=None if limiter is None else scope.limiter(limiter),
        limiter_acts=acts(limiter),
        make_call=(
            None
            if hedging is None and limiter is None
            else make_other(limits=limiter is not None)
        ),
    )
