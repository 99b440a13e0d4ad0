"""Evidence about one scope, in ticks: what was offered, and what came of it.

A process writes one ring of int64 cells; its peers on the host read it. Nobody waits
for anybody: a reader that meets a half-written tick is wrong by a few results for one
tick, and by nothing afterwards.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol


LENGTH = 64
"""Ticks kept; more than five attempt timeouts of the usual length."""
OFFERED, OK, BAD, FRESH_OK, FRESH_BAD, FRESH_SLOW = range(1, 7)
"""Places inside one tick; place 0 holds the tick's number."""
TICK_CELLS = 7
RATE = 0
"""The place of the process's own offered rate, in calls per 1000 s."""
MIX = 1
"""The place of the first of `CLASSES` counters of calls by criticality."""
CLASSES = 4
HEAD_CELLS = MIX + CLASSES
CELLS = HEAD_CELLS + LENGTH * TICK_CELLS

Cells = memoryview
"""Cells of int64 (format `q`), `CELLS` of them."""


class Sums(NamedTuple):
    """What was seen over some ticks, by one process or by all of a host."""

    offered: int = 0
    ok: int = 0
    bad: int = 0
    fresh_ok: int = 0
    """Fresh: of attempts that were sent since the last cut."""
    fresh_bad: int = 0
    fresh_slow: int = 0
    """Of the fresh and ok ones."""
    worst: int = 0
    """Bad results of the one process that had most, tick by tick."""

    @property
    def results(self) -> int:
        """Attempts that ended with something to say."""
        return self.ok + self.bad

    @property
    def fresh(self) -> int:
        """Of these, attempts that were sent since the last cut."""
        return self.fresh_ok + self.fresh_bad


NO_SUMS = Sums()


class Rows(Protocol):
    """The rings of one scope, as one process sees them."""

    own: Cells
    """This process's; only the breaker writes it."""
    lag: int
    """A tick this much older than the newest completed one is the same for all."""

    def total(self, tick: int) -> Sums:
        """What all live processes have seen in *tick*, which is *lag* old."""
        ...

    def rate(self) -> float:
        """Calls per second that all live processes offer together."""
        ...

    def mix(self) -> Sequence[int]:
        """Calls of each class of criticality that all live processes have seen."""
        ...

    def is_shared(self) -> bool:
        """Are there other live processes?"""
        ...

    def alarm(self, tick: int) -> None:
        """Tell the others that something bad was seen in *tick*."""
        ...

    def is_alarmed(self, since: int) -> bool:
        """Did another process see something bad in the tick *since* or later?"""
        ...


class OwnRows:
    """The ring of a process that is alone."""

    __slots__ = ("lag", "own")

    def __init__(self, cells: Cells | None = None) -> None:
        self.own = make_cells() if cells is None else cells
        self.lag = 0

    def total(self, tick: int) -> Sums:
        """What this process has seen in *tick*."""
        return total_of((self.own,), tick)

    def rate(self) -> float:
        """Calls per second that this process offers."""
        return self.own[RATE] / 1000

    def mix(self) -> Sequence[int]:
        """Calls of each class of criticality that this process has seen."""
        return self.own[MIX : MIX + CLASSES].tolist()

    def is_shared(self) -> bool:
        """No."""
        return False

    def alarm(self, tick: int) -> None:
        """Nobody listens."""

    def is_alarmed(self, since: int) -> bool:  # noqa: ARG002 - nobody else is there
        """No."""
        return False


def make_cells() -> Cells:
    """Cells of this process alone."""
    return memoryview(bytearray(CELLS * 8)).cast("q")


def begin(cells: Cells, tick: int) -> int:
    """Empty the place of *tick*, which begins, and return the place."""
    place = _place_of(tick)
    for cell in range(place + 1, place + TICK_CELLS):
        cells[cell] = 0
    cells[place] = tick
    return place


def total_of(rings: Sequence[Cells], tick: int) -> Sums:
    """What *rings* hold of *tick*."""
    place = _place_of(tick)
    sums = [0] * 7
    for cells in rings:
        if cells[place] == tick:
            bad = cells[place + BAD]
            sums[6] = max(bad, sums[6])
            for cell in range(6):
                sums[cell] += cells[place + 1 + cell]
    return Sums(*sums)


def look_back(
    total: Callable[[int], Sums],
    newest: int,
    oldest: int,
    *,
    ticks: int,
    enough: Callable[[Sums], bool],
) -> Sums:
    """Sum *total* of ticks from *newest* back, at least *ticks* of them.

    It goes further back until there is *enough*, but never beyond *oldest*.
    """
    sums = NO_SUMS
    for seen, tick in enumerate(range(newest, oldest - 1, -1), 1):
        found = total(tick)
        if any(found):
            sums = Sums(*map(int.__add__, sums, found))
        if seen >= ticks and enough(sums):
            break
    return sums


def _place_of(tick: int) -> int:
    return HEAD_CELLS + tick % LENGTH * TICK_CELLS
