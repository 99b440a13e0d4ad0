"""What changes for whom between two policies: effective values, not lines of text.

Every method named in either policy is compared, and for each protocol and target also
any method that is not named. A change without effect does not show.
"""

from dataclasses import asdict, dataclass

from resilience.policy import Leaf, PolicyTable, match

from .method import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One value that differs."""

    path: str
    """Key path inside a rule; of the file for changes of the whole."""
    before: str | None
    """None: there was no such value."""
    after: str | None
    """None: there is no such value any more."""
    before_source: str
    after_source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodDiff:
    """What differs for one method."""

    method: str
    """`grpc:shop.Cart/GetCart`; `grpc:*` is any method that is not named."""
    target: str
    """gRPC target; `-` for one without a rule, and for other protocols."""
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDiff:
    """What differs between two policies. `as_dict` is its stable form."""

    before_hash: str
    after_hash: str
    whole: tuple[Change, ...]
    """Changes of name, edition, mode and state."""
    methods: tuple[MethodDiff, ...]

    def __bool__(self) -> bool:
        """Tell whether anything differs."""
        return bool(self.whole or self.methods)

    def as_dict(self) -> dict[str, object]:
        """The differences as plain data with stable keys."""
        return {
            "same": not self,
            "before": self.before_hash,
            "after": self.after_hash,
            "whole": [asdict(change) for change in self.whole],
            "methods": [asdict(method) for method in self.methods],
        }


def diff(before: PolicyTable, after: PolicyTable) -> PolicyDiff:
    """Return the effective differences between two policies."""
    whole = [
        Change(path=path, before=old, after=new, before_source="", after_source="")
        for path, old, new in (
            ("name", before.name, after.name),
            ("edition", before.edition, after.edition),
            ("mode", before.mode, after.mode),
            ("state", before.state, after.state),
        )
        if old != new
    ]
    methods = []
    for method in _methods(before, after):
        changes = _changes(_leaves(before, method), _leaves(after, method))
        if changes:
            shown = f"{method.protocol}:*" if method.service == "*" else str(method)
            target = method.name if method.protocol == "grpc" else "-"
            methods.append(MethodDiff(method=shown, target=target, changes=changes))
    return PolicyDiff(
        before_hash=before.hash,
        after_hash=after.hash,
        whole=tuple(whole),
        methods=tuple(methods),
    )


def _methods(*tables: PolicyTable) -> list[Method]:
    """Return any method of each protocol and target, then the named ones."""
    found: dict[Method, None] = {}
    found[Method(protocol="grpc", name="-", service="*", method="*")] = None
    found[Method(protocol="aws", name="*", service="*", method="*")] = None
    found[Method(protocol="app", name="*", service="*", method="*")] = None
    for table in tables:
        for target in table.written_targets():
            found[Method(protocol="grpc", name=target, service="*", method="*")] = None
    for table in tables:
        for protocol, pattern in table.written_methods():
            parts = match.split(protocol, pattern)
            if parts is not None:
                service, method = parts
                name = "-" if protocol == "grpc" else service
                found[
                    Method(protocol=protocol, name=name, service=service, method=method)
                ] = None
    return list(found)


def _leaves(table: PolicyTable, method: Method) -> dict[str, Leaf]:
    found = table.explain_leaves(
        method.protocol, method.name, method.service, method.method
    )
    return {leaf.path: leaf for leaf in found}


def _changes(before: dict[str, Leaf], after: dict[str, Leaf]) -> tuple[Change, ...]:
    changes = []
    for path in {**before, **after}:
        old, new = before.get(path), after.get(path)
        if (old and old.value) != (new and new.value):
            changes.append(
                Change(
                    path=path,
                    before=old.value if old else None,
                    after=new.value if new else None,
                    before_source=old.source if old else "",
                    after_source=new.source if new else "",
                )
            )
    return tuple(changes)
