"""The end of a call of which nothing was sent: which rule, until when, whom to ask."""

from .binding import Binding
from .command import Rejection
from .outcome import Outcome
from .record import Reason


def refused(
    binding: Binding, reason: Reason, message: str, retry_after_s: float | None
) -> tuple[Outcome, Rejection]:
    """The outcome of a call for *binding*, and what its caller is told."""
    text = f"{binding.target.full_method}: {message}; nothing was sent"
    if retry_after_s is not None:
        text += f"; next admission in {retry_after_s:.2g}s"
    if binding.policy.owner:
        text += f"; owner {binding.policy.owner}"
    code = "DEADLINE_EXCEEDED" if reason == "deadline" else "UNAVAILABLE"
    outcome = Outcome(code, "local", "no", message=text)
    return outcome, Rejection(reason, binding.scope.key, text, retry_after_s)
