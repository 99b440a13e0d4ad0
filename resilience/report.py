"""Why a call ended as it did, as data and as a note on the error that callers catch.

Adapters attach a report to the real error; `report(error)` gives it back. It holds
codes, times, decisions and ids, never payloads, metadata values or credentials.
"""

from dataclasses import asdict, dataclass, replace

from resilience.core.call import Call
from resilience.core.target import Target


ATTRIBUTE = "__resilience_report__"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReport:
    """One attempt of a reported call."""

    number: int
    """Starts at 1."""
    code: str
    kind: str
    reached: str
    """May the server have acted on it: `no`, `maybe`, `yes`."""
    elapsed_s: float
    decision: str
    reason: str
    wait_s: float
    """Backoff that followed; 0 when none did."""
    message: str
    ids: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The history of one call. Immutable; safe to share between threads."""

    call_id: str
    """The same in log lines, notes and records."""
    target: Target
    reason: str
    """Why it ended: `attempts-exhausted`, `idempotency`, `breaker-open`, ..."""
    attempts: tuple[AttemptReport, ...]
    elapsed_s: float
    ambiguous: bool
    """May the server have executed a call that failed?"""
    idempotency: str
    retry_after_s: float | None
    """When asking again makes sense, where the server or a breaker said so."""
    ids: tuple[tuple[str, str], ...]
    """Identifiers that the server gave for the last attempt."""
    ended_at: float = 0.0
    """When it ended, on the engine's monotonic clock."""
    hint: str = ""
    """Likely cause and remedy, where one is known."""
    elsewhere: tuple[str, ...] = ()
    """Who else was asked for an answer, and how that ended; or why nobody was."""

    def as_dict(self) -> dict[str, object]:
        """The report as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        codes = ", ".join(attempt.code for attempt in self.attempts) or "nothing sent"
        count = len(self.attempts)
        text = (
            f"resilience: {self.target.full_method} [{self.call_id}]: "
            f"{count} attempt{'s' if count != 1 else ''} in {self.elapsed_s:.3g}s "
            f"({codes}); ended by {self.reason}"
        )
        if self.ambiguous:
            text += "; ambiguous: the server may have executed it"
        if self.target.protocol == "aws":
            text += "".join(f"; {name} {value}" for name, value in self.ids)
        if self.retry_after_s is not None:
            text += f"; try again in {self.retry_after_s:.3g}s"
        return "; ".join((text, *self.elsewhere, *filter(None, (self.hint,))))


def report(error: BaseException | object) -> Report | None:
    """The history of the call that ended in *error*; None: it is not one of ours.

    Takes any error that a protected call raised, `Rejected` included, and the gRPC
    call objects that are errors. Safe to share between threads.
    """
    found = getattr(error, ATTRIBUTE, None)
    return found if isinstance(found, Report) else None


def of_call(call: Call, retry_after_s: float | None = None, hint: str = "") -> Report:
    """The report of *call*, which has ended."""
    ended = call.ended
    if ended is None:
        msg = f"call {call.id} has not ended"
        raise RuntimeError(msg)
    attempts = tuple(
        AttemptReport(
            number=done.number,
            code=done.outcome.code,
            kind=done.outcome.kind,
            reached=done.outcome.reached,
            elapsed_s=done.elapsed_s,
            decision=done.decision,
            reason=done.reason,
            wait_s=done.wait_s,
            message=done.outcome.message,
            ids=done.outcome.ids,
        )
        for done in call.history
    )
    asked = ended.outcome.pushback_s
    if retry_after_s is None and asked is not None and asked >= 0:
        retry_after_s = asked
    return Report(
        call_id=call.id,
        target=ended.target,
        reason=ended.reason,
        attempts=attempts,
        elapsed_s=ended.elapsed_s,
        ambiguous=ended.ambiguous,
        idempotency=ended.idempotency,
        retry_after_s=retry_after_s,
        ids=ended.outcome.ids,
        ended_at=ended.now,
        hint=hint,
    )


def attach(error: BaseException, made: Report) -> None:
    """Put *made* on *error*, with its sentence as a note; both replace older ones.

    So an error object that is raised again and again does not grow.
    """
    try:
        had = report(error)
        setattr(error, ATTRIBUTE, made)
        notes = getattr(error, "__notes__", None)
        if had is not None and notes and str(had) in notes:
            notes.remove(str(had))
        error.add_note(str(made))
    except (AttributeError, TypeError):
        return  # an error with slots: the caller still gets it unchanged


def amend(error: BaseException, *elsewhere: str) -> None:
    """Add to the report of *error* who else was asked; without one, as a note."""
    had = report(error)
    if had is not None:
        attach(error, replace(had, elsewhere=(*had.elsewhere, *elsewhere)))
        return
    try:
        for text in elsewhere:
            error.add_note(f"resilience: {text}")
    except (AttributeError, TypeError):
        return  # as in `attach`
