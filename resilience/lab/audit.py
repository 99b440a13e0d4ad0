"""Which writes to AWS nothing protects from being lost or done twice.

Data in, data out: the command line renders it. Every operation of the services asked
for is looked at under the policy; reads, and writes that a token, a condition or their
own nature makes safe, are not listed, nor what the policy accepts in so many words.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from resilience.core.policy import CallPolicy
from resilience.core.record import Mode
from resilience.policy import PolicyTable, match


INSTALL: Final = "pip install 'resilience-middleware[aws]'"
Consequence = Literal["not-repeated", "duplicates", "repeated-natively"]
"""After a lost answer: the caller gets the error and cannot know; it may be done twice
by us, as its contract allows; it may be done twice by botocore, which nobody stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unguarded:
    """One write that is unguarded."""

    service: str
    operation: str
    idempotency: str
    """What holds for it: `none`, `accept_duplicates`, or `keyed` with nothing to carry
    a key."""
    condition: bool
    """Only calls that carry a condition of the caller's."""
    consequence: Consequence
    reason: str
    remedy: str
    """What to write under `aws.operations.<method>`, and what then holds."""

    @property
    def method(self) -> str:
        """`s3.PutObject`."""
        return f"{self.service}.{self.operation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The writes of some services. `as_dict` is its stable form."""

    policy: str
    hash: str
    mode: str
    services: tuple[str, ...]
    operations: int
    """How many were looked at."""
    unguarded: tuple[Unguarded, ...]

    @property
    def is_clean(self) -> bool:
        """Is every write guarded?"""
        return not self.unguarded

    def as_dict(self) -> dict[str, object]:
        """The audit as plain data with stable keys."""
        return {
            "policy": {"name": self.policy, "hash": self.hash, "mode": self.mode},
            "services": list(self.services),
            "operations": self.operations,
            "unguarded": [asdict(row) for row in self.unguarded],
        }


def audit(
    table: PolicyTable,
    services: Sequence[str] = (),
    *,
    session: Any = None,
    mode: Mode | None = None,
) -> Audit:
    """Return every write that is unguarded under a policy.

    Args:
        table: the policy.
        services: botocore's names (`s3`); none: those that the policy names, and where
            it names none those of the written table.
        session: a boto3 or botocore session, for the models that it knows; None: a new
            one.
        mode: the engine's mode; None: as the policy says.

    Raises:
        ImportError: botocore is not installed.
        ValueError: botocore knows no service of that name.
    """
    inner = _session(session)
    rows: list[Unguarded] = []
    count = 0
    names = tuple(services) or services_of(table)
    for service in names:
        model = _model(inner, service)
        for operation in model.operation_names:
            count += 1
            policy = table.policy_for("aws", service, service, operation, mode)
            rows += _Look(service, model.operation_model(operation), policy).rows()
    return Audit(
        policy=table.name,
        hash=table.hash,
        mode=mode or table.mode,
        services=names,
        operations=count,
        unguarded=tuple(rows),
    )


def services_of(table: PolicyTable) -> tuple[str, ...]:
    """The services that the policy names, or else those of the written table."""
    named = {
        parts[0]
        for protocol, pattern in table.written_methods()
        if protocol == "aws" and (parts := match.split(protocol, pattern)) is not None
    }
    if named - {"*"}:
        return tuple(sorted(named - {"*"}))
    _session(None)
    from resilience.botocore.idempotency_table import TABLE

    return tuple(sorted(TABLE))


def all_services(session: Any = None) -> tuple[str, ...]:
    """Every service that the session knows.

    Raises:
        ImportError: botocore is not installed.
    """
    return tuple(_session(session).get_available_services())


def _session(session: Any) -> Any:
    try:
        import botocore.session
    except ImportError as error:
        msg = f"the audit needs botocore: {INSTALL}"
        raise ImportError(msg) from error
    if session is None:
        return botocore.session.Session()
    return getattr(session, "_session", session)


def _model(session: Any, service: str) -> Any:
    import botocore.exceptions

    try:
        return session.get_service_model(service)
    except botocore.exceptions.UnknownServiceError:
        close = difflib.get_close_matches(service, session.get_available_services(), 1)
        hint = f"; nearest: {close[0]}" if close else ""
        msg = f"botocore knows no service {service}{hint}"
        raise ValueError(msg) from None


class _Look:
    """One operation under its policy."""

    def __init__(self, service: str, model: Any, policy: CallPolicy) -> None:
        from resilience.botocore import idempotency, tokens
        from resilience.botocore.duration import LONG_POLLS
        from resilience.botocore.intents_applied import (
            carries,
            carries_under_condition,
        )

        self._service, self._operation = service, str(model.name)
        self._policy = policy
        found = idempotency.declaration(service, model.name, model)
        self._plain = found.plain
        # Work that a lost answer took is handed out again: nothing was written.
        self._is_poll = (service, model.name) in LONG_POLLS
        self._conditional = idempotency.under_condition(found)
        self._carrier = carries(service, model.name, tokens.token_of(model))
        self._by_condition = carries_under_condition(service, model.name)
        retry = policy.retry
        self._acts = policy.mode == "enforce" and (
            retry is None or retry.mode == "enforce"
        )

    def rows(self) -> Iterable[Unguarded]:
        """What is unguarded about the operation."""
        plain, said = self._plain.idempotency, self._policy.idempotency
        if self._is_poll:
            return
        if said == "auto":
            if plain in {"none", "accept_duplicates"}:
                yield self._row(plain, self._plain.reason)
            elif self._conditional is not None:
                yield self._row("none", self._conditional.reason, condition=True)
        elif not self._acts:
            if said in {"none", "keyed"} and plain in {"none", "accept_duplicates"}:
                yield self._row(said, "what the policy says is not acted upon")
        elif said == "keyed":
            why = "nothing in its requests can carry a key"
            if not self._carrier and plain not in {"safe", "keyed"}:
                yield self._row(said, why)
            elif self._conditional is not None and not self._by_condition:
                yield self._row(said, why, condition=True)

    def _row(self, word: str, reason: str, *, condition: bool = False) -> Unguarded:
        return Unguarded(
            service=self._service,
            operation=self._operation,
            idempotency=word,
            condition=condition,
            consequence=self._consequence(word),
            reason=reason,
            remedy=self._remedy(word, condition=condition),
        )

    def _consequence(self, word: str) -> Consequence:
        native = self._policy.profile == "honour-client-config" and (
            self._policy.idempotency == "auto"
        )
        if not self._acts or native:
            return "repeated-natively"
        return "duplicates" if word == "accept_duplicates" else "not-repeated"

    def _remedy(self, word: str, *, condition: bool) -> str:
        if not self._acts:
            return "mode: enforce"
        carrier = self._by_condition if condition else self._carrier
        if carrier and self._policy.idempotency != "keyed":
            return f"idempotency: keyed ({carrier})"
        if word == "accept_duplicates":
            return "idempotency: accept_duplicates, if one does no harm"
        return "idempotency: none, if the caller looks what was done after an error"
