"""The model of a whole policy file: what may be written, where, and what it means.

The reference of keys and the JSON Schema are made from the docstrings here. Nothing
after `reading` uses the model: it is turned into plain values at once.
"""

from typing import Annotated, Literal

from pydantic import Field

from .elsewhere import Fallback, Regions
from .mechanisms import (
    UNSET,
    Breaker,
    Hedging,
    Limiter,
    NativeRetries,
    Part,
    Retry,
    RetryBudget,
    RetryBuffer,
)
from .scalars import NATIVE, LengthOrOff, Line, Mode, Switchable, TargetName, Version
from .transport import Channel


class Rule(Part):
    """What holds for some calls; what is not written comes from a wider rule."""

    mode: Mode = UNSET
    """`enforce`: act. `observe`: decide and record, change nothing. `bypass`: off."""
    timeout: LengthOrOff = UNSET
    """The whole call: every attempt and every wait. A time, or `off`."""
    attempt_timeout: LengthOrOff = UNSET
    """One attempt, cut to what is left of the call. A time, or `off`."""
    first_message_timeout: LengthOrOff = UNSET
    """Streams: from the start to the first message. A time, or `off`."""
    idle_timeout: LengthOrOff = UNSET
    """Streams: from one message to the next. A time, or `off`."""
    idempotency: Literal["safe", "keyed", "accept_duplicates", "none", "auto"] = UNSET
    """What makes a repeat harmless: `safe` changes nothing, `keyed` is deduplicated by
    the server, `accept_duplicates` bears them, `none` does not; `auto`: as the
    protocol declares."""
    criticality: Literal["critical_plus", "critical", "sheddable_plus", "sheddable"] = (
        UNSET
    )
    """How much the call matters; the least critical is shed first."""
    retry: Annotated[Retry, *Switchable] = UNSET
    """Retries of one call; `off`: one attempt."""
    retry_budget: Annotated[RetryBudget, *Switchable] = UNSET
    """Retries of all calls together; `off`: bounded by `retry` only."""
    retry_buffer: Annotated[RetryBuffer, *Switchable] = UNSET
    """gRPC: streamed requests kept for a repeat; `off`: none are."""
    breaker: Annotated[Breaker, *Switchable] = UNSET
    """Circuit breaker; `off`: none."""
    limiter: Annotated[Limiter, *Switchable] = UNSET
    """Limit of concurrent attempts; see docs/limiter.md."""
    hedging: Annotated[Hedging, *Switchable] = UNSET
    """A second attempt when the first is late; see docs/hedging.md."""
    key_header: Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,64}$")] = UNSET
    """Metadata key that carries the idempotency key, in lower case."""
    trust_transport_details: bool = UNSET
    """Believe a status text that says the server was not reached. Only for peers that
    never repeat another server's status."""
    native_retries: Annotated[NativeRetries, *NATIVE] = UNSET
    """Retries of layers below: declared as `{max_attempts: N}`, `expect` (unknown, 5
    are counted) or `forbid` (there are none)."""
    fallback: Fallback = UNSET
    """Name of the function, registered by `engine.fallback`, that answers a call that
    was refused or lost; `off`: none does."""
    owner: Line = UNSET
    """Who answers for these calls; shown by `explain` and in snapshots."""


class AwsRule(Rule):
    """A rule for AWS operations."""

    profile: Literal["aws-standard-2.1", "honour-client-config", "none"] = UNSET
    """Whose retry values hold: AWS's standard mode 2.1, the client's own
    configuration, or the edition's."""
    failover: Regions = UNSET
    """Regions that answer a call that was refused or lost, in order; `off`: none.
    Reads go there; writes only where it stands under their operation's own name."""


class TargetRule(Rule):
    """A rule for one gRPC target."""

    channel: Channel = UNSET
    """How channels to this target connect, where that differs."""


class GrpcSection(Part):
    """Rules for gRPC."""

    mode: Mode = UNSET
    """Mode of all gRPC calls."""
    all: Rule = UNSET
    """Every gRPC call."""
    channel: Channel = UNSET
    """How channels made by `insecure_channel` and `secure_channel` connect."""
    targets: dict[TargetName, TargetRule] = UNSET
    """Name given to `intercept_channel` -> its rule."""
    methods: dict[str, Rule] = UNSET
    """`package.Service/Method` or `package.Service/*` -> its rule."""


class AwsSection(Part):
    """Rules for AWS."""

    mode: Mode = UNSET
    """Mode of all AWS calls."""
    all: AwsRule = UNSET
    """Every AWS call."""
    operations: dict[str, AwsRule] = UNSET
    """`service.Operation` or `service.*` -> its rule."""


class AppSection(Part):
    """Rules for functions called through the engine."""

    mode: Mode = UNSET
    """Mode of all such calls."""
    all: Rule = UNSET
    """Every such call."""
    operations: dict[str, Rule] = UNSET
    """`service/operation` or `service/*` -> its rule."""


class Overlay(Part):
    """A policy file after the first, or a policy given as data."""

    version: Version = UNSET
    """Version of this format: 1."""
    edition: Literal["2026.11"] = UNSET
    """Pinned set of built-in values; write it with quotes."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,63}$")] = UNSET
    """Identity of shared state and of telemetry: a-z, 0-9 and `-`, 1 to 63."""
    mode: Mode = UNSET
    """Mode of everything that has no mode of its own."""
    state: Literal["process", "host"] = UNSET
    """Who shares breakers and budgets: each process has its own, or all processes of
    a host that run policies of this `name` share them."""
    all: Rule = UNSET
    """Every call of any protocol."""
    grpc: GrpcSection = UNSET
    """What holds for gRPC calls."""
    aws: AwsSection = UNSET
    """What holds for AWS calls."""
    app: AppSection = UNSET
    """What holds for functions called through the engine."""


class Policy(Overlay):
    """A policy file of `resilience`."""

    version: Version = Field(default=...)
    """Version of this format: 1."""
