"""Where a call was decided otherwise than recorded, and by which decision first."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from resilience.core.record import AttemptEnded, CallEnded

from .answers import Certainty
from .recorded import Recorded


Kind = Literal[
    "rejected-now",
    "sent-now",
    "fails-now",
    "succeeds-now",
    "fewer-attempts",
    "more-attempts",
    "other-hedges",
    "other-code",
    "other-reason",
]
"""What differs, the gravest first; a call is counted under one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One call that would have gone otherwise."""

    call_id: str
    at_s: float
    """Seconds from the beginning of the recording to its arrival."""
    method: str
    target: str
    kind: Kind
    why: str
    """The first decision that differs: what was recorded, what it is now."""
    certainty: Certainty
    """`known`: every attempt of it was really made, then and there."""
    attempts: tuple[int, int]
    """Recorded, and now."""
    code: tuple[str, str]
    reason: tuple[str, str]

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def differs(before: CallEnded, after: CallEnded) -> Kind | None:
    """What differs between two ends of one call; None: nothing that was decided."""
    found: Kind | None = None
    was_good, is_good = before.outcome.kind == "ok", after.outcome.kind == "ok"
    if bool(before.attempts) != bool(after.attempts):
        found = "sent-now" if after.attempts else "rejected-now"
    elif was_good != is_good:
        found = "succeeds-now" if is_good else "fails-now"
    elif before.attempts != after.attempts:
        is_more = after.attempts > before.attempts
        found = "more-attempts" if is_more else "fewer-attempts"
    elif before.hedges != after.hedges:
        found = "other-hedges"
    elif before.outcome.code != after.outcome.code:
        found = "other-code"
    elif before.reason != after.reason:
        found = "other-reason"
    return found


def why(recorded: Recorded, attempts: Sequence[AttemptEnded], ended: CallEnded) -> str:
    """The first decision that differs, in words."""
    before = {one.number: one for one in recorded.attempts}
    for after in attempts:
        was = before.get(after.number)
        if was is None:
            said = _first(recorded.ended, after.number)
            return f"recorded: {said}; now {_attempt(after)}"
        if (was.decision, was.reason, was.outcome.code) != (
            after.decision,
            after.reason,
            after.outcome.code,
        ):
            return f"recorded: {_attempt(was)}; now {_attempt(after)}"
    now = {one.number for one in attempts}
    for number, was in sorted(before.items()):
        if number not in now:
            return f"recorded: {_attempt(was)}; now {_end(ended)}"
    return f"recorded: {_end(recorded.ended)}; now {_end(ended)}"


def _first(ended: CallEnded, number: int) -> str:
    if ended.outcome.kind == "ok" and ended.attempts == number == 1:
        return f"attempt 1 OK after {_length(ended.elapsed_s)}"
    return _end(ended)


def _attempt(one: AttemptEnded) -> str:
    text = f"attempt {one.number} {one.outcome.code} after {_length(one.elapsed_s)}"
    if one.decision == "return":
        return text
    if one.decision == "retry":
        return f"{text}, retried after {_length(one.wait_s)}"
    return f"{text}, {one.decision}: {one.reason}"


def _end(ended: CallEnded) -> str:
    if not ended.attempts:
        return f"not sent: {ended.reason} ({ended.outcome.message})"
    code = ended.outcome.code
    plural = "" if ended.attempts == 1 else "s"
    return f"{code} after {ended.attempts} attempt{plural} ({ended.reason})"


def _length(seconds: float) -> str:
    return f"{seconds:.3g}s" if seconds >= 1 else f"{seconds * 1000:.3g}ms"
