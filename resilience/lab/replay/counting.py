"""What is counted of calls, once for what was recorded and once for what is played."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from resilience.core.record import AttemptEnded, CallEnded
from resilience.core.target import Target


DENIALS: Final = frozenset(
    {
        "attempts-exhausted",
        "breaker-open",
        "deadline",
        "idempotency",
        "limiter",
        "not-retryable",
        "pushback",
        "retry-budget",
        "committed",
    }
)
"""Why a failed attempt is not repeated."""
MOST_METHODS: Final = 1000
"""Pairs of target and method that are told apart; later ones are `other`."""
OTHER: Final = ("other", "other", "other")


@dataclass(slots=True)
class Count:
    """Sums over the calls of one method, or of all."""

    calls: int = 0
    ok: int = 0
    attempts: int = 0
    retries: int = 0
    """Granted and made, hedges not among them."""
    hedges: int = 0
    unsent: Counter[str] = field(default_factory=Counter)
    """Calls that were refused without an attempt, by reason."""
    denied: Counter[str] = field(default_factory=Counter)
    """Calls that failed and were not repeated further, by reason."""
    late: int = 0
    """Calls that a deadline ended."""
    ambiguous: int = 0
    elapsed_s: float = 0.0
    wait_s: float = 0.0

    def add(self, ended: CallEnded, attempts: Iterable[AttemptEnded]) -> None:
        """Count one call."""
        self.calls += 1
        self.attempts += ended.attempts
        self.hedges += ended.hedges
        self.ambiguous += ended.ambiguous
        self.elapsed_s += ended.elapsed_s
        self.wait_s += ended.wait_s
        if ended.reason == "deadline":
            self.late += 1
        if not ended.attempts:
            self.unsent[ended.reason] += 1
            return
        self.retries += max(0, ended.attempts - 1 - ended.hedges)
        if ended.outcome.kind == "ok":
            self.ok += 1
            return
        last = max(attempts, key=lambda one: one.now, default=None)
        reason = ended.reason
        if last is not None and last.decision == "fail":
            reason = last.reason
        if reason in DENIALS:
            self.denied[reason] += 1

    def merge(self, other: "Count") -> None:
        """Add what was counted elsewhere."""
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.unsent += other.unsent
        self.denied += other.denied

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        calls = self.calls or 1
        return {
            "calls": self.calls,
            "ok": self.ok,
            "failed": self.calls - self.ok,
            "attempts": self.attempts,
            "amplification": round(self.attempts / calls, 6),
            "retries": self.retries,
            "hedges": self.hedges,
            "rejected": sum(self.unsent.values()),
            "rejected_by": dict(sorted(self.unsent.items())),
            "denied": sum(self.denied.values()),
            "denied_by": dict(sorted(self.denied.items())),
            "deadlines": self.late,
            "ambiguous": self.ambiguous,
            "mean_latency_s": round(self.elapsed_s / calls, 9),
            "mean_wait_s": round(self.wait_s / calls, 9),
        }


_NUMBERS: Final = (
    "calls",
    "ok",
    "attempts",
    "retries",
    "hedges",
    "late",
    "ambiguous",
    "elapsed_s",
    "wait_s",
)


@dataclass(slots=True)
class MethodCount:
    """One method, before and after."""

    recorded: Count = field(default_factory=Count)
    replayed: Count = field(default_factory=Count)
    differences: Counter[str] = field(default_factory=Counter)


class Methods:
    """Counts by target and method, a bounded number of them."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], MethodCount] = {}

    def of(self, target: Target) -> MethodCount:
        """That of *target*'s method."""
        key: tuple[str, str, str]
        key = (target.protocol, target.name, target.full_method)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= MOST_METHODS:
                key = OTHER
            found = self._found.setdefault(key, MethodCount())
        return found

    def __iter__(self) -> Iterator[MethodCount]:
        return iter(self._found.values())

    def items(self) -> list[tuple[tuple[str, str, str], MethodCount]]:
        """All of them: protocol, target, method; by name."""
        return sorted(self._found.items(), key=lambda item: item[0])
