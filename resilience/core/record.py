"""What was decided and why, as data for the sinks. Nothing reads a record back.

Every record is an immutable tuple of plain values, ready for JSON.
"""

from typing import Literal, NamedTuple

from .outcome import Outcome
from .served import Served
from .target import NO_FACTS, Facts, Target


Reason = Literal[
    "ok",
    "not-retryable",
    "attempts-exhausted",
    "deadline",
    "attempt-timeout",
    "idempotency",
    "retry-budget",
    "breaker-open",
    "limiter",
    "pushback",
    "committed",
    "cancelled",
    "unprocessed",
    "retry",
    "host",
    "native",
    "hedge",
    "superseded",
    "verified",
    "shed",
]
"""Why a decision was taken; kebab-case, stable, safe as a metric attribute."""

Decision = Literal["return", "retry", "hedge", "fail", "reject", "wait", "ignore"]
Mode = Literal["enforce", "observe", "bypass"]
DeadlineOrigin = Literal["inbound", "ambient", "explicit", "policy", "none"]
"""Who set a call's deadline: the caller of the call that we serve, `deadline()` around
it, its own `timeout=`, the policy; or nobody."""


class AttemptEnded(NamedTuple):
    """One attempt ended, and what was decided then."""

    call_id: str
    target: Target
    number: int
    outcome: Outcome
    elapsed_s: float
    decision: Decision
    reason: Reason
    wait_s: float
    """Backoff before the next attempt; 0 when there is none."""
    time_left_s: float | None
    """To the call's deadline; None: it has none."""
    mode: Mode
    now: float
    limit_at: float | None = None
    """When its own timeout would have ended it; None: never, or it had rivals."""


class CallEnded(NamedTuple):
    """A call ended; exactly one of these for each call that arrived."""

    call_id: str
    target: Target
    outcome: Outcome
    reason: Reason
    attempts: int
    """On the wire, the first included; 0: refused unsent."""
    free_attempts: int
    """Of these, repeats of unprocessed work, which cost nothing."""
    first_code: str
    """The code of the first attempt: a failure that was masked shows here."""
    elapsed_s: float
    wait_s: float
    """Time with no attempt under way."""
    ambiguous: bool
    """The call failed, and the server may have executed it."""
    mode: Mode
    idempotency: str
    timeout_s: float | None
    """The whole call's allowance at arrival; None: none."""
    now: float
    deadline_origin: DeadlineOrigin = "none"
    """Whose deadline it was."""
    hedges: int = 0
    """Of the attempts, those that were sent while another was under way, or at once
    after it failed."""
    facts: Facts = NO_FACTS
    """What was known of it when it arrived: with this it can be played again."""
    draws: tuple[float, ...] = ()
    """The random numbers it took, where a sink asked for them."""
    commits: tuple[tuple[float, bool], ...] = ()
    """When what could not be taken back happened, and was it the first message?"""


class Decided(NamedTuple):
    """A decision that was recorded but not acted upon (mode observe)."""

    call_id: str
    target: Target
    mechanism: str
    decision: Decision
    reason: Reason
    message: str
    wait_s: float
    now: float


class Diverted(NamedTuple):
    """Somebody else was asked for the answer of a call that failed."""

    call_id: str
    target: Target
    mechanism: Literal["failover", "fallback"]
    place: str
    """The region, or the fallback's name."""
    code: str
    """`OK`: it answered; else what it ended in."""
    reason: Reason
    """Why the call itself had ended."""
    elapsed_s: float
    """What asking took."""
    now: float


class BreakerChanged(NamedTuple):
    """A breaker moved from one state to another."""

    scope: str
    old: str
    new: str
    evidence: str
    until: float | None
    now: float


class Notice(NamedTuple):
    """Something an operator should know once (a reload failed, a sink failed)."""

    code: str
    message: str
    now: float


Record = (
    AttemptEnded | CallEnded | Decided | Diverted | BreakerChanged | Notice | Served
)
