"""What an outcome means: may the attempt be repeated, and whom does it testify about?

This file holds the kind x reached x idempotency table of the design and nothing else.
It never sees native errors; adapters have named the kind before.
"""

from typing import Literal, NamedTuple

from .outcome import Outcome
from .policy import RetryPolicy
from .record import Reason
from .target import Idempotency


Evidence = Literal["success", "failure", "overload", "neutral", "own"]
"""For the breaker: the target answered, the target failed, it asked for less (which
only a kind that can give less counts), it says nothing about the target, or the fault
is on this side and feeds a window of its own."""


class Verdict(NamedTuple):
    """May the attempt be repeated?"""

    repeat: bool
    reason: Reason
    free: bool = False
    """Costs neither attempts nor budget, and needs no wait."""


_NEVER = Verdict(repeat=False, reason="not-retryable")
_SHED = Verdict(repeat=False, reason="shed")
_PUSHED_BACK = Verdict(repeat=False, reason="pushback")
_UNSAFE = Verdict(repeat=False, reason="idempotency")
_AGAIN = Verdict(repeat=True, reason="retry")
_AT_ONCE = Verdict(repeat=True, reason="unprocessed", free=True)


def verdict(outcome: Outcome, retry: RetryPolicy, idempotency: Idempotency) -> Verdict:
    """May an attempt that ended in *outcome* be repeated?

    A listed code makes an application outcome repeatable, or its own word; transport
    and overload need no list. Whatever may have reached the server needs idempotency.
    """
    kind = outcome.kind
    if kind in {"ok", "local", "permanent"}:
        return _SHED if outcome.shed else _NEVER
    asked = outcome.pushback_s
    if asked is not None and asked < 0 and outcome.pushback_form == "exact":
        return _PUSHED_BACK  # gRFC A6; elsewhere a negative wait is just invalid
    if outcome.unprocessed and outcome.reached == "no":
        return _AT_ONCE
    if kind == "application" and not (
        outcome.retryable or outcome.code in retry.retry_on
    ):
        return _NEVER
    if outcome.reached != "no" and idempotency == "none":
        return _UNSAFE
    return _AGAIN


def evidence(outcome: Outcome) -> Evidence:
    """What *outcome* says about the health of the target.

    An application's error is an answer; throttling feeds budgets and limits, never the
    classic breaker; unprocessed work is how healthy servers say goodbye.
    """
    kind = outcome.kind
    if kind in {"ok", "application"}:
        return "success"
    if kind == "transport":
        if outcome.ours:
            return "own"
        return "neutral" if outcome.unprocessed else "failure"
    return "overload" if kind == "overload" else "neutral"
