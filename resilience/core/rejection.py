"""The end of a call of which nothing was sent: which rule, until when, whom to ask."""

from .binding import Binding
from .command import Rejection
from .outcome import Outcome
from .record import Reason


_CODES: dict[Reason, str] = {
    "deadline": "DEADLINE_EXCEEDED",
    "limiter": "RESOURCE_EXHAUSTED",
}
"""What a refusal is called where the caller only knows codes."""


def refused(
    binding: Binding, reason: Reason, message: str, retry_after_s: float | None
) -> tuple[Outcome, Rejection]:
    """The outcome of a call for *binding*, and what its caller is told."""
    text = f"{binding.target.full_method}: {message}; nothing was sent"
    if retry_after_s is not None:
        text += f"; next admission in {retry_after_s:.2g}s"
    if binding.policy.owner:
        text += f"; owner {binding.policy.owner}"
    code = _CODES.get(reason, "UNAVAILABLE")
    outcome = Outcome(code, "local", "no", message=text)
    return outcome, Rejection(reason, binding.scope.key, text, retry_after_s)
