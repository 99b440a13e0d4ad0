"""Built-in values, pinned under the name of an edition, each with its reason.

A published edition never changes: a better value gets a new edition. Values here have
the form they have after reading (times in seconds), and no other file has defaults.
"""

from collections.abc import Mapping
from typing import Final

from .words import OFF


Values = Mapping[str, object]

FIRST: Final = "2026.11"
"""Taken where no edition is written: a new release then changes nothing either."""

_RETRY: Final[Values] = {
    "mode": "enforce",
    # AWS standard mode and gRFC A6 examples: two repeats catch nearly all blips (S5-5:
    # goodput .953 with 1 attempt, .997 with 2, .9999 with 3; a fourth adds load only).
    "max_attempts": 3,
    # One order above a network round trip, one below a human's patience (S5-5: p99
    # 137 ms, 100 ms with 10 ms, 870 ms with 1 s).
    "initial_backoff": 0.1,
    "max_backoff": 5.0,
    "backoff_multiplier": 2.0,
    # Spreads clients over the whole wait, and waits least (S5-5: p99 137 ms; equal
    # 149 ms, none 173 ms).
    "jitter": "full",
    "retry_on": ("default",),
    "codes": {},
    "overload": OFF,
}

_BUDGET: Final = {
    "mode": "enforce",
    # Finagle's and Linkerd's form: what is added is in proportion to what is asked.
    "kind": "ratio",
    # Enough where one answer in eight is an error (goodput .998; .979 with 0.1); twice
    # that and a cut of capacity without a breaker heals in 21 s for 11 s (S4, 500/s).
    "ratio": 0.2,
    # A rarely used client may still repeat: one retry a second (two calls a second, 5 %
    # errors: .997, without a reserve .993; with 10 the cut above heals in 19 s).
    "min_per_second": 1.0,
    # Longer, and an outage begins with more saved up (30 s: 1.97 attempts a call for
    # 1.36 in S4 at 500/s); shorter, and rare callers have none.
    "ttl": 10.0,
    # gRFC A6's own example of retryThrottling.
    "max_tokens": 10.0,
    "token_ratio": 0.1,
    # AWS standard retry mode, version 2.1.
    "capacity": 500,
    "retry_cost": 14,
    "throttle_cost": 5,
    "timeout_cost": 14,
}

_BREAKER: Final = {
    "mode": "enforce",
    # It learns from the first seconds after a heal; an open wait and a ramp cannot.
    "kind": "adaptive",
    "scope": ("target",),
    # From here on the classic kind's, but for `slow_call` and `when_open`.
    "window": 30.0,
    # Below twenty calls a ratio says nothing.
    "min_calls": 20,
    "failure_ratio": 0.5,
    # What is slow is not known before it is measured.
    "slow_call": OFF,
    "slow_ratio": 1.0,
    # Short first, growing: a blip costs a second, an outage is asked every ten (S1a,
    # classic: heals in 7.5 s, in 9.0 s with 5 s).
    "open_for": 1.0,
    # S1a, classic: 4.4 s with 5 s, 12.2 s with a minute; a dead server is asked less.
    "max_open_for": 10.0,
    "probes": 5,
    "concurrent_probes": 1,
    "probe_timeout": 10.0,
    "when_open": "reject",
    "ramp": OFF,
    "ramp_aggression": 1.0,
    "forced": OFF,
}

_LIMITER: Final = {
    "mode": "enforce",
    # A client sees network latency too: loss is the safer signal. In S3 (goodput .5000)
    # the other kind, half or five times the limits and 20 to 500 ms in the queue differ
    # by .002 at most.
    "kind": "loss",
    "initial_limit": 20,
    "min_limit": 1,
    "max_limit": 200,
    # A burst is let through a little later; what waits longer is no burst.
    "max_queue": 20,
    "max_wait": 0.1,
}

_HEDGING: Final = {
    "mode": "enforce",
    # Later than 19 of 20 calls: at most one in twenty is sent twice. What is cheapest,
    # not what is quickest: S6a has p99 23 ms at 1.05 attempts a call with p95 (its own
    # budget), 16 ms at 1.10 with p90; none has 64 ms.
    "hedging_delay": "p95",
    # A second one halves p99.9 where a tenth may be added (S6a: 23 ms for 49 ms).
    "max_hedges": 1,
    # Twice that takes p99 from 25 to 17 ms there, for twice the load.
    "max_extra_load": 0.05,
    "min_samples": 20,
}

_RULE: Final[Values] = {
    # The first law: a call that succeeds without us is never cut short by a value
    # that nobody wrote.
    "timeout": OFF,
    "attempt_timeout": OFF,
    "first_message_timeout": OFF,
    "idle_timeout": OFF,
    "idempotency": "auto",
    "criticality": "critical",
    "retry": _RETRY,
    "retry_budget": _BUDGET,
    # gRFC A6's per-RPC limit; the count bounds what small messages weigh beside it.
    "retry_buffer": {"size": 1 << 20, "messages": 1000},
    "breaker": _BREAKER,
    "limiter": OFF,
    "hedging": OFF,
    # draft-ietf-httpapi-idempotency-key-header, in gRPC's lower case.
    "key_header": "idempotency-key",
    # A relaying server can repeat a refusal's very words.
    "trust_transport_details": False,
    "native_retries": {"max_attempts": 1},
    # Another region's answer may be an older one, and a fallback's is none of AWS's:
    # only where somebody asks for it.
    "failover": OFF,
    "fallback": OFF,
    "owner": "",
    "profile": "none",
}

