"""One process's place in the host's file, and whom it sees there.

It writes its own slot only. Peers live as long as their heart beats, which it does with
their calls: an idle process is none of those that share a load. Owned by `HostState`.
"""

import contextlib
import os
import secrets
import weakref
from typing import NamedTuple, Protocol

from .file import StateFile, open_state
from .layout import (
    BEAT,
    GENERATION,
    HEAD_CELLS,
    HEADS_AT,
    NONCE,
    PID,
    ROW_CELLS,
    ROWS,
    SLOTS,
    head_at,
    row_at,
    table_at,
)
from .locks import claim
from .place import UnusableError


STALE_NS = 2_000_000_000
"""Who has not lived for this long is not there."""
_TRIES = 4
_IDLE_S = 60.0
"""A row that was not used for so long may be taken away."""


class Peer(NamedTuple):
    """Another live process."""

    slot: int
    nonce: int
    generation: int


class Tenant(Protocol):
    """Who has a row."""

    last_used: float
    """Monotonic seconds."""

    @property
    def is_calm(self) -> bool:
        """Nothing bad was seen lately: the row may be taken away."""
        ...

    def evicted(self) -> None:
        """The row is another's from now on."""


class Member:
    """A slot that is ours, until `leave` or death."""

    def __init__(self, file: StateFile, slot: int, lock: int) -> None:
        self.file = file
        self.slot = slot
        self._lock = lock
        self.pid = os.getpid()
        self.peers: tuple[Peer, ...] = ()
        """Who else lives; the same object while nothing changes."""
        self.is_sound = True
        """False: somebody wrote into our slot."""
        self.whole_at = float("-inf")
        """When the file was last seen to be whole: who asks for the same moment need
        not look again."""
        self._tables: dict[int, tuple[Peer, dict[int, list[int]]]] = {}
        self._tenants: list[weakref.ref[Tenant] | None] = [None] * ROWS
        self._keys = [0] * ROWS
        self._reach = SLOTS
        self._rest = b""
        """The heads beyond the last live one, as they were."""
        self._seen: tuple[list[int], list[int], list[int]] = [], [], []
        cells, at = file.cells, head_at(slot)
        file.clear(table_at(slot), ROWS)
        self._nonce = cells[at + NONCE] = secrets.randbits(62)
        cells[at + GENERATION] += 1
        cells[at + PID] = self.pid

    @classmethod
    def join(cls, policy: str) -> "tuple[Member, bool]":
        """Take a free slot of the file of *policy*; True: the file was replaced.

        Raises:
            UnusableError: there is no file, or no slot.
        """
        replaced = False
        for _ in range(_TRIES):
            file, was_replaced = open_state(policy)
            replaced |= was_replaced
            try:
                slot, lock = claim(file)
                return cls(file, slot, lock), replaced
            except FileNotFoundError:
                continue  # replaced since it was opened
            except UnusableError:
                if file.is_current:
                    raise
            except OSError as error:
                msg = f"{file.path}: {error.strerror}"
                raise UnusableError(msg) from error
        msg = f"the file of {policy} is replaced again and again"
        raise UnusableError(msg)

    def leave(self, *, forked: bool = False) -> None:
        """Give the slot back; *forked*: it is the parent's, who keeps it."""
        if not forked:
            with contextlib.suppress(OSError, ValueError):
                if self.file.is_whole:
                    self.file.cells[head_at(self.slot) + BEAT] = 0
        with contextlib.suppress(OSError):
            os.close(self._lock)

    # -- who is there ------------------------------------------------------------

    def beat(self, now_ns: int, *, thorough: bool) -> None:
        """Live on, and look who else does; *thorough*: look for newcomers too."""
        cells, at = self.file.cells, head_at(self.slot)
        cells[at + BEAT] = now_ns
        if cells[at + NONCE] != self._nonce:
            self.is_sound = False
        if thorough:
            # Copied whole and compared: who lives there would have written its beat.
            rest = cells[head_at(self._reach) : head_at(SLOTS)].tobytes()
            if rest != self._rest:
                self._rest = rest
                self._reach = SLOTS
        end = HEADS_AT + self._reach * HEAD_CELLS
        beats = cells[HEADS_AT + BEAT : end : HEAD_CELLS].tolist()
        nonces = cells[HEADS_AT + NONCE : end : HEAD_CELLS].tolist()
        generations = cells[HEADS_AT + GENERATION : end : HEAD_CELLS].tolist()
        oldest, newest = now_ns - STALE_NS, now_ns + STALE_NS
        live = [slot for slot, beat in enumerate(beats) if oldest <= beat <= newest]
        generations[self.slot : self.slot + 1] = []
        seen = live, nonces, generations
        if seen == self._seen:
            return
        self._seen = seen
        self._reach = max([self.slot, *live]) + 1
        self.peers = tuple(
            Peer(slot, nonces[slot], cells[head_at(slot) + GENERATION])
            for slot in live
            if slot != self.slot
        )

    def rows_of(self, key: int) -> list[memoryview]:
        """The rows that live peers keep of the scope with that hash."""
        rows: list[memoryview] = []
        for peer in self.peers:
            known = self._tables.get(peer.slot)
            if known is None or known[0] != peer:
                known = self._tables[peer.slot] = peer, self._table_of(peer.slot)
            rows += [self._row(peer.slot, row) for row in known[1].get(key, ())]
        return rows

    def _table_of(self, slot: int) -> dict[int, list[int]]:
        """Rows by hash: several where policies of one scope differ."""
        at = table_at(slot)
        found: dict[int, list[int]] = {}
        for row, key in enumerate(self.file.cells[at : at + ROWS].tolist()):
            if key:
                found.setdefault(key, []).append(row)
        return found

    def _row(self, slot: int, row: int) -> memoryview:
        at = row_at(slot, row)
        return self.file.cells[at : at + ROW_CELLS]

    # -- our rows ----------------------------------------------------------------

    def take_row(self, tenant: Tenant, *, urgent: bool, now: float) -> int | None:
        """The number of an empty row, or None: others need theirs more.

        Args:
            tenant: whose it will be.
            urgent: take one from the calm tenant that used its own least recently;
                else only from one that did not for a minute.
            now: monotonic seconds.
        """
        oldest: Tenant | None = None
        found: int | None = None
        for row, held in enumerate(self._tenants):
            holder = None if held is None else held()
            if holder is None:
                oldest, found = None, row
                break
            used = holder.last_used
            is_free = holder.is_calm or used < now - _IDLE_S
            if is_free and (oldest is None or used < oldest.last_used):
                oldest, found = holder, row
        if oldest is not None:
            if not urgent and oldest.last_used > now - _IDLE_S:
                return None
            oldest.evicted()
        if found is not None:
            self.empty(found)
            self._tenants[found] = weakref.ref(tenant)
        return found

    def begin(self, row: int) -> memoryview:
        """The cells of an own row, all 0, with memory behind them.

        Raises:
            OSError: no space is left.
        """
        at = row_at(self.slot, row)
        self.file.clear(at, ROW_CELLS)
        return self.file.cells[at : at + ROW_CELLS]

    def show(self, row: int, key: int) -> None:
        """Let the peers find *row* as the scope with that hash."""
        cells = self.file.cells
        self._keys[row] = key
        cells[table_at(self.slot) + row] = key
        cells[head_at(self.slot) + GENERATION] += 1

    def empty(self, row: int) -> None:
        """Nobody finds *row* any more."""
        self._tenants[row] = None
        if self._keys[row]:
            self.show(row, 0)

    def sweep(self) -> None:
        """Take rows back whose scopes are gone, and mend a table that is damaged."""
        for row, held in enumerate(self._tenants):
            if held is not None and held() is None:
                self.empty(row)
        at = table_at(self.slot)
        if self.file.cells[at : at + ROWS].tolist() != self._keys:
            for row, key in enumerate(self._keys):
                self.show(row, key)
