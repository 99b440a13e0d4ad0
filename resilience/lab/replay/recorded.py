"""What was recorded of one call: its end and its attempts, on one common clock."""

from typing import Final, NamedTuple

from resilience.core.outcome import TIMED_OUT, Outcome
from resilience.core.record import AttemptEnded, CallEnded
from resilience.core.target import Target


LATE_S: Final = 0.05
"""Timers of a busy process fire this late; what came within it came in time."""
NO_END: Final = frozenset({"superseded", "cancelled"})
"""Reasons for which an attempt was stopped: how it would have ended is not known."""


class Made(NamedTuple):
    """One attempt that was really made."""

    number: int
    started_at: float
    ended_at: float
    outcome: Outcome
    is_stopped: bool
    """It was still under way: a rival was faster, or its caller left."""
    host_wait_s: float | None = None
    """Where the host library decides: it wanted to try again after this."""
    limit_at: float | None = None
    """When its own timeout would have ended it; None: never, or it had rivals."""

    @property
    def is_open(self) -> bool:
        """Is all we know that it lasted at least this long?"""
        if self.is_stopped or not self.outcome.timed_out:
            return self.is_stopped
        if self.limit_at is None:
            return self.outcome.message == TIMED_OUT.message
        # Much before its limit: a timeout of the library below ended it, and would.
        return self.ended_at >= self.limit_at - LATE_S


class Recorded(NamedTuple):
    """One call that was recorded."""

    arrived_at: float
    host: str
    """On which machine; empty: not known."""
    process: str
    """By which of its processes; empty: not known."""
    ended: CallEnded
    attempts: tuple[AttemptEnded, ...]
    """Those that were written down, by number."""

    @property
    def target(self) -> Target:
        """Where it went."""
        return self.ended.target

    @property
    def is_whole(self) -> bool:
        """Is there a record of each attempt that must have left one?"""
        least = self.ended.attempts
        if least == 1 and self.ended.outcome.kind == "ok":
            return True
        return len(self.attempts) >= least

    def made(self) -> tuple[Made, ...]:
        """Its attempts, a first one that succeeded included."""
        ended = self.ended
        hosted = ended.facts.host_decides
        found = [_made(one, hosted=hosted) for one in self.attempts]
        is_clean = ended.outcome.kind == "ok" and ended.attempts == 1
        if is_clean and not found:
            started_at = self.arrived_at + ended.wait_s
            found.append(
                Made(1, started_at, ended.now, ended.outcome, is_stopped=False)
            )
        return tuple(found)

    def shifted(self, by_s: float) -> "Recorded":
        """The same call on a clock that shows *by_s* more."""
        if not by_s:
            return self
        ended, facts = self.ended, self.ended.facts

        def moved(moment: float | None) -> float | None:
            return None if moment is None else moment + by_s

        return self._replace(
            arrived_at=self.arrived_at + by_s,
            ended=ended._replace(
                now=ended.now + by_s,
                facts=facts._replace(
                    deadline_at=moved(facts.deadline_at),
                    inbound_at=moved(facts.inbound_at),
                ),
                commits=tuple((when + by_s, first) for when, first in ended.commits),
            ),
            attempts=tuple(
                one._replace(now=one.now + by_s, limit_at=moved(one.limit_at))
                for one in self.attempts
            ),
        )


def arrival_of(ended: CallEnded) -> float:
    """When a call that ended had arrived."""
    # Exact where a call took less than half of what the clock shows (Sterbenz).
    return ended.now - ended.elapsed_s


def process_of(call_id: str) -> str:
    """The process that made a call; empty: its id does not say."""
    return call_id.rpartition("-")[0]


def number_of(call_id: str) -> int | None:
    """Which call of its process it was, from 1; None: its id does not say."""
    try:
        return int(call_id.rpartition("-")[2], 16)
    except ValueError:
        return None


def _made(ended: AttemptEnded, *, hosted: bool) -> Made:
    wait_s: float | None = None
    if ended.decision == "retry":
        wait_s = ended.wait_s if ended.reason in {"host", "native"} else None
    elif not hosted:
        pass
    elif ended.reason == "deadline":
        # It was vetoed: the shortest wait that did not fit.
        wait_s = max(0.0, ended.time_left_s or 0.0)
    elif ended.reason in {"idempotency", "attempts-exhausted"}:
        wait_s = 0.0
    return Made(
        ended.number,
        ended.now - ended.elapsed_s,
        ended.now,
        ended.outcome,
        ended.reason in NO_END,
        wait_s,
        ended.limit_at,
    )
