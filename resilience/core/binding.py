"""What all calls of one target share, looked up once and kept by the adapter.

A binding is valid while its epoch is the engine's: a reload, a change of mode or an
eviction makes adapters ask for a new one. Calls in flight keep the one they began with.
"""

from dataclasses import dataclass

from .breaker import Breaker
from .budget import RetryBudget
from .policy import CallPolicy
from .record import Mode
from .scope import Scope
from .target import Target


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
