"""What a behaviour row says, and what a run of it tells.

A row is a policy, one script per call, and the expected story: one line for each
attempt that starts, each decision and each end, with its moment. Every driver has to
tell the same story.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from resilience.core.binding import Binding
from resilience.core.command import StartAttempt
from resilience.core.outcome import Outcome
from resilience.core.policy import CallPolicy
from resilience.core.record import (
    AttemptEnded,
    BreakerChanged,
    CallEnded,
    Decided,
    Record,
)
from resilience.core.target import NO_FACTS, Facts
from tests.core.policies import OK, TIMEOUT, policy


ALL = ("virtual", "threads", "asyncio", "callback", "host")


class Answer(NamedTuple):
    """What one attempt meets."""

    outcome: Outcome = OK
    after_s: float = 0.0
    host_wait_s: float | None = None
    committed_after_s: float | None = None
    """When its first message reaches the caller."""


SILENT = Answer(after_s=1e6)
"""It never answers; the transport's or our own timer ends it."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """One call: when it arrives, what its attempts meet, when the caller leaves."""

    answers: Sequence[Outcome | Answer]
    at: float = 0.0
    """It arrives then, or when the call before it has ended."""
    facts: Facts = NO_FACTS
    cancel_at: float | None = None

    def answer(self, command: StartAttempt) -> Answer:
        """What the transport makes of this attempt, timed by itself."""
        found = self.answers[min(command.number, len(self.answers)) - 1]
        if isinstance(found, Outcome):
            found = Answer(found)
        if command.timeout_s is not None and found.after_s > command.timeout_s:
            return Answer(TIMEOUT, command.timeout_s)
        return found


@dataclass(frozen=True, kw_only=True)
class Row:
    """A behaviour: its sentence, its policy, what happens and what must be told."""

    says: str
    calls: Sequence[Script]
    story: str
    """The expected lines."""
    policy: CallPolicy = field(default_factory=policy)
    draw: float = 0.5
    """What each random draw gives."""
    prepare: Callable[[Binding], object] = lambda _: None
    drivers: Sequence[str] = ALL


def call(*answers: Outcome | Answer, **more) -> tuple[Script]:
    return (Script(answers=answers, **more),)


class Story:
    """The lines that a run tells, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, now: float, text: str) -> None:
        self.lines.append(f"{round(now, 6):g} {text}")

    def started(self, command: StartAttempt, now: float) -> None:
        limit = "" if command.timeout_s is None else f" ({command.timeout_s:.6g}s)"
        self.tell(now, f"start {command.number}{limit}")

    def emit(self, records: Sequence[Record]) -> None:
        for record in records:
            self.tell(record.now, _told(record))

    def __str__(self) -> str:
        return "\n".join(self.lines)


def _told(record: Record) -> str:
    match record:
        case AttemptEnded():
            text = f"{record.outcome.code}: {record.decision} ({record.reason})"
            return text + (f" in {record.wait_s:.6g}s" if record.wait_s else "")
        case CallEnded():
            sent = f"after {record.attempts}" if record.attempts else "unsent"
            free = f", {record.free_attempts} free" if record.free_attempts else ""
            doubt = ", ambiguous" if record.ambiguous else ""
            return f"end {record.outcome.code} ({record.reason}) {sent}{free}{doubt}"
        case Decided():
            return f"{record.mechanism} would {record.decision} ({record.reason})"
        case BreakerChanged():
            return f"breaker {record.old} to {record.new}"
    return record.message
