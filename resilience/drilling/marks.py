"""What a drill knows of one call: how often it was sent, and how often executed.

A mark is made around the caller's call and found again by each of its attempts, in
whatever thread or task they run, by a context variable.
"""

from contextvars import ContextVar
from typing import Any, NamedTuple

from resilience.core.target import Target


class Mark:
    """One call under way. Its attempts may run in several threads."""

    __slots__ = (
        "answered",
        "attempts",
        "began",
        "idempotency",
        "injected",
        "limit_s",
        "target",
    )

    def __init__(
        self, target: Target, idempotency: str, began: float, limit_s: float | None
    ) -> None:
        self.target = target
        self.idempotency = idempotency
        """What makes a repeat harmless, `none` if nothing does."""
        self.began = began
        self.limit_s = limit_s
        """How long it may take, as the caller says; None: no limit."""
        self.attempts = 0
        self.answered = 0
        """Attempts that the server is known to have executed."""
        self.injected: tuple[str, ...] = ()
        """Kinds of the faults that its attempts met."""


class CallSeen(NamedTuple):
    """A call that has ended. Plain values, ready for JSON."""

    method: str
    at: float
    """When it began, in seconds from the drill's start."""
    elapsed_s: float
    code: str
    """`OK`, or what it ended in."""
    attempts: int
    answered: int
    idempotency: str
    limit_s: float | None
    injected: tuple[str, ...]

    @property
    def is_ok(self) -> bool:
        """Did the caller get an answer?"""
        return self.code == "OK"

    @classmethod
    def of(cls, row: list[Any]) -> "CallSeen":
        """The call that *row*, a line of JSON, tells of."""
        return cls._make((*row[:-1], tuple(row[-1])))


current: ContextVar[Mark | None] = ContextVar("resilience_drill_call", default=None)
"""The outermost call under way here; None: none of a drill."""
