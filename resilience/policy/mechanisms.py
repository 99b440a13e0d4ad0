"""The model of the mechanisms of a rule: retry, retry budget, breaker, ...

Only what may be written and what it means; the built-in values are the edition's, and
relations between values are judged in `meaning`.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .narrowing import is_map
from .scalars import (
    Aggression,
    Amount,
    Attempts,
    Code,
    Count,
    Delay,
    Dimension,
    Forced,
    Length,
    LengthOrOff,
    Mode,
    Multiplier,
    Ratio,
    RatioAbove0,
    Size,
    Switchable,
    Tokens,
    Window,
)
from .words import KEYS_OF_BUDGET


UNSET: Final[Any] = None
"""Default of a key that is not written: what holds then is decided by `merge`."""


class Part(BaseModel):
    """A map in which only known keys may stand."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


class Backoff(Part):
    """Waits between attempts: `jitter(min(max, initial * multiplier**(n-1)))`."""

    initial_backoff: Length = UNSET
    """Wait before the first retry, before jitter. A time above 0."""
    max_backoff: Length = UNSET
    """Longest wait, before jitter. A time, at least `initial_backoff`."""
    backoff_multiplier: Multiplier = UNSET
    """Growth of the wait from one retry to the next, 1 to 100."""
    jitter: Literal["full", "equal", "decorrelated", "none"] = UNSET
    """How a wait is drawn: `full` from 0 to the wait, `equal` from its upper half,
    `decorrelated` from `initial_backoff` to three times the last, `none` as is."""


class CodeRule(Backoff):
    """What differs for one code; whatever is not written here is the retry's."""

    max_attempts: Attempts = UNSET
    """Attempts of a call that may end in this code, 1 to 100; the first counts."""


class Retry(Backoff):
    """Bounded, jittered retries."""

    mode: Mode = UNSET
    """Mode of this mechanism; the weaker of it and the rule's mode holds."""
    max_attempts: Attempts = UNSET
    """Attempts of one call, 1 to 100. Counts the first: 1 means no retry."""
    retry_on: list[Code] = UNSET
    """Application codes that may be tried again, within idempotency. `default` stands
    for the built-in set; further codes extend it. Replaces a less specific list."""
    codes: dict[Code, Annotated[CodeRule, *Switchable]] = UNSET
    """Code -> what differs for it. Merges with less specific maps."""
    overload: Annotated[Backoff, *Switchable] = UNSET
    """Waits after the server said it is overloaded; `off`: as after other failures."""


class RetryBudget(Part):
    """How much all calls of a scope may add by retries, together."""

    mode: Mode = UNSET
    """Mode of this mechanism; the weaker of it and the rule's mode holds."""
    kind: Literal["ratio", "tokens", "quota"] = UNSET
    """`ratio`: retries as a share of calls. `tokens`: gRPC's retry throttling.
    `quota`: AWS's retry quota. A knob of one kind says it too: `ratio: 0.1` turns
    a quota into a ratio."""
    ratio: Ratio = UNSET
    """Retries per call, 0.0 to 1.0 (kind `ratio`)."""
    min_per_second: Amount = UNSET
    """Retries per second that are always allowed, 0 or more (kind `ratio`)."""
    ttl: Length = UNSET
    """How long a call's contribution counts (kind `ratio`)."""
    max_tokens: Tokens = UNSET
    """Tokens at the start and at most; retries stop at half (kind `tokens`)."""
    token_ratio: Tokens = UNSET
    """Tokens that a success gives back; a failure takes 1 (kind `tokens`)."""
    capacity: Count = UNSET
    """Units at the start and at most (kind `quota`)."""
    retry_cost: Count = UNSET
    """Units that a retry takes (kind `quota`)."""
    throttle_cost: Count = UNSET
    """Units that a retry after throttling takes (kind `quota`)."""
    timeout_cost: Count = UNSET
    """Units that a retry after a timeout takes (kind `quota`)."""

    @model_validator(mode="before")
    @classmethod
    def _kind_by_knobs(cls, written: object) -> object:
        """Without it a wider rule's kind would make the knobs idle, in silence."""
        if is_map(written) and "kind" not in written:
            for kind, knobs in KEYS_OF_BUDGET.items():
                if not written.keys().isdisjoint(knobs):
                    return {**written, "kind": kind}
        return written


