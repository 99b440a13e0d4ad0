"""Evidence about one scope, in ticks: what was offered, and what came of it.

A process writes one ring of int64 cells; its peers on the host read it. Nobody waits
for anybody: a reader that meets a half-written tick is wrong by a few results for one
tick, and by nothing afterwards.
"""

from array import array
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple, Protocol, TypeAlias

from .verdict import Verdict


TICKS_PER_UNIT = 10
RATE_MEMORY_S = 10.0
"""The offered rate is an average over about this long."""
SHORTEST_TICK_S, LONGEST_TICK_S = 0.05, 0.5
LENGTH = 56
"""Ticks kept; more than five attempt timeouts of the usual length."""
SIGHT = 16
"""Ticks that are surely kept while nothing bad is seen: more than a cut looks at where
calls are frequent. Where they are rare, the first bad result finds less before it."""
SHORT = 4
"""Ticks in a new ring, to be light. It grows when one that is in sight would have to
give way, so that a scope that is called rarely stays as small as it is."""
OFFERED, OK, BAD, FRESH_OK, FRESH_BAD, FRESH_SLOW, SENT = range(1, 8)
"""Places inside one tick; place 0 holds the tick's number."""
TICK_CELLS = 8
RATE = 0
"""The place of the process's own offered rate, in calls per 1000 s."""
MIX = 1
"""The place of the first of `CLASSES` counters of calls by criticality."""
CLASSES = 4
HEAD_CELLS = MIX + CLASSES
CELLS = HEAD_CELLS + LENGTH * TICK_CELLS

Cells: TypeAlias = "memoryview | array[int]"
"""`HEAD_CELLS`, then some ticks, `SHORT` to `LENGTH`: int32 in the process, for there
may be ten thousand scopes, int64 where processes share them."""
MASK = 2**31 - 1
"""What is kept of a tick's number: the rest says nothing among so few ticks."""


class Sums(NamedTuple):
    """What was seen over some ticks, by one process or by all of a host."""

    offered: int = 0
    ok: int = 0
    bad: int = 0
    fresh_ok: int = 0
    """Fresh: of attempts that were sent since the last cut."""
    fresh_bad: int = 0
    fresh_slow: int = 0
    """Fresh ones that tell of load: slow answers, and refusals for want of room."""
    sent: int = 0
    """Attempts that began while not all could."""
    worst: int = 0
    """Bad results of the one process that had most, tick by tick; `Rows.worst` knows
    better where there are several ticks."""

    @property
    def results(self) -> int:
        """Attempts that ended with something to say."""
        return self.ok + self.bad

    @property
    def quick(self) -> bool:
        """Are there answers beyond as many as tell of load?"""
        return self.ok > self.fresh_slow

    @property
    def fresh(self) -> int:
        """Of these, attempts that were sent since the last cut."""
        return self.fresh_ok + self.fresh_bad


NO_SUMS = Sums()


class Rows(Protocol):
    """The rings of one scope, as one process sees them."""

    own: Cells
    """This process's; only the breaker writes it. Another one after `turn`, perhaps,
    with all that this one holds."""
    lag: int
    """A tick this much older than the newest completed one is the same for all."""

    def total(self, tick: int) -> Sums:
        """What all live processes have seen in *tick*, which is *lag* old."""
        ...

    def worst(self, oldest: int, newest: int) -> int:
        """Bad results, in all of these ticks, of the one process that has most."""
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

    def turn(self, now: float, tick: int, tick_s: float, fraction: float) -> None:
        """*tick*, of *tick_s*, begins; *fraction* of calls may pass until the next."""
        ...

    def alarm(self, tick: int) -> None:
        """Tell the others that something bad was seen in *tick*."""
        ...

    def is_alarmed(self, since: int) -> bool:
        """Did another process see something bad in the tick *since* or later?"""
        ...

    def tell(self, verdict: Verdict) -> None:
        """The others may go on from *verdict*."""
        ...

    def told(self, since: int) -> Verdict | None:
        """The newest that another process told which had judged tick *since*."""
        ...


