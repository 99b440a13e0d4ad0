"""Writes that can be told apart: what is added to them, and what a refusal means.

A `keyed` write carries an intent id where the service keeps it (metadata, attribute)
and a condition, so that a repeat finds its own first write instead of doing it again.
This file follows one call through its attempts; how each service is asked is written
in `conditions_s3.py` and `conditions_dynamodb.py`. Nothing here sends anything.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any, Protocol

from resilience.core.outcome import Outcome

from . import conditions_dynamodb, conditions_s3
from .intents import Identity
from .verify import Finding, Steps


Params = Mapping[str, Any]
CONDITIONS = ("If-Match", "If-None-Match")
"""Headers that a repeat may get of us, named like their members but for the dash."""


class Kind(Protocol):
    """How one service keeps the identity of a write. Made for one call."""

    refusals: frozenset[str]
    """Codes by which it refuses the repeat of a write that is there."""
    repeats: bool
    """May an attempt that may have been executed be repeated, once it was looked?"""

    def prepare(self, params: dict[str, Any]) -> None:
        """Put the identity and the conditions into *params*."""

    def look(self) -> Steps:
        """Read what is there."""
        ...

    def looks_first(self) -> bool:
        """Must it be looked before the first attempt (the key may be an old one)?"""
        ...

    def looks_before_repeat(self) -> bool:
        """Can a repeat do harm that its conditions would not prevent?"""
        ...

    def judge(self, parsed: dict[str, Any]) -> Finding | None:
        """What the refusal *parsed* itself tells; None: it must be looked."""
        ...

    def lost(self, code: str) -> bool:
        """Is it a condition of ours, not the caller's, that was refused with *code*?"""
        ...

    def keep(self, parsed: Mapping[str, Any]) -> None:
        """The write succeeded with the answer *parsed*."""


class Write:
    """One keyed write on its way. Owned by the thread or task of its call."""

    def __init__(self, identity: Identity, kind: Kind) -> None:
        self.identity = identity
        self._kind = kind
        self._is_ambiguous = False
        self._is_looked = False
        self._is_lost = False
        self._conditions: Mapping[str, str] | None = None
        self.note = ""
        """Why it cannot be told whether the write is there; empty: it can."""

    @property
    def repeats(self) -> bool:
        """May an attempt that may have been executed be repeated?"""
        return self._kind.repeats

    def prepare(self, params: dict[str, Any]) -> None:
        """Put identity and conditions into the request's *params*, in place."""
        self._kind.prepare(params)
        for header, value in (self._conditions or {}).items():
            params[header.replace("-", "")] = value

    def apply(self, headers: MutableMapping[str, Any]) -> None:
        """Put the conditions of the next attempt into its *headers*."""
        if self._conditions is None:
            return
        for header in CONDITIONS:
            if header in headers:
                del headers[header]
        for header, value in self._conditions.items():
            headers[header] = value

    def before_first(self) -> Steps | None:
        """What must be looked before anything is sent; None: nothing."""
        return self._kind.look() if self._kind.looks_first() else None

    def after(
        self, outcome: Outcome, parsed: dict[str, Any] | None, *, is_last: bool
    ) -> Finding | Steps | None:
        """What an attempt that ended with *outcome* asks for.

        Args:
            outcome: of the attempt.
            parsed: its answer; None: there was none.
            is_last: no further attempt will be made.
        """
        if outcome.code in self._kind.refusals:
            found = None if parsed is None else self._kind.judge(parsed)
            if found is not None:
                return found
            is_suspect = self._is_ambiguous or self.identity.by_key
            if is_suspect or self._kind.lost(outcome.code):
                self._is_looked = True
                return self._kind.look()
        elif outcome.reached == "maybe":
            self._is_ambiguous = True
            if is_last:
                self._is_looked = True
                return self._kind.look()
        return None

    def restated(self, outcome: Outcome) -> Outcome:
        """*outcome*, as it is meant where a condition of ours was refused.

        Somebody else wrote in between: nothing was done, and the caller did not ask
        for a condition, so the write is tried again.
        """
        if not self._kind.lost(outcome.code):
            return outcome
        self._is_lost = True
        return outcome._replace(kind="overload", reached="no")

    def at_end(self) -> Steps | None:
        """What to look for when no further attempt is made; None: nothing."""
        if not self._is_ambiguous or self._is_looked:
            return None
        return self._kind.look()

    def before_repeat(self) -> Steps | None:
        """What must be looked before the next attempt; None: nothing."""
        self._is_looked = False
        if not self._is_ambiguous and not self._is_lost:
            return None
        return self._kind.look() if self._kind.looks_before_repeat() else None

    def take(self, found: Finding) -> bool:
        """Remember what was *found*; True: the write is there."""
        self.note = found.note
        if found.answer is None:
            if found.is_known:
                self._conditions = found.headers
            return False
        return True

    def succeeded(self, parsed: object) -> None:
        """The caller gets *parsed*."""
        if isinstance(parsed, Mapping):
            self._kind.keep(parsed)


def write_of(
    service: str, operation: str, model: Any, params: Params, identity: Identity
) -> Write | None:
    """How a call can be made safe by conditions; None: it cannot."""
    kind: Kind | None = None
    if service == "s3":
        kind = conditions_s3.kind_of(operation, model, params, identity)
    elif service == "dynamodb":
        kind = conditions_dynamodb.kind_of(operation, params, identity)
    return None if kind is None else Write(identity, kind)


def can_carry(service: str, operation: str) -> bool:
    """Is there a way to make this operation safe by conditions, for some parameters?"""
    return (service, operation) in _CARRIERS


_CARRIERS = frozenset(
    {
        *(("s3", name) for name in conditions_s3.OPERATIONS),
        *(("dynamodb", name) for name in conditions_dynamodb.OPERATIONS),
    }
)