class RetryBuffer(Part):
    """What is kept of streamed requests, so that they can be sent again."""

    size: Size = UNSET
    """Bytes of one call that are kept at most, such as `1MiB`; the attempt that sends
    more is the last."""
    messages: Count = UNSET
    """The same in messages, 1 or more."""


class Breaker(Part):
    """Stops calling what fails, and finds out when it is back."""

    mode: Mode = UNSET
    """Mode of this mechanism; the weaker of it and the rule's mode holds."""
    kind: Literal["classic", "adaptive"] = UNSET
    """`classic`: closed, open, half-open. `adaptive`: sheds as much as fails. A key of
    the classic one alone means `classic`."""
    scope: Annotated[list[Dimension], Field(min_length=1, max_length=6)] = UNSET
    """Calls that agree in all of these share one breaker (and one retry budget)."""
    window: Window = UNSET
    """What is counted: the last time (`30s`) or the last calls (`100 calls`)."""
    min_calls: Count = UNSET
    """Calls in the window below which no ratio is judged, 1 or more."""
    failure_ratio: RatioAbove0 = UNSET
    """Share of failures at which the breaker opens, above 0.0 to 1.0."""
    slow_call: LengthOrOff = UNSET
    """An answer slower than this counts as slow; `off`: none does."""
    slow_ratio: RatioAbove0 = UNSET
    """Share of slow calls at which the breaker opens, above 0.0 to 1.0."""
    open_for: Length = UNSET
    """First wait before a probe; doubles with each opening in a row."""
    max_open_for: Length = UNSET
    """Longest wait before a probe. A time, at least `open_for`."""
    probes: Count = UNSET
    """Calls let through in one half-open round, 1 or more."""
    concurrent_probes: Count = UNSET
    """Probes under way at once, 1 to `probes`."""
    probe_timeout: Length = UNSET
    """A probe that has not ended by then gives its place to another."""
    when_open: Literal["reject", "wait"] = UNSET
    """`reject` at once, or `wait` for an admission within the call's deadline."""
    ramp: LengthOrOff = UNSET
    """Time over which calls are let back in after recovery; `off`: all at once."""
    ramp_aggression: Aggression = UNSET
    """Shape of the ramp: 1 is linear, above lets calls in sooner; 0.01 to 100."""
    forced: Forced = UNSET
    """Held `open` or `disabled` by hand; `off`: decides by itself."""


class Limiter(Part):
    """How many attempts may be in flight at once from one process, found out."""

    mode: Mode = UNSET
    """Mode of this mechanism; the weaker of it and the rule's mode holds."""
    kind: Literal["loss", "latency"] = UNSET
    """What lowers the limit: `loss` (timeouts, throttling) alone, or `latency` too."""
    initial_limit: Count = UNSET
    """Attempts in flight at the start, `min_limit` to `max_limit`."""
    min_limit: Count = UNSET
    """Lowest limit, 1 or more."""
    max_limit: Count = UNSET
    """Highest limit, at least `min_limit`."""
    max_queue: Count = UNSET
    """Attempts that may wait for a place, the critical first, 1 or more."""
    max_wait: LengthOrOff = UNSET
    """How long each may wait; `off`: what finds no place is refused at once."""


class Hedging(Part):
    """A second attempt when the first is late: for `safe` and `keyed` calls only."""

    mode: Mode = UNSET
    """Mode of this mechanism; the weaker of it and the rule's mode holds."""
    hedging_delay: Delay = UNSET
    """Wait before each hedge: a time, or a percentile of latency such as `p95`."""
    max_hedges: Annotated[int, Field(ge=1, le=4)] = UNSET
    """Hedges of one call, 1 to 4."""
    max_extra_load: Ratio = UNSET
    """Hedges per answered call over all calls of a scope, 0.0 to 1.0."""
    min_samples: Count = UNSET
    """Latencies needed before a percentile is used, 1 or more."""


class NativeRetries(Part):
    """Retries that a layer below makes by itself."""

    max_attempts: Attempts
    """Attempts of the lower layer for each of ours, 1 to 100."""
