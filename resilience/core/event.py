"""What can happen to a call. Drivers make these; only `call.py` interprets them."""

from dataclasses import dataclass
from typing import NamedTuple

from .outcome import Outcome


@dataclass(frozen=True, slots=True)
class Arrived:
    """The caller asked for the call."""


class AttemptCommitted(NamedTuple):
    """Something that cannot be taken back: no retry from here.

    A message or metadata reached the caller, or the requests outgrew their buffer.
    """

    number: int
    answered: bool = True
    """The first message is there: the attempt is healthy, and timed no longer."""


class AttemptDone(NamedTuple):
    """An attempt ended."""

    number: int
    outcome: Outcome
    host_wait_s: float | None = None
    """Where the host library decides: it wants to try again after this many seconds;
    None: it does not want to."""


class Woke(NamedTuple):
    """The moment a step asked for has come.

    A timer may fire early by a rounding error, so the engine takes the later of `due`
    and `now` (aioquic does it in its driver).
    """

    due: float


class CallerGone(NamedTuple):
    """The caller cancelled, or nobody waits for the answer any more."""

    reason: str = "cancelled"


Event = Arrived | AttemptCommitted | AttemptDone | Woke | CallerGone

ARRIVED = Arrived()
