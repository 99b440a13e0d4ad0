"""Which breakers are not closed, told from their changes alone.

Kept by scope label and state, bounded: the gauge shows the newest few and sums the
rest. A breaker whose scope was evicted while it was open stays until it is pushed out.
"""

import threading
from typing import NamedTuple

from resilience.core.record import BreakerChanged

from . import names
from .labels import scope_label


SHOWN = 20
"""Scopes that the gauge names; the others are summed up as `other`."""
KEPT = 1000
"""Scope labels that are remembered, the least recently changed go first."""


class Count(NamedTuple):
    """Breakers of one scope label in one state."""

    scope: str
    state: str
    breakers: int


class BreakerStates:
    """Counts of breakers that are not closed. Safe to share between threads."""

    __slots__ = ("_lock", "_scopes")

    def __init__(self) -> None:
        self._scopes: dict[str, dict[str, int]] = {}
        self.renew()

    def renew(self) -> None:
        """Make the lock new, after a fork."""
        self._lock = threading.Lock()

    def changed(self, change: BreakerChanged) -> None:
        """A breaker moved."""
        label = scope_label(change.scope)
        with self._lock:
            states = self._scopes.pop(label, {})
            left = states.get(change.old, 0)
            if left > 1:
                states[change.old] = left - 1
            else:
                states.pop(change.old, None)
            if change.new != "closed":
                states[change.new] = states.get(change.new, 0) + 1
            if states:
                # Put in again, as the newest.
                self._scopes[label] = states
            if len(self._scopes) > KEPT:
                del self._scopes[next(iter(self._scopes))]

    def counts(self) -> list[Count]:
        """What the gauge shows, the newest change first."""
        with self._lock:
            newest = [(scope, dict(states)) for scope, states in self._scopes.items()]
        newest.reverse()
        shown = [
            Count(scope, state, breakers)
            for scope, states in newest[:SHOWN]
            for state, breakers in states.items()
        ]
        others: dict[str, int] = {}
        for _, states in newest[SHOWN:]:
            for state, breakers in states.items():
                others[state] = others.get(state, 0) + breakers
        rest = [
            Count(names.OTHER, state, breakers) for state, breakers in others.items()
        ]
        return shown + rest
