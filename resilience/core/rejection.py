"""What a refused caller is told: which rule, where, until when, whom to ask."""

from .binding import Binding
from .command import Rejection
from .record import Reason


def make_rejection(
    binding: Binding, reason: Reason, message: str, retry_after_s: float | None
) -> Rejection:
    """The rejection of a call for *binding* of which nothing was sent."""
    text = f"{binding.target.full_method}: {message}; nothing was sent"
    if retry_after_s is not None:
        text += f"; next admission in {retry_after_s:.2g}s"
    if binding.policy.owner:
        text += f"; owner {binding.policy.owner}"
    return Rejection(reason, binding.scope.key, text, retry_after_s)
