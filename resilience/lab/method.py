"""Which method a text names: `shop.Cart/GetCart`, `s3.PutObject`, `app:rates/quote`.

A prefix (`grpc:`, `aws:`, `app:`) decides the protocol; without one the spelling and
the policy's own `app` rules do.
"""

from dataclasses import dataclass
from typing import cast

from resilience.core.target import Protocol
from resilience.policy import PolicyTable, match


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method, as a policy looks it up."""

    protocol: Protocol
    name: str
    """gRPC target name; the service elsewhere."""
    service: str
    method: str

    def __str__(self) -> str:
        text = match.exact_pattern(self.protocol, self.service, self.method)
        return f"{self.protocol}:{text}"


def parse_method(
    text: str,
    table: PolicyTable,
    *,
    protocol: str | None = None,
    target: str | None = None,
) -> Method:
    """Return the method that *text* names.

    Args:
        text: `package.Service/Method`, `service.Operation` or `service/operation`,
            with an optional `protocol:` before it; `*` stands for any method.
        table: its `app` rules tell an application's names from gRPC's.
        protocol: decides where the text has no prefix.
        target: name given to `intercept_channel`; None: a target without a rule.

    Raises:
        ValueError: *text* is no method, or *protocol* is unknown.
    """
    prefix, colon, rest = text.partition(":")
    if not colon:
        prefix, rest = protocol or _guess(text, table), text
    if prefix not in match.ALLOWED:
        msg = f"a protocol is grpc, aws or app, got {prefix!r}"
        raise ValueError(msg)
    found = match.split(prefix, rest)
    if found is None:
        hint = match.suggestion(prefix, rest)
        msg = f"{rest!r} is no method: {match.ALLOWED[prefix]} is expected"
        raise ValueError(f"{msg}; {hint}" if hint else msg)
    service, method = found
    name = (target or "-") if prefix == "grpc" else service
    return Method(
        protocol=cast("Protocol", prefix), name=name, service=service, method=method
    )


def _guess(text: str, table: PolicyTable) -> str:
    if "/" not in text:
        return "aws"
    service = text.partition("/")[0]
    own = {
        pattern.partition("/")[0]
        for protocol, pattern in table.written_methods()
        if protocol == "app"
    }
    return "app" if service in own else "grpc"