class OwnRows:
    """The ring of a process that is alone."""

    __slots__ = ("_sight", "lag", "own")

    def __init__(self) -> None:
        self.own: Cells = make_cells(SHORT)
        self.lag = 0
        self._sight = SIGHT

    def total(self, tick: int) -> Sums:
        """What this process has seen in *tick*."""
        return total_of((self.own,), tick)

    def worst(self, oldest: int, newest: int) -> int:
        """This process's."""
        return worst_of((self.own,), oldest, newest)

    def rate(self) -> float:
        """Calls per second that this process offers."""
        return self.own[RATE] / 1000

    def mix(self) -> Sequence[int]:
        """Calls of each class of criticality that this process has seen."""
        return self.own[MIX : MIX + CLASSES].tolist()

    def is_shared(self) -> bool:
        """No."""
        return False

    def turn(self, now: float, tick: int, tick_s: float, fraction: float) -> None:  # noqa: ARG002 - nobody listens
        """*tick* begins."""
        self.own = with_room(self.own, tick, self._sight)

    def alarm(self, tick: int) -> None:  # noqa: ARG002 - nobody listens
        """From now on more is kept."""
        self._sight = LENGTH

    def is_alarmed(self, since: int) -> bool:  # noqa: ARG002 - nobody else is there
        """No."""
        return False

    def tell(self, verdict: Verdict) -> None:
        """Nobody listens."""

    def told(self, since: int) -> Verdict | None:  # noqa: ARG002 - as above
        """None."""
        return None


@cache
def tick_s_of(unit_s: float) -> float:
    """The length of a tick, in seconds, where an attempt may take *unit_s*."""
    return min(max(unit_s / TICKS_PER_UNIT, SHORTEST_TICK_S), LONGEST_TICK_S)


def smoothed(rate: float, offered: int, ticks: int, tick_s: float) -> float:
    """*rate*, per second, after a tick with *offered* calls that began *ticks* ago."""
    weight = tick_s / RATE_MEMORY_S
    rate += (offered / tick_s - rate) * weight
    return rate * (1 - weight) ** min(ticks - 1, 1000)


def make_cells(ticks: int = LENGTH) -> Cells:
    """Cells of this process alone, all 0."""
    return array("i", bytes((HEAD_CELLS + ticks * TICK_CELLS) * 4))


def with_room(cells: Cells, tick: int, sight: int) -> Cells:
    """*cells*, or a larger ring where *tick* would replace one of the last *sight*."""
    while len(cells) < CELLS:
        kept = cells[place_of(cells, tick)]
        if not (kept and 0 < (tick & MASK) - kept < sight):
            break
        cells = _doubled(cells)
    return cells


def _doubled(cells: Cells) -> Cells:
    """The same in a ring of twice as many ticks, `LENGTH` at most."""
    made = make_cells(min(LENGTH, 2 * ((len(cells) - HEAD_CELLS) // TICK_CELLS)))
    for place in range(HEAD_CELLS):
        made[place] = cells[place]
    for place in range(HEAD_CELLS, len(cells), TICK_CELLS):
        at = place_of(made, cells[place])
        if cells[place] > made[at]:  # what is out of sight may be in one's way
            for cell in range(TICK_CELLS):
                made[at + cell] = cells[place + cell]
    return made


def begin(cells: Cells, tick: int) -> int:
    """Empty the place of *tick*, which begins, and return the place."""
    place = place_of(cells, tick)
    for cell in range(place + 1, place + TICK_CELLS):
        cells[cell] = 0
    cells[place] = tick & MASK
    return place


def total_of(rings: Sequence[Cells], tick: int) -> Sums:
    """What *rings* hold of *tick*."""
    sums = [0] * TICK_CELLS
    for cells in rings:
        place = place_of(cells, tick)
        if cells[place] == tick & MASK:
            bad = cells[place + BAD]
            sums[-1] = max(bad, sums[-1])
            for cell in range(TICK_CELLS - 1):
                sums[cell] += cells[place + 1 + cell]
    return Sums(*sums)


def worst_of(rings: Sequence[Cells], oldest: int, newest: int) -> int:
    """Bad results from *oldest* to *newest* of the one of *rings* that has most."""
    return max(
        sum(
            cells[place + BAD]
            for tick in range(oldest, newest + 1)
            if cells[place := place_of(cells, tick)] == tick & MASK
        )
        for cells in rings
    )


def total_alone(cells: Cells, tick: int) -> Sums:
    """What the only process that counts has seen of *tick*: nobody is the worst."""
    return total_of((cells,), tick)._replace(worst=0)


def look_back(
    total: Callable[[int], Sums],
    newest: int,
    oldest: int,
    *,
    ticks: int,
    enough: Callable[[Sums], bool],
) -> tuple[Sums, int]:
    """Sum *total* of ticks from *newest* back, at least *ticks* of them.

    It goes further back until there is *enough*, but never beyond *oldest*. What it has
    summed, and the last tick that it looked at.
    """
    sums, tick = NO_SUMS, newest
    for seen, tick in enumerate(range(newest, oldest - 1, -1), 1):
        found = total(tick)
        if any(found):
            sums = Sums(*map(int.__add__, sums, found))
        if seen >= ticks and enough(sums):
            break
    return sums, tick


def place_of(cells: Cells, tick: int) -> int:
    """Where *tick* is kept, or was before a newer one took its place."""
    ticks = (len(cells) - HEAD_CELLS) // TICK_CELLS
    return HEAD_CELLS + tick % ticks * TICK_CELLS
