"""A look at the host's file from outside, by one who takes no part.

It reads copies, never the mapping, so that nothing done to the file can end it. Names
come from other processes: they are cut, and whoever shows them escapes them.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

from resilience.core.ticks import (
    BAD,
    CELLS,
    LENGTH,
    OFFERED,
    OK,
    RATE,
    Cells,
    place_of,
)

from . import layout
from .file import is_good
from .layout import CELL
from .layout import HEAD_CELLS as SLOT_CELLS
from .member import STALE_NS
from .place import UnusableError, file_name, open_file, open_folder


_MOST = 10_000_000
_LONGEST_TICK_NS = 10**10


class SeenRow(NamedTuple):
    """What one live process tells of one scope."""

    slot: int
    pid: int
    """For people: it may be another namespace's."""
    scope: str
    fraction: float
    """Of calls that may pass: 0.0 to 1.0."""
    rate: float
    """Calls per second that it offers, an average over about 10 s."""
    offered: int
    ok: int
    bad: int
    """Calls and results of the newest complete ticks."""
    seconds: float
    """How much time these are."""
    idle_s: float
    """Since it last looked at the scope."""
    since_s: float | None
    """For how long not all calls may pass there; None: all may, or it does not tell."""
    bad_s: float | None
    """Since its newest bad result; None: it tells of none."""


class Seen(NamedTuple):
    """What is there under one name."""

    name: str
    processes: int
    """That live."""
    rows: tuple[SeenRow, ...]


def names() -> list[str]:
    """Policies for which this user has a file on this host, by name."""
    try:
        _, folder = open_folder(make=False)
    except UnusableError:
        return []
    try:
        ending = file_name("")
        found = [
            name.removesuffix(ending)
            for name in os.listdir(folder)  # noqa: PTH208 - the one that was checked
            if name.endswith(ending) and not name.startswith(".")
        ]
    finally:
        os.close(folder)
    return sorted(found)


def peek(policy: str, now: float, seconds: float = 3.0) -> Seen | None:
    """What the live processes of *policy* tell; None: there is no such file.

    Args:
        policy: its name.
        now: monotonic seconds.
        seconds: over how many results are added up.
    """
    try:
        _, folder = open_folder(make=False)
    except UnusableError:
        return None
    try:
        descriptor = open_file(folder, file_name(policy))
    except (OSError, UnusableError):
        return None
    finally:
        os.close(folder)
    try:
        if not is_good(descriptor):
            return None
        return _seen(descriptor, policy, now, seconds)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _seen(descriptor: int, policy: str, now: float, seconds: float) -> Seen:
    heads = _read(descriptor, layout.HEADS_AT, layout.SLOTS * SLOT_CELLS)
    now_ns = int(now * 1e9)
    live = [
        slot
        for slot in range(layout.SLOTS)
        if abs(now_ns - heads[slot * SLOT_CELLS + layout.BEAT]) <= STALE_NS
    ]
    rows: list[SeenRow] = []
    for slot in live:
        pid = heads[slot * SLOT_CELLS + layout.PID]
        table = _read(descriptor, layout.table_at(slot), layout.ROWS)
        for row, key in enumerate(table):
            if key:
                at = layout.row_at(slot, row)
                cells = _read(descriptor, at, layout.ROW_CELLS)
                if cells[layout.HASH] == key:
                    rows += _row(cells, slot, pid, now, seconds)
    return Seen(policy, len(live), tuple(rows))


def _read(descriptor: int, first: int, cells: int) -> memoryview:
    data = os.pread(descriptor, cells * CELL, first * CELL)
    return memoryview(data.ljust(cells * CELL, b"\0")).cast("q")


def _row(
    cells: memoryview, slot: int, pid: int, now: float, seconds: float
) -> Iterator[SeenRow]:
    tick_ns, size = cells[layout.TICK_NS], cells[layout.TEXT_BYTES]
    text = bytes(cells[layout.TEXT_AT : layout.TEXT_AT + layout.TEXT_CELLS])
    most = layout.TEXT_CELLS * CELL
    if not (0 < tick_ns < _LONGEST_TICK_NS and 0 <= size <= most):
        return
    tick_s = tick_ns / 1e9
    newest = int(now / tick_s) - 1
    ring = cells[layout.RING : layout.RING + CELLS]
    ticks = min(LENGTH - 2, max(1, round(seconds / tick_s)))
    sums = _sums(ring, range(newest - ticks + 1, newest + 1))
    rate = ring[RATE] / 1000
    idle_s = max(0.0, now - (cells[layout.TURNED] + 1) * tick_s)
    yield SeenRow(
        slot=slot,
        pid=pid,
        scope=text[:size].decode(errors="replace"),
        fraction=min(1.0, max(0.0, cells[layout.FRACTION] / layout.MILLION)),
        rate=rate if 0 <= rate <= _MOST and idle_s < 10 else 0.0,
        offered=sums[0],
        ok=sums[1],
        bad=sums[2],
        seconds=ticks * tick_s,
        idle_s=idle_s,
        since_s=_ago(cells[layout.SINCE], now, tick_s),
        bad_s=_ago(cells[layout.ALARM] + 1, now, tick_s),
    )


def _ago(tick: int, now: float, tick_s: float) -> float | None:
    """How long ago *tick* began; None: it is none that was."""
    begun = tick * tick_s
    return max(0.0, now - begun) if tick > 0 and begun <= now + tick_s else None


def _sums(ring: Cells, ticks: range) -> tuple[int, int, int]:
    sums = [0, 0, 0]
    for tick in ticks:
        place = place_of(ring, tick)
        if ring[place] == tick:
            for at, cell in enumerate((OFFERED, OK, BAD)):
                value = ring[place + cell]
                if 0 <= value <= _MOST:
                    sums[at] += value
    return sums[0], sums[1], sums[2]
