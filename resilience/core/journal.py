"""What one call writes down about itself, beside its end.

Made when there is something to write: a healthy first attempt leaves only its
`CallEnded`. Owned by one call; decides nothing.
"""

from collections.abc import Iterable

from .outcome import Outcome
from .record import AttemptEnded, Decided, Decision, Mode, Reason, Record
from .retries import Next
from .target import Target


class Journal:
    """Attempts that ended, and records that no step has carried yet."""

    __slots__ = ("_call_id", "_fresh", "_mode", "_target", "history")

    def __init__(self, call_id: str, target: Target, mode: Mode) -> None:
        self._call_id = call_id
        self._target = target
        self._mode: Mode = mode
        self._fresh: list[Record] = []
        self.history: list[AttemptEnded] = []
        """All attempts that were written down, in order."""

    @property
    def is_ambiguous(self) -> bool:
        """May the server have acted on one of the attempts without our knowing?"""
        return any(ended.outcome.reached == "maybe" for ended in self.history)

    def add(self, records: Iterable[Record]) -> None:
        """Take records that somebody else made."""
        self._fresh += records

    def attempt(
        self,
        number: int,
        outcome: Outcome,
        elapsed_s: float,
        *,
        decision: Decision,
        to: Next,
        deadline: float | None,
        now: float,
        limit_at: float | None = None,
    ) -> None:
        """Attempt *number* ended, and led *to* what follows."""
        ended = AttemptEnded(
            self._call_id,
            self._target,
            number,
            outcome,
            elapsed_s,
            decision,
            to.reason,
            to.wait_s or to.hold_s,
            None if deadline is None else deadline - now,
            self._mode,
            now,
            limit_at,
        )
        self.history.append(ended)
        self._fresh.append(ended)

    def decided(
        self,
        mechanism: str,
        decision: Decision,
        reason: Reason,
        now: float,
        *,
        message: str = "",
        wait_s: float = 0.0,
    ) -> None:
        """A mechanism that only observes would have decided this."""
        self._fresh.append(
            Decided(
                self._call_id,
                self._target,
                mechanism,
                decision,
                reason,
                message,
                wait_s,
                now,
            )
        )

    def would(self, outcome: Outcome, to: Next, now: float) -> None:
        """Retries that only observe would have led a failed attempt *to* this."""
        wait_s = to.wait_s or 0.0
        decision: Decision = "fail" if to.wait_s is None else "retry"
        self.decided(
            "retry", decision, to.reason, now, message=outcome.code, wait_s=wait_s
        )

    def take(self) -> tuple[Record, ...]:
        """The records since the last time; each is given out once."""
        fresh, self._fresh = self._fresh, []
        return tuple(fresh)
