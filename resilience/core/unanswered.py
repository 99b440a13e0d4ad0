"""Which calls ended without an answer, so that somebody else may give one.

One rule for failover and fallbacks: a call that we refused, or that was lost on the way
and may not be tried again. What a server answered, what was wrong on this side and what
the caller gave up himself is never answered by others.
"""

from .record import CallEnded


REFUSALS = frozenset({"breaker-open", "deadline", "limiter", "retry-budget"})
"""Reasons for which a call is refused unsent."""
SPENT = frozenset(
    {"attempts-exhausted", "breaker-open", "deadline", "idempotency", "retry-budget"}
)
"""Reasons for which a listed application code is not tried again."""


def is_unanswered(ended: CallEnded) -> bool:
    """Did a call end without an answer?"""
    outcome = ended.outcome
    return lacks_answer(outcome.kind, outcome.code, ended.reason, sent=ended.attempts)


def lacks_answer(kind: str, code: str, reason: str, *, sent: int) -> bool:
    """Did a call end without an answer?

    Args:
        kind: of its last outcome.
        code: likewise.
        reason: why it ended.
        sent: how many attempts were made.
    """
    if reason == "cancelled":
        return False
    if kind in {"transport", "overload"} or reason == "shed":
        return True
    if kind == "application":
        return reason in SPENT
    if kind != "local":
        return False
    # Refused by us, or late before the first attempt was sent.
    return code == "DEADLINE_EXCEEDED" or (not sent and reason in REFUSALS)