_KEEPALIVE: Final = {
    # What gRFC A8 lets servers allow at least; they must be told to.
    "time": 30.0,
    "timeout": 10.0,
    "without_calls": False,
}

_OUTLIERS: Final = {
    # gRFC A50 looks every 10 s: by then hedges are spent and show nothing (S6b: p99
    # 1037 ms, with 2 s 393 ms, with 1 s 13 ms).
    "interval": 1.0,
    # Hedges at the p98 overtake 2 % of an address's calls by chance, in single
    # intervals of 20 calls up to 20 %; a tenfold slow one shows half (S6b: p99 13 ms
    # with 0.2, in one seed of five 58 ms with 0.3; with 0.1 good ones are left out).
    "failure_ratio": 0.25,
    # gRFC A50's own 50 leave out channels with less than 50 calls a second for each
    # address (S6b at 600 a second: p99 14 ms with this, with 50 81 ms).
    "request_volume": 20,
    # Of two, the other one would have to take all.
    "minimum_hosts": 3,
    # gRFC A50's own two.
    "base_ejection_time": 30.0,
    "max_ejection_ratio": 0.1,
}

_CHANNEL: Final[Values] = {
    # Servers that were not told close connections that ping.
    "keepalive": OFF,
    "reconnect": {
        # gRPC's own first wait is 1 s and its longest 2 minutes: too long to notice
        # that a restarted server is back. Waits from 5.5 s need half the tries where
        # thousands come back (S7: 2.4 for 4.9), and a lone client waits that long.
        "initial_backoff": 0.5,
        "max_backoff": 10.0,
        # S7: all are back in 15.9 s, without it in 23.9 s.
        "spread": 0.5,
        # gRPC's own: less would cut a slow handshake that bare succeeds.
        "connect_timeout": 20.0,
    },
    # One address gets everything under pick_first.
    "load_balancing": "round_robin",
    # Any status but OK counts as a failure there, an application's own too.
    "outlier_detection": OFF,
    "health_check": OFF,
    # gRPC's own.
    "resolve_interval": 30.0,
    "max_send_size": OFF,
    "max_receive_size": 4 << 20,
    "wait_for_ready": False,
    "user_agent": "",
}

_PROTOCOL: Final[Mapping[str, Values]] = {
    "grpc": {
        "retry": {
            "codes": {
                # Reserved for serious faults: one retry, late and alone.
                "INTERNAL": {
                    "max_attempts": 2,
                    "initial_backoff": 1.0,
                    "jitter": "equal",
                }
            }
        }
    },
    # One service in one region fails as a whole; finer scopes are the user's to name.
    "aws": {"breaker": {"scope": ("service", "region")}, "profile": "aws-standard-2.1"},
    "app": {},
}

_RETRY_ON: Final[Mapping[str, frozenset[str]]] = {
    "grpc": frozenset({"UNAVAILABLE", "INTERNAL"}),
    # Transient and throttling answers are tried again by kind, modelled ones as marked.
    "aws": frozenset(),
    "app": frozenset(),
}

_STANDARD_2_1: Final = {
    "retry": {
        "max_attempts": 3,
        "initial_backoff": 0.05,
        "max_backoff": 20.0,
        "backoff_multiplier": 2.0,
        "jitter": "full",
        "overload": {"initial_backoff": 1.0},
    },
    "retry_budget": {
        "kind": "quota",
        "capacity": 500,
        "retry_cost": 14,
        "throttle_cost": 5,
        "timeout_cost": 14,
    },
}
_DYNAMODB_2_1: Final = {
    "retry": {**_STANDARD_2_1["retry"], "max_attempts": 4, "initial_backoff": 0.025},
    "retry_budget": _STANDARD_2_1["retry_budget"],
}
_DYNAMODB: Final = frozenset({"dynamodb", "dynamodbstreams", "dynamodb-streams"})
# The client's own configuration decides how often; the bound here only keeps the
# engine out of its way.
_CLIENT_CONFIG: Final = {"retry": {"max_attempts": 100}, "retry_budget": OFF}

EDITIONS: Final = (FIRST,)
"""Names of all editions, oldest first."""

TURNED_ON: Final[Values] = {
    "limiter": _LIMITER,
    "hedging": _HEDGING,
    "keepalive": _KEEPALIVE,
    "outlier_detection": _OUTLIERS,
}
"""What mechanisms that are off in the edition start from when a file turns them on."""

BREAKER_GROWTH: Final = {"jitter": True, "growing": True, "early_decision": True}
"""Not for users to choose: clients that come back together, or at a fixed pace, or
after ten doomed probes, hold a recovering server down."""

EXPECTED_NATIVE_ATTEMPTS: Final = 5
"""What `native_retries: expect` counts with: gRFC A6 caps maxAttempts at 5."""


def rule_values() -> Values:
    """Return the values that hold for every call of any protocol."""
    return _RULE


def channel_values() -> Values:
    """Return the values that hold for every gRPC channel."""
    return _CHANNEL


def protocol_values(protocol: str) -> Values:
    """Return what differs for one protocol."""
    return _PROTOCOL[protocol]


def default_codes(protocol: str) -> frozenset[str]:
    """Return the application codes that `default` in `retry_on` stands for."""
    return _RETRY_ON[protocol]


def profile_values(profile: str, service: str) -> Values:
    """Return the values of an AWS *profile* for one service; empty for `none`."""
    if profile == "aws-standard-2.1":
        return _DYNAMODB_2_1 if service in _DYNAMODB else _STANDARD_2_1
    return _CLIENT_CONFIG if profile == "honour-client-config" else {}
