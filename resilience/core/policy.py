"""Compiled policy: the knobs as the engine sees them, frozen and shared.

Times are seconds, ratios 0.0-1.0. `None` for a mechanism means off. No value here is
a default that users see: built-in values live in the edition.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .admission import RULE, AdaptiveRule
from .record import Mode
from .target import Idempotency


Jitter = Literal["full", "equal", "decorrelated", "none"]
Criticality = Literal["critical_plus", "critical", "sheddable_plus", "sheddable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackoffPolicy:
    """Waits between attempts."""

    initial_s: float
    max_s: float
    multiplier: float
    jitter: Jitter
    waits: Callable[[], Iterator[float]] = field(compare=False, repr=False)
    """Makes the sequence of un-jittered waits, already capped at `max_s`; made by the
    policy room from the `backoff` package's generators."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRule:
    """What differs for one code (gRPC INTERNAL: one late, lone retry)."""

    max_attempts: int | None
    """Attempts that may end in this code; None: no limit of its own."""
    backoff: BackoffPolicy | None
    """Its own waits; None: the policy's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Bounded, jittered retries."""

    mode: Mode
    max_attempts: int
    """Counts the first."""
    backoff: BackoffPolicy
    overload_backoff: BackoffPolicy | None
    """Waits after an overload outcome; None: as others."""
    retry_on: frozenset[str]
    """Application codes that may be tried again, built-in ones included."""
    codes: Mapping[str, CodeRule]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPolicy:
    """How many retries all calls of a scope may add together."""

    mode: Mode
    kind: Literal["ratio", "tokens", "quota"]
    """Finagle's windowed ratio, gRPC's throttling tokens, AWS's retry quota."""
    ratio: float = 0.2
    min_per_second: float = 1.0
    ttl_s: float = 10.0
    max_tokens: float = 10.0
    token_ratio: float = 0.1
    capacity: int = 500
    retry_cost: int = 14
    throttle_cost: int = 5
    timeout_cost: int = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """The classic circuit breaker (algorithms: section 1)."""

    mode: Mode
    kind: Literal["classic", "adaptive"]
    scope: tuple[str, ...]
    """Dimensions that share a state: target, service, method, region, bucket, ..."""
    window_calls: int | None
    """A window of the last N calls; None: the window is of time."""
    window_s: float
    """A window of that many seconds, in one-second buckets."""
    min_calls: int
    failure_ratio: float
    slow_call_s: float | None
    """An answer slower than this (strictly) is slow; None: never."""
    slow_ratio: float
    open_for_s: float
    max_open_for_s: float
    probes: int
    """Calls let through half-open in one round."""
    concurrent_probes: int
    probe_timeout_s: float
    """A probe's permit is a lease: it expires after this."""
    when_open: Literal["reject", "wait"]
    ramp_s: float
    """Slow start after recovery; 0: none."""
    ramp_aggression: float
    jitter: bool
    """Draw the open wait from its upper half, w/2 + U*w/2."""
    growing: bool
    """Double the open wait with each opening in a row."""
    early_decision: bool
    """Leave half-open as soon as the verdict cannot change."""
    forced: Literal["", "open", "disabled"] = ""
    """Held open, or held out of the way, by the policy."""
    unit_s: float = 1.0
    """Kind `adaptive`: the attempt timeout, which all its times are in units of."""
    is_timed: bool = True
    """Kind `adaptive`: is that somebody's word? If not, no answer is too slow."""
    rule: AdaptiveRule = RULE
    """Kind `adaptive`: the constants of the edition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimiterPolicy:
    """How many attempts of a scope may be in flight from one process."""

    mode: Mode
    kind: Literal["loss", "latency"]
    """What lowers the limit: loss alone, or latency too."""
    initial_limit: int
    min_limit: int
    max_limit: int
    max_queue: int
    """Attempts that may wait for a place; 0: none."""
    max_wait_s: float
    """How long each may; 0: not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgingPolicy:
    """A second attempt when the first is late. One of the first two is None."""

    mode: Mode
    delay_s: float | None
    """How late is late, in seconds; None: a quantile of what attempts take."""
    quantile: float | None
    """That quantile, 0.0-1.0; None: the delay is fixed."""
    max_hedges: int
    """Of one call."""
    max_extra_load: float
    """Hedges for each answered call, over all calls of a scope."""
    min_samples: int
    """No quantile is used before this many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverRegion:
    """Another region that may answer, and how it is asked."""

    region: str
    endpoint_url: str | None
    """Where it is, for a client that has an endpoint of its own; None: where AWS
    says."""
    rename: Mapping[str, Mapping[str, str]]
    """Parameter -> name here -> name there."""
    repeats_ambiguous: bool
    """May a write go there that the first region may have executed?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverPolicy:
    """Who answers where the client's own region does not."""

    regions: tuple[FailoverRegion, ...]
    """In the order in which they are asked."""
    covers_writes: bool
    """Is it written for this very operation? Only then writes go elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPolicy:
    """Everything that holds for one method; one object for all its calls."""

    mode: Mode
    timeout_s: float | None
    attempt_timeout_s: float | None
    first_message_timeout_s: float | None
    idle_timeout_s: float | None
    idempotency: Idempotency | Literal["auto"]
    criticality: Criticality
    retry_buffer_bytes: int
    """What one call's streamed requests may take while a retry may need them."""
    retry_buffer_messages: int
    retry: RetryPolicy | None
    retry_budget: BudgetPolicy | None
    breaker: BreakerPolicy | None
    key_header: str
    trust_transport_details: bool
    native_attempts: int
    """Attempts that layers below ours make for each of ours (declared); 1: none."""
    profile: str
    """AWS: `aws-standard-2.1`, `honour-client-config`, or `none`."""
    owner: str
    hedging: HedgingPolicy | None = None
    limiter: LimiterPolicy | None = None
    failover: FailoverPolicy | None = None
    """None: no other region answers."""
    fallback: str = ""
    """Name of the function that answers when nobody else does; empty: none."""
