"""Everything that holds for one method, and the line that says so.

Data in, data out: `render` in the command line makes it readable. Only here is it
worked out what a policy means as a whole; the values come from the table.
"""

from dataclasses import asdict, dataclass

from resilience.core.policy import CallPolicy
from resilience.core.record import Mode
from resilience.policy import Leaf, PolicyTable

from .declared import can_be_long, declared, keyed_by
from .elsewhere import notes_of
from .method import Method, parse_method
from .worst import Worst, worst_case


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What holds for one method. `as_dict` is its stable form."""

    method: Method
    policy: CallPolicy
    name: str
    """Name, edition, hash and files of the policy."""
    edition: str
    hash: str
    files: tuple[str, ...]
    leaves: tuple[Leaf, ...]
    idempotency: str
    """What makes a repeat harmless; `unknown`: decided where the call is made."""
    idempotency_reason: str
    retries_by: str
    """Who retries, in words."""
    worst: Worst
    notes: tuple[str, ...]
    """What follows from the values and is easily overlooked."""
    notices: tuple[str, ...]
    """What is accepted but not acted on in this release."""

    def as_dict(self) -> dict[str, object]:
        """The explanation as plain data with stable keys."""
        method = self.method
        return {
            "method": str(method),
            "protocol": method.protocol,
            "target": method.name,
            "service": method.service,
            "operation": method.method,
            "mode": self.policy.mode,
            "policy": {
                "name": self.name,
                "edition": self.edition,
                "hash": self.hash,
                "files": list(self.files),
            },
            "values": [asdict(leaf) for leaf in self.leaves],
            "idempotency": {
                "value": self.idempotency,
                "reason": self.idempotency_reason,
            },
            "retries_by": self.retries_by,
            "worst_case": asdict(self.worst),
            "notes": list(self.notes),
            "notices": list(self.notices),
        }


def explain(
    table: PolicyTable,
    method: str,
    *,
    protocol: str | None = None,
    target: str | None = None,
    mode: Mode | None = None,
) -> Explanation:
    """Return everything that holds for one method.

    Args:
        table: the policy.
        method: `shop.Cart/GetCart`, `s3.PutObject`, `app:rates/quote`.
        protocol: decides where *method* has no `protocol:` prefix.
        target: gRPC target name; None: one without a rule of its own.
        mode: the engine's mode; None: as the policy says.

    Raises:
        ValueError: *method* names no method.
    """
    found = parse_method(method, table, protocol=protocol, target=target)
    where = (found.protocol, found.name, found.service, found.method)
    policy = table.policy_for(*where, mode)
    leaves = tuple(table.explain_leaves(*where, mode))
    value, reason = _idempotency(found, policy, leaves)
    return Explanation(
        method=found,
        policy=policy,
        name=table.name,
        edition=table.edition,
        hash=table.hash,
        files=table.sources,
        leaves=leaves,
        idempotency=value,
        idempotency_reason=reason,
        retries_by=_retries_by(found, policy),
        worst=worst_case(policy),
        notes=tuple(_notes(found, policy, value)),
        notices=table.notices,
    )


def _idempotency(
    method: Method, policy: CallPolicy, leaves: tuple[Leaf, ...]
) -> tuple[str, str]:
    if policy.idempotency == "auto":
        return declared(method)
    leaf = next(leaf for leaf in leaves if leaf.path == "idempotency")
    return policy.idempotency, leaf.source


def _retries_by(method: Method, policy: CallPolicy) -> str:
    native = "botocore" if method.protocol == "aws" else "native layers"
    retry = policy.retry
    if policy.mode != "enforce":
        return f"{native}, as without us (mode {policy.mode})"
    if retry is None:
        return "nobody here (retry: off)"
    if retry.mode != "enforce":
        return f"{native}, as without us (retry.mode {retry.mode})"
    if method.protocol != "aws":
        return "resilience"
    if policy.profile == "honour-client-config":
        return "botocore, by the client's configuration; resilience may veto"
    return "resilience; botocore's own retries keep still"


def _notes(method: Method, policy: CallPolicy, idempotency: str) -> list[str]:
    notes = []
    may_retry = policy.mode == "enforce" and policy.retry is not None
    if may_retry and idempotency in ("none", "unknown"):
        sure = "is" if idempotency == "none" else "may be"
        notes.append(
            f"idempotency {sure} none: then a call is not repeated after it may have "
            "been processed"
        )
    if policy.mode == "enforce" and policy.timeout_s is None:
        notes.append("no timeout: only the caller's own deadline ends the call")
    is_timed = policy.timeout_s is not None or policy.attempt_timeout_s is not None
    if policy.mode == "enforce" and is_timed and can_be_long(method):
        notes.append(
            "a request that asks to last (long poll, stream, big body) is cut only by "
            f"timeouts written for `{method.service}.{method.method}` itself"
        )
    if idempotency == "keyed" and method.protocol == "grpc":
        notes.append(
            f"keyed sends `{policy.key_header}` and asserts that the server "
            "deduplicates by it"
        )
    if policy.idempotency == "keyed" and (by := keyed_by(method)):
        notes.append(by)
    if policy.native_attempts > 1:
        notes.append(
            f"layers below make up to {policy.native_attempts} attempts of each: "
            "both multiply"
        )
    breaker = policy.breaker
    if breaker is not None and breaker.forced:
        notes.append(f"the breaker is held {breaker.forced} by the policy")
    return notes + notes_of(method, policy)
