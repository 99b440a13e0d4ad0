"""Where everything lies in the host's file: a header, slots of processes, their rows.

All of it is int64 cells of the machine's own byte order, each written by one process.
A file of another layout has another version: nobody converts, everybody begins anew.

A slot is a process's. Its head (one cache line) says that it lives; its table names its
rows by the hash of their scope; each row fills a page, so that pages nobody uses take
no memory.
"""

import sys
from hashlib import blake2b
from typing import Final

from resilience.core.ticks import CELLS, CLASSES, LENGTH, TICK_CELLS


VERSION: Final = 1
"""Rises when the meaning of a cell changes."""
CELL: Final = 8
"""Bytes."""
SLOTS: Final = 256
"""Processes on one host."""
ROWS: Final = 64
"""Scopes of one process that its peers can see at a time."""

HEADER_CELLS: Final = 512
MAGIC_AT, VERSION_AT, SHAPE_AT, BOOT_AT, NONCE_AT = range(5)
MAGIC: Final = int.from_bytes(b"resilien", "little")

HEAD_CELLS: Final = 8
BEAT, NONCE, GENERATION, PID = range(4)
"""Of a slot: when its process last lived (monotonic ns), who it is, how often its table
changed, and its pid, for people only."""

HEADS_AT: Final = HEADER_CELLS
TABLES_AT: Final = HEADS_AT + SLOTS * HEAD_CELLS
ROWS_AT: Final = TABLES_AT + SLOTS * ROWS

ROW_CELLS: Final = 512
HASH, ALARM, TURNED, TICK_NS, FRACTION, TEXT_BYTES, SINCE = range(7)
"""Of a row: whose it is; the newest tick with something bad; the newest that began; a
tick's length; the admitted fraction in millionths; how long its name is; the tick since
which not all may pass, for people only: 0 where all may, and of releases that do not
tell."""
TEXT_AT: Final = 8
TEXT_CELLS: Final = 32
RING: Final = TEXT_AT + TEXT_CELLS
"""Where a row's ticks begin."""
VERDICT_AT: Final = RING + CELLS
JUDGED, ADMITTED, CUT, PAUSE, IS_OPEN = range(VERDICT_AT, VERDICT_AT + 5)
"""Of a row: what others may go on from. The newest tick that was judged, 0: nothing was
told, also by releases that tell nothing; the admitted fraction in millionths; the tick
of the last cut; the pause after it in thousandths of an attempt timeout; 1 where
nothing is known since."""

MILLION: Final = 1_000_000
CELLS_IN_FILE: Final = ROWS_AT + SLOTS * ROWS * ROW_CELLS
SIZE: Final = CELLS_IN_FILE * CELL
"""Bytes of the file; most of them are never touched."""

if IS_OPEN >= ROW_CELLS:  # pragma: no cover - a mistake in these lines
    msg = "a row does not fit into its page"
    raise AssertionError(msg)


def number(data: bytes) -> int:
    """A number that stands for *data*: 63 bits, never 0."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little") >> 1 or 1


SHAPE: Final = number(
    repr([SLOTS, ROWS, ROW_CELLS, RING, CELLS, LENGTH, TICK_CELLS, CLASSES]).encode()
    + sys.byteorder.encode()
)
"""Processes whose releases lay rings out differently do not understand each other."""


def head_at(slot: int) -> int:
    """The first cell of the head of *slot*."""
    return HEADS_AT + slot * HEAD_CELLS


def table_at(slot: int) -> int:
    """The first cell of the table of *slot*."""
    return TABLES_AT + slot * ROWS


def row_at(slot: int, row: int) -> int:
    """The first cell of a row."""
    return ROWS_AT + (slot * ROWS + row) * ROW_CELLS
