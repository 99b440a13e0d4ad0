"""Drive many calls in virtual time: an ordered heap of events, no thread, no sleep.

A transport answers each started attempt with an outcome and the moment it comes; the
loop turns that into events. The same script and seed give the same run.
"""

import heapq
import itertools
from collections.abc import Callable
from typing import NamedTuple

from resilience.core.call import Call
from resilience.core.command import CancelAttempt, Finish, StartAttempt
from resilience.core.event import (
    ARRIVED,
    AttemptCommitted,
    AttemptDone,
    CallerGone,
    Event,
    Woke,
)
from resilience.core.outcome import Outcome
from resilience.core.record import Record


class Reply(NamedTuple):
    """What a scripted attempt does."""

    outcome: Outcome
    after_s: float = 0.0
    """Seconds from its start to its end."""
    host_wait_s: float | None = None
    committed_after_s: float | None = None
    """Seconds from its start to its first message; None: there is none."""


Transport = Callable[[Call, StartAttempt, float], Reply | None]
"""Called when an attempt starts, at that moment; None: it never answers."""


class VirtualLoop:
    """Virtual time and the calls that run in it. Owned by one thread."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        """Virtual monotonic seconds."""
        self.records: list[Record] = []
        """All records, in order."""
        self.log: list[tuple[float, str, Event]] = []
        """Every event that a call took: moment, call id, event."""
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, when: float, fn: Callable[[], None]) -> None:
        """Run *fn* at virtual time *when*; never before now."""
        heapq.heappush(self._heap, (max(when, self.now), next(self._order), fn))

    def run(self, until: float | None = None) -> None:
        """Run what is due, in order; to the end, or to the moment *until*."""
        while self._heap and (until is None or self._heap[0][0] <= until):
            self.now, _, fn = heapq.heappop(self._heap)
            fn()
        if until is not None:
            self.now = max(self.now, until)

    def start(self, call: Call, transport: Transport) -> "VirtualCall":
        """Let *call* arrive now."""
        return VirtualCall(self, call, transport)


class VirtualCall:
    """One call under way in virtual time."""

    def __init__(self, loop: VirtualLoop, call: Call, transport: Transport) -> None:
        self.call = call
        self.finish: Finish | None = None
        """The end, once there is one."""
        self.starts: list[tuple[float, StartAttempt]] = []
        """When each attempt started."""
        self.cancels: list[tuple[float, CancelAttempt]] = []
        """When an attempt was cancelled."""
        self.finished_at: float | None = None
        self._loop = loop
        self._transport = transport
        self._take(ARRIVED)

    def cancel(self) -> None:
        """The caller goes away now."""
        self._take(CallerGone())

    def _take(self, event: Event) -> None:
        if self.finish is not None:
            return
        loop = self._loop
        loop.log.append((loop.now, self.call.id, event))
        step = self.call.advance(event, loop.now)
        loop.records.extend(step.records)
        for command in step.commands:
            match command:
                case StartAttempt():
                    self.starts.append((loop.now, command))
                    self._launch(command)
                case CancelAttempt():
                    self.cancels.append((loop.now, command))
                case Finish():
                    self.finish, self.finished_at = command, loop.now
        if self.finish is None and step.wake_at is not None:
            due = step.wake_at
            loop.at(due, lambda: self._take(Woke(due)))
            waiter = self.call.waiter
            if waiter is not None:
                waiter.watch(self._look)

    def _look(self) -> None:
        loop = self._loop
        loop.at(loop.now, lambda: self._take(Woke(loop.now)))

    def _launch(self, command: StartAttempt) -> None:
        reply = self._transport(self.call, command, self._loop.now)
        if reply is None:
            return
        now, number = self._loop.now, command.number
        if reply.committed_after_s is not None:
            committed = AttemptCommitted(number)
            moment = now + reply.committed_after_s
            self._loop.at(moment, lambda: self._take(committed))
        done = AttemptDone(number, reply.outcome, reply.host_wait_s)
        self._loop.at(now + reply.after_s, lambda: self._take(done))
