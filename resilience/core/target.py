"""What a call is aimed at, and the facts that an adapter knows when it arrives."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from resilience.context import Criticality


Protocol = Literal["grpc", "aws", "app"]
Idempotency = Literal["safe", "keyed", "accept_duplicates", "none"]
"""What makes a repeat harmless: nothing changes, the server deduplicates by key, a
duplicate is accepted, or nothing does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a call goes. Frozen and hashable: it is the key of cached bindings."""

    protocol: Protocol
    name: str
    """gRPC: the name given to `intercept_channel`; AWS and app: the service."""
    service: str
    """gRPC `package.Service`, AWS service id in lower case (`s3`), app service."""
    method: str
    """gRPC method, AWS operation (`PutObject`), app operation."""
    labels: tuple[tuple[str, str], ...] = ()
    """Further scope dimensions that are known: region, bucket, table, queue, host."""

    @property
    def full_method(self) -> str:
        """`service/method` for gRPC and app, `service.Operation` for AWS."""
        dot = "." if self.protocol == "aws" else "/"
        return f"{self.service}{dot}{self.method}"

    def dimension(self, name: str) -> str:
        """The value of one scope dimension; `-` when it is not known."""
        if name in ("target", "service", "method", "operation"):
            key = {"target": "name", "operation": "method"}.get(name, name)
            return str(getattr(self, key))
        return next((value for key, value in self.labels if key == name), "-")


class Facts(NamedTuple):
    """What the adapter knows of one call when it arrives. Name the fields."""

    declared: Idempotency = "none"
    """Idempotency by what the protocol declares; used where the policy says `auto`."""
    timeout_s: float | None = None
    """The caller's explicit timeout; it replaces the policy's `timeout`. None: none."""
    deadline_at: float | None = None
    """The ambient deadline, monotonic; the minimum over both holds. None: none."""
    inbound_at: float | None = None
    """The deadline that was adopted from the call we serve, monotonic, the reserve
    taken off: where it equals the call's own, the caller above set it. None: none."""
    criticality: Criticality | None = None
    """The ambient criticality, which goes before the policy's. None: none is set."""
    streams: bool = False
    """The answer is a stream: an attempt is timed to its first message only, and what
    the stream takes is never slow."""
    previous_attempts: int = 0
    """Attempts that the call we serve had before this one, by a trusted peer: a call
    inside a retry spends less."""
    long: bool = False
    """The request itself asks to last (long poll, stream, big body): never slow, and
    no policy timeout shortens it."""
    least_s: float | None = None
    """The request itself asks for this long (`WaitTimeSeconds`, margin included): a
    shorter policy timeout is stretched to it. None: nothing is asked."""
    wait_before_failing: bool = False
    """A long poll whose retry was denied by the budget waits before it fails."""
    host_decides: bool = False
    """The host library decides whether to retry (botocore under its own settings);
    the engine can veto, not add."""
    keyed_means: Idempotency = "keyed"
    """What a policy's `keyed` comes to for this call: another word where the adapter
    has nothing that could carry a key."""

    can_hedge: bool = False
    """The adapter can have several attempts of this call under way at once."""
    level: float | None = None
    """Its place inside its class of criticality, 0.0 to below 1.0, which all calls of
    the work that we do for our caller share. None: the call draws its own."""
    passes_level: bool = False
    """A trusted caller sent that level: whoever serves this call is told of it."""
    is_probe: bool = False
    """It belongs to a probe of a trusted caller, and may be one of ours."""

    def idempotency(self, said: Idempotency | Literal["auto"]) -> Idempotency:
        """What a policy's word comes to for this call."""
        if said == "auto":
            return self.declared
        return self.keyed_means if said == "keyed" else said


NO_FACTS = Facts()
