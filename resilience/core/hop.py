"""What a call tells the next hop beside its request, and what calls inherit there.

A level holds for all work done on behalf of one call, so that layers that shed shed the
same calls; a probe's mark lets layers below learn from the same attempt. Both are told
only when somebody may need them: while a breaker limits, or after a shed. How they are
written on the wire is the adapters' business.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from .levels import draw
from .policy import Criticality
from .target import Facts
from .ticks import CLASSES


if TYPE_CHECKING:
    from .call import Call


class Marks(NamedTuple):
    """What an attempt carries for those who serve it."""

    previous_attempts: int = 0
    """Of this call and of the layers above it, together."""
    criticality: Criticality | None = None
    level: float | None = None
    """Place inside the class of criticality, 0.0 to below 1.0; None: nobody asked."""
    is_probe: bool = False
    """A breaker here or above lets it through to see how things are."""


NO_MARKS = Marks()
GIVEN_UP = frozenset(
    {
        "attempts-exhausted",
        "retry-budget",
        "breaker-open",
        "limiter",
        "pushback",
        "deadline",
        "shed",
    }
)
"""Reasons for which a call ended that mean: no layer above should repeat it, the layer
nearest the fault has done what could be done."""
REFUSALS = frozenset({"breaker-open", "limiter"})
"""Reasons for which a call is not sent that say nothing about who made it."""

Word = Literal["", "given-up", "shed"]


def word_above(reason: str, *, sent: int) -> Word:
    """What the layer above hears of a call that failed.

    Args:
        reason: why it ended.
        sent: attempts that were made.

    Returns:
        `shed`: it was refused unsent, here or further down, which says nothing about
        the health of who answers. `given-up`: nobody above should repeat it. Empty:
        nothing but the status.
    """
    if reason == "shed" or (reason in REFUSALS and not sent):
        return "shed"
    return "given-up" if reason in GIVEN_UP else ""


def marks_of(call: "Call", number: int, criticality: Criticality) -> Marks:
    """What attempt *number* of *call* carries, under a policy of *criticality*."""
    facts = call.facts
    level = None
    if call.tells or facts.passes_level:
        level = call.level * CLASSES % 1
    return Marks(
        number - 1 + facts.previous_attempts,
        facts.criticality or criticality,
        level,
        call.probe == number or (facts.is_probe and number == 1),
    )


def level_of(facts: Facts, criticality: Criticality, rng: Callable[[], float]) -> float:
    """The level of a call: its own draw, or the place that its work has in the class.

    Args:
        facts: of the call; their criticality goes before the policy's *criticality*.
        criticality: the policy's.
        rng: uniform numbers on [0, 1).
    """
    said = facts.criticality or criticality
    if facts.level is None:
        return draw(said, rng)
    inside: float = facts.level
    return draw(said, lambda: inside)
