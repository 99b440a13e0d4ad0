"""One scope's evidence in one process, told to the peers on the host and read of them.

The ring that calls count in stays in the process: a healthy call touches nothing that
is shared. With each tick the one before is copied into the process's row, and a bad
result at once. Whatever is read of others is checked: whose it is, of which tick, and
whether it can be true.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from resilience.core.ticks import (
    BAD,
    CLASSES,
    HEAD_CELLS,
    LENGTH,
    MASK,
    MIX,
    NO_SUMS,
    RATE,
    RATE_MEMORY_S,
    SHORT,
    SIGHT,
    TICK_CELLS,
    Cells,
    Sums,
    make_cells,
    place_of,
    total_of,
    with_room,
    worst_of,
)
from resilience.core.verdict import Verdict

from .layout import (
    ADMITTED,
    ALARM,
    CELL,
    CUT,
    FRACTION,
    HASH,
    IS_OPEN,
    JUDGED,
    MILLION,
    PAUSE,
    RING,
    SINCE,
    TEXT_AT,
    TEXT_BYTES,
    TEXT_CELLS,
    TICK_NS,
    TURNED,
    number,
)
from .member import Member, Peer


if TYPE_CHECKING:
    from .host import HostState

LAG = 1
"""Ticks until what a peer has seen is surely there; as in the simulations from which
the rule was chosen."""
_OPEN = 3
"""The newest ticks, which others may still add to, are read again each time."""
_MOST = 10_000_000
"""No process counts more in one tick: what claims so was scribbled."""
_LONGEST_PAUSE = 10_000
"""In thousandths of an attempt timeout."""


class HostRows:
    """The rings of one scope, as this process sees them. The breaker locks.

    Args:
        host: where the peers are.
        key: the scope, and what else its evidence depends on.
    """

    __slots__ = (
        "__weakref__",
        "_alarmed",
        "_bad",
        "_cache",
        "_hash",
        "_host",
        "_key",
        "_member",
        "_peers",
        "_readable",
        "_row",
        "_row_number",
        "_rows",
        "_tick",
        "_tick_s",
        "lag",
        "last_used",
        "own",
    )

    def __init__(self, host: "HostState", key: str) -> None:
        self.own: Cells = make_cells(SHORT)
        self.lag = 0
        self.last_used = 0.0
        self._host = host
        self._key = key
        self._hash = 0
        """Of the key; 0: nobody on the host has a row of it."""
        self._member: Member | None = None
        self._peers: tuple[Peer, ...] = ()
        self._rows: Sequence[memoryview] = ()
        """Of the peers."""
        self._row: memoryview | None = None
        self._row_number = 0
        self._tick = 0
        self._tick_s = 0.1
        self._alarmed = -LENGTH
        """The newest tick in which anybody had something bad to tell."""
        self._cache: dict[int, Sums] | None = None
        self._bad: dict[int, dict[int, int]] | None = None
        """Tick -> the place of a peer's row -> what that had to tell that is bad."""
        self._readable = False

    # -- with each tick ----------------------------------------------------------

    def turn(self, now: float, tick: int, tick_s: float, fraction: float) -> None:
        """*tick* begins: tell of the one before, and see who is there."""
        last, self._tick = self._tick, tick
        self._tick_s = tick_s
        self.last_used = now
        sight = SIGHT if self._alarmed < 0 else LENGTH
        self.own = with_room(self.own, tick, sight)
        member = self._host.pulse(now)
        if member is not self._member:
            self._forget(member)
        if member is None:
            return
        self._readable = member.whole_at == now or member.file.is_whole
        if not self._readable:
            return
        if member.peers is not self._peers:
            self._peers = member.peers
            found = self._number() if self._peers else 0
            self._rows = member.rows_of(found)
            self._bad = None
            if self._rows:
                self._hash = found
            self.lag = LAG if self._rows else 0
        row = self._row or self._claim_calmly(member)
        if row is not None:
            if row[HASH] == self._hash:
                self._copy(row, last)
                _say(row, tick, fraction)
            else:  # somebody scribbled
                self._row = None
                member.empty(self._row_number)
        if self._cache:
            self._prune()

    def _number(self) -> int:
        return self._hash or number(self._key.encode(errors="replace"))

    def _forget(self, member: Member | None) -> None:
        """The file, or our slot in it, is another one: nothing of the old holds."""
        self._member = member
        self._row = None
        self._peers, self._rows = (), ()
        self.lag = 0
        self._cache = self._bad = None
        self._readable = False

    def _copy(self, row: memoryview, tick: int) -> None:
        """Bring head and *tick* of the row up to date."""
        own = self.own
        place = place_of(own, tick)
        if own[place] == tick & MASK:
            at = RING + HEAD_CELLS + tick % LENGTH * TICK_CELLS
            for cell in range(1, TICK_CELLS):
                row[at + cell] = own[place + cell]
            row[at] = tick
        for cell in range(HEAD_CELLS):
            row[RING + cell] = own[cell]

    def _claim_calmly(self, member: Member) -> memoryview | None:
        return self._claim(member, urgent=False) if self._host.has_room else None

    def _claim(self, member: Member, *, urgent: bool) -> memoryview | None:
        """Get a row, and put all into it that the ring holds."""
        with self._host.lock:
            taken = member.take_row(self, urgent=urgent, now=self.last_used)
            if taken is None:
                self._host.crowded()
                return None
            try:
                row = member.begin(taken)
            except OSError as error:
                member.empty(taken)
                self._host.failed(f"no row for a scope: {error.strerror}")
                return None
            self._hash = self._number()
            row[TICK_NS] = int(self._tick_s * 1e9)
            row[TURNED] = self._tick
            row[ALARM] = -LENGTH
            row[FRACTION] = MILLION
            text = self._key.encode(errors="replace")[: TEXT_CELLS * CELL]
            row[TEXT_BYTES] = len(text)
            padded = text.ljust(TEXT_CELLS * CELL, b"\0")
            row[TEXT_AT : TEXT_AT + TEXT_CELLS] = memoryview(padded).cast("q")
            for tick in sorted(self.own[HEAD_CELLS::TICK_CELLS]):
                self._copy(row, tick)
            row[HASH] = self._hash
            member.show(taken, self._hash)
            self._row, self._row_number = row, taken
        return row

    def evicted(self) -> None:
        """The row is another scope's from now on."""
        self._row = None

    @property
    def is_calm(self) -> bool:
        """Nothing bad was told of for as long as ticks are kept."""
        return self._tick - self._alarmed > LENGTH

    def alarm(self, tick: int) -> None:
        """Tell the others that something bad was seen in *tick*."""
        self._alarmed = max(tick, self._alarmed)
        member = self._member
        if member is None or not member.file.is_whole:
            return
        row = self._row or self._claim(member, urgent=True)
        if row is not None and row[HASH] == self._hash:
            self._copy(row, tick)
            row[ALARM] = tick

    def tell(self, verdict: Verdict) -> None:
        """The others may go on from *verdict*."""
        row = self._row
        if row is not None and self._readable and row[HASH] == self._hash:
            row[JUDGED] = 0  # nobody reads a half of it
            row[ADMITTED] = int(verdict.fraction * MILLION)
            row[CUT] = verdict.cut_tick
            row[PAUSE] = int(verdict.pause * 1000)
            row[IS_OPEN] = verdict.is_open
            row[JUDGED] = verdict.judged

    # -- what the others say -----------------------------------------------------

    def told(self, since: int) -> Verdict | None:
        """The newest that another process told which had judged tick *since*."""
        newest, found = max(0, since - 1), None
        for row in self._rows if self._readable else ():
            if newest < row[JUDGED] <= self._tick and row[HASH] == self._hash:
                read = _verdict(row)
                if read is not None and newest < read.judged == row[JUDGED]:
                    newest, found = read.judged, read
        return found

    def is_shared(self) -> bool:
        """Do others keep evidence of this scope?"""
        return bool(self._rows)

    def is_alarmed(self, since: int) -> bool:
        """Did another process see something bad in the tick *since* or later?"""
        if not (self._rows and self._readable):
            return False
        newest = self._tick + LENGTH
        for row in self._rows:
            if since <= row[ALARM] <= newest and row[HASH] == self._hash:
                self._heed()
                return True
        return False

    def _heed(self) -> None:
        """The others will want to know what we have seen."""
        self._alarmed = max(self._alarmed, self._tick)
        if self._row is None and self._member is not None:
            self._claim(self._member, urgent=True)

    def total(self, tick: int) -> Sums:
        """What all live processes have seen in *tick*."""
        if not self._rows:
            return total_of((self.own,), tick)
        cache = self._cache
        if cache is None:
            cache = self._cache = {}
        found = cache.get(tick)
        if found is None:
            found = cache[tick] = self._read(tick)
        return found

    def _read(self, tick: int) -> Sums:
        own = total_of((self.own,), tick)
        if not self._readable:
            return own
        at = RING + HEAD_CELLS + tick % LENGTH * TICK_CELLS
        sums: list[int] | None = None
        if self._bad is None:
            self._bad = {}
        bad = self._bad[tick] = {}
        for place, row in enumerate(self._rows):
            if row[at] != tick or row[HASH] != self._hash:
                continue
            cells = row[at + 1 : at + TICK_CELLS].tolist()
            if min(cells) < 0 or max(cells) > _MOST:
                continue
            if sums is None:
                sums = [*own]
            for cell, value in enumerate(cells):
                sums[cell] += value
            if cells[BAD - 1]:
                bad[place] = cells[BAD - 1]
                sums[-1] = max(sums[-1], cells[BAD - 1])
        if sums is None:
            return own
        return Sums(*sums) if any(sums) else NO_SUMS

    def _prune(self) -> None:
        """Forget ticks that may still change, and those that are out of sight."""
        tick = self._tick
        self._cache = {
            seen: sums
            for seen, sums in (self._cache or {}).items()
            if tick - LENGTH < seen < tick - _OPEN
        }
        self._bad = {
            seen: bad for seen, bad in (self._bad or {}).items() if seen in self._cache
        }

    def worst(self, oldest: int, newest: int) -> int:
        """Bad results, in all of these ticks, of the one process that has most."""
        own = worst_of((self.own,), oldest, newest)
        unknown, sums = 0, {-1: own}
        for tick in range(oldest, newest + 1):
            total = self.total(tick)
            bad = None if self._bad is None else self._bad.get(tick)
            if bad is None:  # peers came or went since it was read
                unknown += total.worst
                continue
            for place, count in bad.items():
                sums[place] = sums.get(place, 0) + count
        return unknown + max(sums.values())

    def rate(self) -> float:
        """Calls per second that all live processes offer together."""
        rate = self.own[RATE]
        if self._readable:
            oldest = self._tick - int(RATE_MEMORY_S / self._tick_s)
            for row in self._rows:
                said = row[RING + RATE]
                if row[TURNED] >= oldest and 0 <= said <= _MOST * 1000:
                    rate += said if row[HASH] == self._hash else 0
        return rate / 1000

    def mix(self) -> Sequence[int]:
        """Calls of each class of criticality that all live processes have seen."""
        mix = [self.own[MIX + place] for place in range(CLASSES)]
        if self._readable:
            for row in self._rows:
                said = row[RING + MIX : RING + MIX + CLASSES].tolist()
                if row[HASH] == self._hash and min(said) >= 0 and max(said) <= _MOST:
                    mix = [
                        ours + theirs for ours, theirs in zip(mix, said, strict=True)
                    ]
        return mix


def _verdict(row: memoryview) -> Verdict | None:
    """What *row* tells; None: it cannot be true."""
    judged, admitted, cut, pause, is_open = row[JUDGED : IS_OPEN + 1].tolist()
    if not (0 <= admitted <= MILLION and cut <= judged + LENGTH):
        return None
    if not 0 <= pause <= _LONGEST_PAUSE:
        return None
    return Verdict(judged, admitted / MILLION, cut, pause / 1000, bool(is_open))


def _say(row: memoryview, tick: int, fraction: float) -> None:
    """In *tick*, which begins, *fraction* of the calls may pass."""
    row[TURNED] = tick
    row[FRACTION] = int(fraction * MILLION)
    if fraction < 1:
        row[SINCE] = row[SINCE] or tick
    else:
        row[SINCE] = 0
