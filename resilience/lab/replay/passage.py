"""One recorded call, played again: the driver of its `Call` in virtual time.

Everything that is decided is decided by `resilience.core`; the recording says when the
call came, what its attempts met and when its caller left.
"""

import random
from collections.abc import Callable, Iterator

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
from resilience.core.record import (
    AttemptEnded,
    BreakerChanged,
    CallEnded,
    Decided,
    Record,
)
from resilience.drivers.virtual import VirtualLoop

from .answers import Answer, Answers, Certainty
from .recorded import LATE_S, Made, Recorded


_OVER = float("inf")


class Passage:
    """One call under way.

    Args:
        loop: virtual time.
        recorded: the call as it was.
        answers: what attempts meet.
        ended: called when it is over.
    """

    __slots__ = (
        "_answers",
        "_backs_off",
        "_call",
        "_ended",
        "_loop",
        "_made",
        "_timer",
        "_under_way",
        "attempts",
        "call_ended",
        "certainties",
        "changes",
        "decided",
        "recorded",
    )

    _call: Call
    call_ended: CallEnded
    """The end, once it is over."""

    def __init__(
        self,
        loop: VirtualLoop,
        recorded: Recorded,
        answers: Answers,
        ended: "Callable[[Passage], None]",
    ) -> None:
        self._loop = loop
        self._answers = answers
        self._ended = ended
        self.recorded = recorded
        self._made = {one.number: one for one in recorded.made()}
        self._under_way: dict[int, Answer] = {}
        self._timer = -1.0
        self._backs_off = False
        """Is what it waits for a moment that was set when an attempt ended?"""
        self.attempts: list[AttemptEnded] = []
        self.changes: list[BreakerChanged] = []
        self.decided: list[Decided] = []
        self.certainties: list[Certainty] = []
        """Of the attempts that ended, in that order."""

    def begin(self, call: Call) -> None:
        """Let *call*, which is new, arrive now."""
        self._call = call
        ended, loop = self.recorded.ended, self._loop
        if ended.reason == "cancelled":
            loop.at(ended.now, lambda: self._take(CallerGone()))
        self._take(ARRIVED)

    # -- events ------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        if self._timer == _OVER:
            return
        now = self._loop.now
        self._follow(self._call.advance(event, now), now)

    def _follow(self, step: Step, now: float) -> None:
        for record in step.records:
            self._note(record)
        for command in step.commands:
            match command:
                case StartAttempt():
                    self._launch(command, step.wake_at, now)
                case CancelAttempt():
                    self._over(command.number, now)
                case Finish():
                    for number in [*self._under_way]:
                        self._over(number, now)
                    self._timer = _OVER
                    self._ended(self)
                    return
        self._set_timer(step.wake_at)

    def _note(self, record: Record) -> None:
        match record:
            case AttemptEnded():
                self.attempts.append(record)
            case CallEnded():
                self.call_ended = record
            case BreakerChanged():
                self.changes.append(record)
            case Decided():
                self.decided.append(record)
            case _:
                pass

    # -- attempts ----------------------------------------------------------------

    def _launch(self, command: StartAttempt, wake_at: float | None, now: float) -> None:
        number, timeout_s = command.number, command.timeout_s
        limit_at = None if timeout_s is None else now + timeout_s
        if wake_at is not None and not isinstance(self._call, HedgedCall):
            limit_at = wake_at if limit_at is None else min(limit_at, wake_at)
        made = self._made.get(number)
        target = self.recorded.target
        answer = self._answers.to(target, made, now, limit_at)
        self._under_way[number] = answer
        self._commit(number, answer, now)
        if answer.ended_at is not None:
            done = AttemptDone(number, answer.outcome, answer.host_wait_s)
            self._loop.at(answer.ended_at, lambda: self._done(done))

    def _commit(self, number: int, answer: Answer, now: float) -> None:
        """What cannot be taken back: when it was recorded; of a stand-in, at once."""
        recorded = self.recorded.ended
        made = self._made.get(number)
        if made is not None:
            for moment, is_answer in recorded.commits:
                if made.started_at <= moment <= made.ended_at:
                    event = AttemptCommitted(number, is_answer)
                    self._at(moment + (now - made.started_at), number, event)
        elif recorded.facts.streams and answer.outcome.kind == "ok":
            self._at(now, number, AttemptCommitted(number))

    def _at(self, moment: float, number: int, event: Event) -> None:
        def take() -> None:
            if number in self._under_way:
                self._take(event)

        self._loop.at(moment, take)

    def _done(self, done: AttemptDone) -> None:
        if done.number in self._under_way:
            self._over(done.number, self._loop.now)
            self._backs_off = True
            self._take(done)

    def _over(self, number: int, now: float) -> None:
        answer = self._under_way.pop(number, None)
        if answer is not None:
            is_known = now <= answer.known_until
            self.certainties.append("known" if is_known else answer.certainty)

    # -- the one timer -----------------------------------------------------------

    def _set_timer(self, wake_at: float | None) -> None:
        if wake_at is None:
            self._timer = -1.0
            return
        if wake_at == self._timer:
            return
        due = self._late(wake_at)
        if due is None:
            self._timer = -1.0
            return
        self._timer = wake_at
        self._loop.at(due, lambda: self._woke(wake_at))
        waiter = self._call.waiter
        if waiter is not None:
            waiter.watch(self._look)

    def _woke(self, due: float) -> None:
        if self._timer == due:
            self._timer = -1.0
            self._backs_off = False
            self._take(Woke(due))

    def _look(self) -> None:
        """It has its place now, or will have none."""
        loop = self._loop
        loop.at(loop.now, lambda: self._take(Woke(loop.now)))

    def _late(self, wake_at: float) -> float | None:
        """When the timer really fired, by the recording; None: an end comes before."""
        recorded = self.recorded.ended
        if self._under_way:
            if isinstance(self._call, HedgedCall) and recorded.hedges:
                return wake_at
            ends = [one.ended_at for one in self._under_way.values()]
            first = min((end for end in ends if end is not None), default=None)
            in_time = first is not None and first <= wake_at + LATE_S
            return None if in_time else wake_at
        if not self._backs_off:
            return wake_at  # who stands in line may wake in vain, and be seen later
        made: Made | None = self._made.get(len(self.certainties) + 1)
        then = recorded.now if made is None else made.started_at
        return then if wake_at <= then <= wake_at + LATE_S else wake_at


def numbers(recorded: Recorded, seed: int) -> Callable[[], float]:
    """The random numbers that the call took; when they are used up, its own."""

    def drawn() -> Iterator[float]:
        yield from recorded.ended.draws
        rng = random.Random(f"{seed} {recorded.ended.call_id}")
        while True:
            yield rng.random()

    return drawn().__next__
