"""Drive one call by callbacks: nobody blocks, no thread belongs to the call.

For `.future()`: attempts end on any thread and report here; waits are entries of the
engine's one timer. Events are taken one after the other; an event that comes while
another is being taken (on any thread, or from inside a callback) waits in a queue, and
no lock is held while `start`, `cancel` or `finish` runs.
"""

import threading
from collections import deque
from collections.abc import Callable

from resilience.core.call import Call
from resilience.core.command import CancelAttempt, Finish, StartAttempt, Step
from resilience.core.event import (
    ARRIVED,
    AttemptCommitted,
    AttemptDone,
    CallerGone,
    Event,
    Woke,
)
from resilience.core.hedged import HedgedCall
from resilience.core.outcome import Outcome

from .host import Host
from .timer import Handle


class CallbackDriver:
    """Drives one call. Safe to share between threads."""

    __slots__ = (
        "_busy",
        "_call",
        "_cancel",
        "_changed",
        "_committed",
        "_events",
        "_finish",
        "_handle",
        "_host",
        "_lock",
        "_number",
        "_start",
        "_watches",
    )

    def __init__(
        self,
        call: Call,
        start: Callable[[StartAttempt], None],
        cancel: Callable[[int], None],
        finish: Callable[[Finish], None],
        host: Host,
        *,
        watches: bool = False,
    ) -> None:
        """Make the driver; `begin` starts the call.

        Args:
            call: a new call; this driver owns it from here.
            start: launches an attempt and returns at once; its end goes to `done`.
            cancel: stops the attempt of that number.
            finish: receives the end, exactly once.
            host: clock, timer and sinks.
            watches: end attempts at the step's `wake_at`, which the transport does not
                know (a stream's first message).
        """
        self._call = call
        self._watches = watches
        self._start = start
        self._cancel = cancel
        self._finish = finish
        self._host = host
        self._events: deque[Event] = deque()
        self._busy = False
        self._number = 0
        """Of the attempt under way; 0: none is."""
        self._committed = 0
        """The attempt whose first message is the call's."""
        self._handle: Handle | None = None
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def begin(self) -> None:
        """The call arrives."""
        self._take(ARRIVED)

    def done(self, number: int, outcome: Outcome) -> None:
        """Attempt *number* ended. Any thread may say so."""
        self._take(AttemptDone(number, outcome))

    def committed(self, number: int, *, answered: bool = True) -> None:
        """Attempt *number* cannot be taken back; see `AttemptCommitted`."""
        self._take(AttemptCommitted(number, answered))

    def commit(self, number: int, *, answered: bool = True) -> bool:
        """The first message of attempt *number* is here: is it the call's answer?

        False: the attempt was over before (its time ran out), and another follows or
        the call has ended. Blocks only while another thread takes an event.
        """
        self._take(AttemptCommitted(number, answered))
        with self._changed:
            while self._committed != number and self._number == number:
                self._changed.wait()
            return self._committed == number

    def cancel(self, reason: str = "cancelled") -> None:
        """The caller is gone: attempt or wait ends now. Harmless after the end."""
        self._take(CallerGone(reason))

    def _take(self, event: Event) -> None:
        with self._lock:
            self._events.append(event)
            if self._busy:
                return
            self._busy = True
        while True:
            with self._lock:
                if not self._events:
                    self._busy = False
                    return
                event = self._events.popleft()
            if type(event) is AttemptDone and event.number == self._number:
                self._over()
            elif type(event) is AttemptCommitted and event.number == self._number:
                self._note_commit(event.number)
            try:
                self.resume(self._call.advance(event, self._host.now()))
            except BaseException:
                self._end_after_fault()
                raise

    def _over(self) -> None:
        with self._changed:
            self._number = 0
            self._changed.notify_all()

    def _note_commit(self, number: int) -> None:
        with self._changed:
            self._committed = number
            self._changed.notify_all()

    def _end_after_fault(self) -> None:
        """`start` or `cancel` raised: the attempt is not there, so the call ends."""
        try:
            step = self._call.advance(CallerGone(), self._host.now())
            self._host.emit(step.records)
            for command in step.commands:
                if type(command) is Finish:
                    self._finish(command)
        finally:
            with self._lock:
                self._busy = False

    def resume(self, step: Step) -> None:
        """Carry out *step*, which an adapter had from the call itself."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.cancel()
        if step.records:
            self._host.emit(step.records)
        for command in step.commands:
            match command:
                case StartAttempt():
                    self._number = command.number
                    self._start(command)
                case CancelAttempt():
                    self._over()
                    self._cancel(command.number)
                case Finish():
                    self._finish(command)
                    # Who made the driver is held by it no longer: no cycle is left.
                    self._start = self._cancel = self._finish = _nothing
                    return
        due = step.wake_at
        # While an attempt runs its transport times it: healthy calls need no timer.
        if due is not None and (self._watches or not self._number):
            # Nobody else would end a call whose timer is closed under it.
            timer = self._host.timer
            self._handle = timer.at(due, lambda: self._take(Woke(due)), self._dropped)
            waiter = self._call.waiter
            if waiter is not None:
                # On the timer: whoever gives the place up is busy with its own call.
                waiter.watch(lambda: timer.soon(self._look))

    def _look(self) -> None:
        self._take(Woke(self._host.now()))

    def _dropped(self) -> None:
        """The timer was closed: what only waited ends; attempts end by themselves."""
        call = self._call
        if not (isinstance(call, HedgedCall) and call.is_under_way):
            self.cancel()


def _nothing(_: object) -> None:
    """The call has ended: there is nobody to tell."""
