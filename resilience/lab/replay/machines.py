"""Who shares evidence in a replay under `state: host`: the processes of one machine.

The rows are the simulator's. Here processes come and go as they were recorded: one that
is quiet takes no part until it calls again, and one that is alone waits for nobody.
"""

from collections.abc import Callable
from typing import Final
from weakref import WeakValueDictionary

from resilience.core.ticks import Rows
from resilience.lab.evidence import Host, SharedRows, SharedScope


LAG: Final = 1
"""Ticks until peers see what a process has seen, as on a real host."""
QUIET_S: Final = 2.0
"""A process that asked nothing of its breakers for so long is not counted, as there."""
LOOK_S: Final = 0.05
"""How often a scope is searched for processes that became quiet."""


class Machine(Host):
    """The evidence of all processes that were recorded on one machine.

    Args:
        seconds: virtual time.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__(LAG, 1.0, seconds)
        self._shared: dict[str, MachineScope] = {}

    def process(self) -> Callable[[str], Rows]:
        """A further process: what its engine makes the rows of a scope with."""
        self.processes += 1
        return Process(self).rows

    def scope(self, key: str) -> "MachineScope":
        """What all share of the scope called *key*."""
        found = self._shared.get(key)
        if found is None:
            found = self._shared[key] = MachineScope(self)
        return found


class Process:
    """One process of a machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.seen_at = machine.seconds()
        """When it last asked its breakers or budgets anything."""

    def rows(self, key: str) -> Rows:
        """What it sees of the scope called *key*."""
        return ProcessRows(self._machine.scope(key), self)


class MachineScope(SharedScope):
    """One scope on one machine: the rings of the processes that are at work."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._at_work: list[ProcessRows] = []
        self._next_look = 0.0

    def join(self, rows: "ProcessRows") -> None:
        """Count *rows* from now on."""
        rows.is_in = True
        self._at_work.append(rows)
        self._renew()

    def look(self, now: float) -> None:
        """Leave out whoever became quiet."""
        if now < self._next_look:
            return
        self._next_look = now + LOOK_S
        for rows in self._at_work:
            rows.is_in = now - rows.process.seen_at <= QUIET_S
        if not all(rows.is_in for rows in self._at_work):
            self._at_work = [rows for rows in self._at_work if rows.is_in]
            self._renew()

    def _renew(self) -> None:
        self.rings = [rows.own for rows in self._at_work]


class ProcessRows(SharedRows):
    """What one process sees of a scope, while it is at work and while it is not."""

    __slots__ = ("_machine_scope", "is_in", "process")

    def __init__(self, scope: MachineScope, process: Process) -> None:
        super().__init__(scope)
        self._machine_scope = scope
        self.process = process
        self.is_in = False
        """Is it counted?"""
        scope.join(self)
        self._see()

    def _see(self) -> None:
        self.lag = LAG if self.is_shared() else 0

    def is_shared(self) -> bool:
        """Are other processes at work here?"""
        return len(self._machine_scope.rings) > 1

    def turn(self, now: float, tick: int, tick_s: float, fraction: float) -> None:
        """*tick* begins: say that this process lives, and see who else does."""
        super().turn(now, tick, tick_s, fraction)
        self.process.seen_at = now
        if not self.is_in:
            self._machine_scope.join(self)
        self._machine_scope.look(now)
        self._see()


class Machines:
    """Machines by name. Owned by one replay.

    Args:
        seconds: virtual time.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        # A machine goes with the last engine of its processes.
        self._found: WeakValueDictionary[str, Machine] = WeakValueDictionary()

    def process(self, host: str) -> Callable[[str], Rows]:
        """A further process on *host*; on an unknown one (empty) it is alone."""
        machine = self._found.get(host) if host else None
        if machine is None:
            machine = Machine(self._seconds)
            if host:
                self._found[host] = machine
        return machine.process()
