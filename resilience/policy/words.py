"""The words of the policy format that more than one file needs.

Only vocabulary: which words exist and what they are called. What they mean is decided
in `model`, `merge` and `compiled`.
"""

from enum import Enum
from typing import Final, NamedTuple


class Switch(Enum):
    """A mechanism or timeout switched as a whole; safe to share between threads."""

    OFF = "off"
    ON = "on"


OFF: Final = Switch.OFF
ON: Final = Switch.ON

MECHANISMS: Final = ("retry", "retry_budget", "breaker", "limiter", "hedging")
"""Parts of a rule that have a `mode` of their own and can be `off`."""

PROTOCOLS: Final = ("grpc", "aws", "app")

MODES: Final = ("bypass", "observe", "enforce")
"""From the weakest to the strongest."""

DIMENSIONS: Final = (
    "target",
    "service",
    "method",
    "operation",
    "region",
    "bucket",
    "table",
    "queue",
    "topic",
    "stream",
    "function",
    "host",
)
"""What a scope may be made of; one that a call does not have counts as `-`."""


TIMES: Final = frozenset(
    {
        "timeout",
        "attempt_timeout",
        "first_message_timeout",
        "idle_timeout",
        "initial_backoff",
        "max_backoff",
        "ttl",
        "window",
        "slow_call",
        "open_for",
        "max_open_for",
        "probe_timeout",
        "ramp",
        "hedging_delay",
        "max_wait",
        "time",
        "connect_timeout",
        "resolve_interval",
    }
)
"""Keys whose number is a length of time, in seconds once read."""

SIZES: Final = frozenset({"size", "max_send_size", "max_receive_size"})
"""Keys whose number is a size, in bytes once read."""


class Calls(NamedTuple):
    """A breaker window counted in calls (`window: 100 calls`)."""

    number: int


def weaker(one: str, other: str) -> str:
    """Return the weaker of two modes: bypass before observe before enforce."""
    return min(one, other, key=MODES.index)


KEYS_OF_BUDGET: Final = {
    "ratio": ("ratio", "min_per_second", "ttl"),
    "tokens": ("max_tokens", "token_ratio"),
    "quota": ("capacity", "retry_cost", "throttle_cost", "timeout_cost"),
}
"""The knobs of each kind of retry budget: one of them says the kind."""
