"""For hosts that run their own loop and sleep themselves (botocore).

Also the port that every driver plugs into: the clock, the sinks and the sleep that an
engine lends to the drivers of its calls.
"""

import threading
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from resilience.core.call import Call
from resilience.core.command import CancelAttempt, Finish, StartAttempt, Step
from resilience.core.event import (
    AttemptCommitted,
    AttemptDone,
    CallerGone,
    Woke,
)
from resilience.core.healthy import ENDED_WELL
from resilience.core.named import make
from resilience.core.outcome import OK, Outcome
from resilience.core.record import CallEnded, Record
from resilience.core.verified import verified

from .timer import Timer


class Host(Protocol):
    """What a driver needs of the engine. Safe to share between threads."""

    now: Callable[[], float]
    """Monotonic seconds."""
    sleep: Callable[[float], None]
    """Blocks the calling thread for that many seconds."""
    asleep: Callable[[float], Awaitable[None]]
    """The same for the running task."""
    wait: Callable[[threading.Event, float], object]
    """Blocks the calling thread until the event is set, or for that many seconds."""

    def emit(self, records: tuple[Record, ...]) -> None:
        """Hand records to the sinks; never raises."""

    @property
    def timer(self) -> Timer:
        """The engine's one timer thread, started when it is first asked for."""
        ...


class Answer(NamedTuple):
    """What the host does next."""

    start: StartAttempt | None = None
    finish: Finish | None = None
    wait_s: float | None = None
    """Sleep this long, then call `woke`."""


_ENDED = Answer(finish=ENDED_WELL)


class HostLoop:
    """Drives one call for a host that owns the loop. Owned by one thread or task."""

    finished: Finish | None = None
    """The end of the call, once there is one."""
    held: tuple[Record, ...] | None = None
    """Records of the end that wait for `found` or `gone`; None: they never do."""
    _wake_at: float | None = None

    def __init__(self, call: Call, host: Host) -> None:
        self._call = call
        self._host = host

    def arrive(self) -> Answer:
        """The call arrived."""
        now = self._host.now()
        found = self._call.arrive(now)
        if isinstance(found, StartAttempt):
            return make(Answer, (found, None, None))
        return self._answer(found, now)

    def done(
        self, number: int, outcome: Outcome, host_wait_s: float | None = None
    ) -> Answer:
        """Attempt *number* ended; the host itself would wait *host_wait_s*."""
        now = self._host.now()
        if outcome is OK and number == 1 and self._call.is_spotless:
            step = self._call.succeed(outcome, now)
            if step is None:
                self.finished = ENDED_WELL
                return _ENDED
            return self._answer(step, now)
        event = make(AttemptDone, (number, outcome, host_wait_s))
        return self._answer(self._call.advance(event, now), now)

    def committed(self, number: int) -> None:
        """The first message of attempt *number* reached the caller."""
        now = self._host.now()
        self._call.advance(AttemptCommitted(number), now)

    def woke(self) -> Answer:
        """The wait of the last answer is over."""
        now = self._host.now()
        due, waiter = self._wake_at, self._call.waiter
        if due is None or (waiter is not None and waiter.is_decided):
            due = now
        return self._answer(self._call.advance(Woke(due), now), now)

    def gone(self, reason: str = "cancelled") -> None:
        """The caller is gone, whatever happened; harmless after the end."""
        now = self._host.now()
        self._answer(self._call.advance(CallerGone(reason), now), now)
        if self.held:
            held, self.held = self.held, ()
            self._host.emit(held)

    def found(self, outcome: Outcome | None) -> None:
        """The work of the call was found done: it succeeded.

        Args:
            outcome: the loss that ended the newest attempt; None: the engine has heard
                of it, or nothing was sent after all.
        """
        call, now, records = self._call, self._host.now(), self.held or ()
        is_unsent = self.finished is None and outcome is None
        if self.finished is None:
            _ = call.written  # its end is recorded then
            done = AttemptDone(len(call.history) + 1, outcome or OK)
            records += call.advance(done, now).records
            if call.ended is None:  # it would have tried again
                records += call.advance(CallerGone("verified"), now).records
        ids = () if outcome is None else outcome.ids
        records, self.held = verified(records, ids, is_unsent=is_unsent), ()
        for record in records:
            if isinstance(record, CallEnded):
                call.ended = record
                self.finished = Finish(record.attempts, record.outcome, record.reason)
        self._host.emit(records)

    def _answer(self, step: Step, now: float) -> Answer:
        self._wake_at = step.wake_at
        if step.records:
            if self.held is not None and self._call.ended is not None:
                self.held += step.records
            else:
                self._host.emit(step.records)
        for command in step.commands:
            match command:
                case StartAttempt():
                    return make(Answer, (command, None, None))
                case Finish():
                    self.finished = command
                    return make(Answer, (None, command, None))
                case CancelAttempt():
                    pass  # the host's own timeouts end its attempts
        wait = None if step.wake_at is None else max(0.0, step.wake_at - now)
        return Answer(wait_s=wait)
