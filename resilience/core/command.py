"""What a driver must do next. Exhaustive: a driver matches every command."""

from typing import NamedTuple

from .outcome import Outcome
from .record import Reason, Record


class StartAttempt(NamedTuple):
    """Put one attempt on the wire."""

    number: int
    """Starts at 1."""
    timeout_s: float | None
    """Seconds this attempt may take; None: no limit of ours, leave the caller's."""


class CancelAttempt(NamedTuple):
    """Stop an attempt that runs; its end needs no report any more."""

    number: int
    reason: Reason


class Rejection(NamedTuple):
    """A call that is refused without being sent."""

    reason: Reason
    scope: str
    message: str
    retry_after_s: float | None = None


class Finish(NamedTuple):
    """Give the caller the end of the call; nothing follows."""

    number: int
    """The attempt whose native result is the call's; 0: none was made."""
    outcome: Outcome
    reason: Reason
    rejection: Rejection | None = None
    """Set when nothing was sent at all: raise `Rejected` made from it."""


Command = StartAttempt | CancelAttempt | Finish


class Step(NamedTuple):
    """What follows from one event."""

    commands: tuple[Command, ...] = ()
    wake_at: float | None = None
    """When to send `Woke`, monotonic; None: no wait is pending. It replaces the
    earlier one. While an attempt runs it is that attempt's end, which drivers whose
    transport times attempts itself need not watch."""
    records: tuple[Record, ...] = ()


NOTHING = Step()
