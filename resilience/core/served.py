"""The record of a call that we served, as server interceptors make it."""

from typing import Literal, NamedTuple


ServedReason = Literal[
    "ok", "failed", "late", "cancelled", "dropped-deadline", "dropped-gone"
]
"""`late`: it finished after its caller had left; `cancelled`: it was stopped then;
`dropped-...`: the handler never ran. In mode observe a drop is only noted, and the
handler's own end follows nowhere."""


class Served(NamedTuple):
    """One call that we served has ended."""

    call_id: str
    """What both ends log."""
    method: str
    """`shop.Cart/Get`."""
    code: str
    """Name of the status it was answered with, `OK` too; empty: none was sent."""
    reason: ServedReason
    elapsed_s: float
    budget_s: float | None
    """What its caller allowed when it came; None: no deadline."""
    time_left_s: float | None
    """Of the budget, at the end; below 0: it was overspent."""
    previous_attempts: int
    """Made before it, here and above, by a trusted peer."""
    criticality: str
    """By a trusted peer; empty: none was sent."""
    now: float
