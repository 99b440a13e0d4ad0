"""What an examination found, as frozen data.

Text from the network enters findings only here, and here it is made printable and
cut: whatever a peer sends stays on one line of a terminal and moves nothing.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Final, Literal


MAX_CHARS: Final = 400
"""A text in a finding is cut to this many characters."""

Level = Literal["problem", "advice", "fact"]
"""`problem`: calls fail or will; `advice`: it works, and could work better; `fact`."""


def shown(text: str | bytes, limit: int = MAX_CHARS) -> str:
    """*text* as one printable line of at most *limit* characters.

    Control characters, line breaks and marks that turn the writing direction are
    escaped.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    kept = text[: limit + 1]
    if not kept.isprintable():
        kept = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in kept)
    return kept if len(kept) <= limit else f"{kept[: limit - 3]}..."


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found. All texts are printable, whoever wrote them."""

    code: str
    """Stable kebab-case code: `tcp-refused`, `certificate-expired`, ..."""
    level: Level
    what: str
    """One sentence that says what is so."""
    evidence: str = ""
    """What was seen, as the peer or the system wrote it."""
    cause: str = ""
    """The likely cause."""
    remedy: str = ""
    """What to change, and where."""
    address: str = ""
    """Which of the target's addresses; empty: the target as a whole."""

    def __post_init__(self) -> None:
        for field in fields(self):
            text = getattr(self, field.name)
            object.__setattr__(self, field.name, shown(text))

    def as_dict(self) -> dict[str, object]:
        """The finding as plain data, for `--format json`."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is known about a target after an examination."""

    target: str
    """The target as it was given, printable."""
    addresses: tuple[str, ...]
    """What it resolved to, in the order of the resolver."""
    services: tuple[str, ...]
    """Services that the server lists by reflection."""
    findings: tuple[Finding, ...]
    """In the order of the examination: name, connection, TLS, HTTP/2, gRPC."""
    elapsed_s: float

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that need a change."""
        return tuple(f for f in self.findings if f.level == "problem")

    @property
    def is_healthy(self) -> bool:
        """Whether nothing was found that fails calls."""
        return not self.problems

    def has(self, code: str) -> bool:
        """Whether there is a finding with this *code*."""
        return any(finding.code == code for finding in self.findings)

    def as_dict(self) -> dict[str, object]:
        """The diagnosis as plain data, for `--format json`."""
        return {
            "target": self.target,
            "healthy": self.is_healthy,
            "elapsed_s": round(self.elapsed_s, 3),
            "addresses": list(self.addresses),
            "services": list(self.services),
            "findings": [finding.as_dict() for finding in self.findings],
        }


def diagnosis(
    target: str,
    findings: Sequence[Finding],
    *,
    addresses: Sequence[str] = (),
    services: Sequence[str] = (),
    elapsed_s: float,
) -> Diagnosis:
    """A diagnosis whose texts are printable."""
    return Diagnosis(
        target=shown(target),
        addresses=tuple(shown(address) for address in addresses),
        services=tuple(shown(service) for service in services),
        findings=tuple(findings),
        elapsed_s=elapsed_s,
    )
