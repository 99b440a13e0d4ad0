"""One machine: processes that see each other's evidence, some time later.

Stands in for the host's state file, in simulations and in replays. What it leaves out
is what a file costs: reading is free here, and what is read is whole.
"""

import math
from collections.abc import Callable, Sequence

from resilience.core.ticks import (
    CLASSES,
    MIX,
    RATE,
    Cells,
    Rows,
    Sums,
    make_cells,
    total_of,
    worst_of,
)
from resilience.core.verdict import Verdict


READ_EVERY_S = 0.1
"""Rates and mixes are read again after this."""
_KEPT = 256


class Host:
    """The evidence of all processes of one machine. Owned by one run.

    Args:
        lag_s: after this, peers see what a process has seen.
        tick_s: length of a breaker's tick; the lag is whole ticks.
        seconds: virtual time.
    """

    def __init__(
        self, lag_s: float, tick_s: float, seconds: Callable[[], float]
    ) -> None:
        self.lag = math.ceil(lag_s / tick_s - 1e-9)
        self.seconds = seconds
        self.processes = 0
        """How many live here."""
        self._scopes: dict[str, SharedScope] = {}

    def process(self) -> Callable[[str], Rows]:
        """A further process: what its engine makes the rows of a scope with."""
        self.processes += 1
        return self._rows

    def _rows(self, key: str) -> Rows:
        scope = self._scopes.get(key)
        if scope is None:
            scope = self._scopes[key] = SharedScope(self)
        return SharedRows(scope)


class SharedScope:
    """One scope on one machine: a ring for each process that asked for it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.rings: list[Cells] = []
        self.alarmed = -1
        """The newest tick in which anybody saw something bad."""
        self._told: dict[int, Verdict] = {}
        """What was told, by when: the newest last."""
        self._totals: dict[int, Sums] = {}
        self._worst: tuple[int, int, int] = (0, 0, 0)
        self._read_at = -1
        self._rate = 0.0
        self._mix: list[int] = [0] * CLASSES

    def total(self, tick: int) -> Sums:
        """What all have seen in *tick*: once it is *lag* old it changes no more."""
        found = self._totals.get(tick)
        if found is None:
            if len(self._totals) >= _KEPT:
                self._totals.clear()
            found = self._totals[tick] = total_of(self.rings, tick)
        return found

    def worst(self, oldest: int, newest: int) -> int:
        """What fails in these ticks for the process for which most does."""
        known = self._worst
        if known[:2] != (oldest, newest):
            found = worst_of(self.rings, oldest, newest)
            known = self._worst = oldest, newest, found
        return known[2]

    def tell(self, tick: int, verdict: Verdict) -> None:
        """Somebody tells *verdict* in *tick*."""
        told = self._told
        told.setdefault(tick, verdict)
        while len(told) > self.host.lag + 2:
            del told[next(iter(told))]

    def told(self, by: int, since: int) -> Verdict | None:
        """The newest that was told in tick *by* or before, of one that saw *since*."""
        ticks = [tick for tick in self._told if tick <= by]
        found = self._told[max(ticks)] if ticks else None
        return found if found is not None and found.judged >= since else None

    def rate(self) -> float:
        """Calls per second that all offer."""
        self._read()
        return self._rate

    def mix(self) -> list[int]:
        """Calls of each class that all have seen."""
        self._read()
        return self._mix

    def _read(self) -> None:
        now = int(self.host.seconds() / READ_EVERY_S)
        if now == self._read_at:
            return
        self._read_at = now
        self._rate = sum(ring[RATE] for ring in self.rings) / 1000
        self._mix = [sum(ring[MIX + n] for ring in self.rings) for n in range(CLASSES)]


class SharedRows:
    """What one process sees of a scope; the form that the engine asks for."""

    __slots__ = ("_scope", "_tick", "lag", "own")

    def __init__(self, scope: SharedScope) -> None:
        self._scope = scope
        self._tick = 0
        self.lag = scope.host.lag
        self.own = make_cells()
        scope.rings.append(self.own)

    def total(self, tick: int) -> Sums:
        """What all have seen in *tick*."""
        return self._scope.total(tick)

    def worst(self, oldest: int, newest: int) -> int:
        """What fails in these ticks for the process for which most does."""
        return self._scope.worst(oldest, newest)

    def rate(self) -> float:
        """Calls per second that all offer."""
        return self._scope.rate()

    def mix(self) -> Sequence[int]:
        """Calls of each class that all have seen."""
        return self._scope.mix()

    def is_shared(self) -> bool:
        """Are there other processes?"""
        return self._scope.host.processes > 1

    def turn(self, now: float, tick: int, tick_s: float, fraction: float) -> None:  # noqa: ARG002 - all is read of the rings
        """*tick* begins."""
        self._tick = tick

    def alarm(self, tick: int) -> None:
        """Tell the others that something bad was seen in *tick*."""
        self._scope.alarmed = max(self._scope.alarmed, tick)

    def is_alarmed(self, since: int) -> bool:
        """Did anybody see something bad in *since* or later?"""
        return self._scope.alarmed >= since

    def tell(self, verdict: Verdict) -> None:
        """The others may go on from *verdict*, when they see it."""
        self._scope.tell(self._tick, verdict)

    def told(self, since: int) -> Verdict | None:
        """The newest that can be seen by now."""
        return self._scope.told(self._tick - self.lag, since)
