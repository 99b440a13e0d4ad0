"""What an attempt would have met, by what was recorded.

*known*: this very attempt was made, at this moment, and ended no later than we need to
know. *assumed*: it was not, or not then; the next attempt that was begun on the same
target and method stands in for it, or the newest before it. *unknown*: there is none.
"""

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple

from resilience.core.outcome import Outcome
from resilience.core.target import Target

from .recorded import LATE_S, Made, Recorded


Certainty = Literal["known", "assumed", "unknown"]

MOVED_S: Final = 0.1
"""An attempt that begins this much earlier or later than the recorded one is another
one: the server was in another state."""
AHEAD_S: Final = 30.0
"""The recording is read this far ahead of the moment that is played."""
MOST_AHEAD: Final = 50_000
"""Calls, at most, that are read ahead."""

MOST_TARGETS: Final = 10_000
"""Targets, at most, whose attempts can stand in for others."""
_TIDY_ABOVE: Final = 64
NEVER: Final = -math.inf

UNRECORDED: Final = Outcome(
    "UNRECORDED", "local", "no", message="nothing was recorded to go by"
)
"""The end of an attempt of which nothing can be said. Evidence for nothing."""


class Answer(NamedTuple):
    """What an attempt meets."""

    outcome: Outcome
    ended_at: float | None
    """None: nothing comes before its own limit ends it."""
    certainty: Certainty
    """Of this end."""
    known_until: float
    """Until then it is known that it was under way, however it ends."""
    host_wait_s: float | None = None


class _Seen(NamedTuple):
    """An attempt that can stand in for another."""

    started_at: float
    order: int
    made: Made


class Answers:
    """The recorded calls in order, and what is known around the moment played.

    Args:
        calls: in the order they arrived.
        ahead_s: seconds that are read ahead.
        most_ahead: calls that are read ahead at most.
    """

    def __init__(
        self,
        calls: Iterator[Recorded],
        *,
        ahead_s: float = AHEAD_S,
        most_ahead: int = MOST_AHEAD,
    ) -> None:
        self._calls = calls
        self._ahead_s = ahead_s
        self._most = most_ahead
        self._next: deque[Recorded] = deque()
        self._seen: dict[Target, list[_Seen]] = {}
        self._order = 0
        self._newest = NEVER
        self._played_at = NEVER
        """Nobody asks for a moment before this one."""
        self._is_over = False

    def __iter__(self) -> Iterator[Recorded]:
        """Every call; reads on whenever one is taken."""
        while True:
            self._read()
            if not self._next:
                return
            call = self._next.popleft()
            self._played_at = call.arrived_at
            yield call

    def _read(self) -> None:
        while not self._is_over and len(self._next) < self._most:
            if self._next and self._newest > self._next[0].arrived_at + self._ahead_s:
                return
            call = next(self._calls, None)
            if call is None:
                self._is_over = True
                return
            self._next.append(call)
            self._newest = call.arrived_at
            self._note(call)

    def _note(self, call: Recorded) -> None:
        made = [one for one in call.made() if not one.is_stopped]
        if not made:
            return
        seen = self._seen.setdefault(call.target, [])
        for one in made:
            self._order += 1
            insort(seen, _Seen(one.started_at, self._order, one))
        if len(seen) > _TIDY_ABOVE:
            # The newest one before now is kept: there may be no later one.
            del seen[: max(0, bisect_left(seen, (self._played_at,)) - 1)]
        if len(self._seen) > MOST_TARGETS:
            del self._seen[next(iter(self._seen))]

    def to(
        self, target: Target, made: Made | None, now: float, limit_at: float | None
    ) -> Answer:
        """What an attempt on *target* that begins *now* meets.

        Args:
            target: where it goes.
            made: the attempt of the same number that its call really made.
            now: when it begins.
            limit_at: when it is stopped; None: never.
        """
        if made is None:
            return self._stand_in(target, now, now, limit_at)
        is_there = abs(now - made.started_at) <= MOVED_S
        known_until = made.ended_at + LATE_S if is_there else NEVER
        if made.is_stopped:
            found = self._stand_in(target, now, made.ended_at, limit_at)
            return found._replace(known_until=known_until)
        shift_s = 0.0 if is_there and made.started_at >= now else now - made.started_at
        answer = Answer(
            made.outcome,
            made.ended_at + shift_s,
            "known" if is_there else "assumed",
            known_until,
            made.host_wait_s,
        )
        return _limited(answer, limit_at) if made.is_open else answer

    def _stand_in(
        self, target: Target, now: float, after: float, limit_at: float | None
    ) -> Answer:
        """The end of another attempt, begun *now* and under way until *after*."""
        seen = self._seen.get(target)
        if not seen:
            return Answer(UNRECORDED, max(now, _beyond(after)), "unknown", NEVER)
        made = seen[min(bisect_left(seen, (now,)), len(seen) - 1)].made
        ended_at = now + made.ended_at - made.started_at
        if after > now:
            ended_at = max(ended_at, _beyond(after))
        answer = Answer(made.outcome, ended_at, "assumed", NEVER)
        return _limited(answer, limit_at) if made.is_open else answer


def _limited(answer: Answer, limit_at: float | None) -> Answer:
    """An attempt that ran into a limit, under one that may be another."""
    ended_at = answer.ended_at
    if limit_at is None or ended_at is None:
        # Without any limit it would be waited for until the end of time.
        return answer._replace(certainty="assumed")
    if limit_at <= ended_at + LATE_S:
        return answer
    return answer._replace(ended_at=None, certainty="assumed")


def _beyond(moment: float) -> float:
    return math.nextafter(moment, math.inf)


def counts(certainties: Iterable[Certainty]) -> dict[Certainty, int]:
    """How many of each."""
    found: dict[Certainty, int] = {"known": 0, "assumed": 0, "unknown": 0}
    for one in certainties:
        found[one] += 1
    return found
