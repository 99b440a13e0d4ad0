"""Every name of a metric, event or attribute, with unit and buckets: only here.

gRPC's own metrics follow gRFC A66 (attempts and calls) and A96 (retries); what they
leave open, and what holds for AWS and plain functions too, is under `resilience.`.
"""

from typing import Literal, NamedTuple

from resilience.core.grpc_codes import GRPC_CODES


METER = "resilience"
"""Name of meter and tracer, as A66 asks: the library's."""

OTHER = "other"
"""Stands for every value of an attribute beyond its bound."""

LATENCY_S = (
    *(0, 0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001, 0.002, 0.003),
    *(0.004, 0.005, 0.006, 0.008, 0.01, 0.013, 0.016, 0.02, 0.025, 0.03, 0.04),
    *(0.05, 0.065, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8),
    *(1, 2, 5, 10, 20, 50, 100),
)
"""Bucket bounds in seconds (A66)."""
SHARES = (0, *(n / 10 for n in range(1, 11)), 1.1, 1.5, 2)
"""Bucket bounds of the share of a budget that was used; above 1: overspent."""
FEW = (1, 2, 3, 4, 5)
"""Bucket bounds of retries and hedges (A96)."""
MORE = (1, 2, 3, 4, 5, 10)
"""Bucket bounds of transparent retries (A96)."""

GRPC_METHOD = "grpc.method"
"""`package.Service/Method`, without a leading slash."""
GRPC_TARGET = "grpc.target"
"""The name given to the channel."""
GRPC_STATUS = "grpc.status"
"""`OK`, `UNAVAILABLE`, ...; what is none of gRPC's codes is `UNKNOWN`."""

PREVIOUS_ATTEMPTS = "previous-rpc-attempts"
"""Of an attempt's span (A72): attempts before it, free repeats left out."""
TRANSPARENT_RETRY = "transparent-retry"
"""Of an attempt's span (A72): is it such a repeat of unprocessed work?"""
RPC_SYSTEM = "rpc.system"
"""OpenTelemetry's semantic conventions, as its instrumentation writes them."""
RPC_SERVICE = "rpc.service"
"""`package.Service`."""
RPC_METHOD = "rpc.method"
"""`Method`."""
RPC_STATUS = "rpc.grpc.status_code"
"""gRPC's number of the status."""
HTTP_STATUS = "http.response.status_code"
"""Of an attempt's span of AWS: the status of its answer."""
RESEND_COUNT = "http.request.resend_count"
"""Of an attempt's span of AWS: how often its call was sent before, redirects included;
not set for the first."""
ERROR_TYPE = "error.type"
"""Of an attempt's span of AWS that failed: the error's code."""
AWS_REQUEST_ID = "aws.request_id"
"""By which AWS's support finds the request."""
AWS_EXTENDED_REQUEST_ID = "aws.extended_request_id"
"""The other id that S3 gives (`HostId`)."""

PROTOCOL = "resilience.protocol"
"""`grpc`, `aws` or `app`."""
TARGET = "resilience.target"
"""The channel's name, or the service. Never a bucket or table."""
METHOD = "resilience.method"
"""`package.Service/Method`, `s3.PutObject`, `rates/quote`."""
CODE = "resilience.code"
"""How an attempt or call ended."""
FIRST_CODE = "resilience.first_code"
"""How the first attempt of a call ended."""
REASON = "resilience.reason"
"""Why it was decided so; the words of the log lines."""
DECISION = "resilience.decision"
"""`return`, `retry`, `hedge`, `fail`, `reject`, ..."""
PLACE = "resilience.place"
"""Who was asked instead: a region, or the name of a fallback."""
MECHANISM = "resilience.mechanism"
"""`breaker`, `retry`, `retry_budget`, `hedging`, `limiter`, `failover`, `fallback`."""
MODE = "resilience.mode"
"""`enforce`, `observe`."""
SCOPE = "resilience.scope"
"""A breaker's scope, without dimensions of unbounded values."""
STATE = "resilience.state"
"""A breaker's state."""
OLD_STATE = "resilience.old_state"
"""The state it left."""
NOTICE = "resilience.notice"
"""Code of a notice: `reload-failed`, `mode-changed`, ..."""
POLICY_NAME = "resilience.policy.name"
"""The policy's `name`."""
POLICY_HASH = "resilience.policy.hash"
"""Fingerprint of the live policy, as `explain` prints it."""
POLICY_EDITION = "resilience.policy.edition"
"""The pinned set of built-in values."""
POLICY_SOURCES = "resilience.policy.sources"
"""The files it came from, separated by commas."""

DEADLINE_ORIGIN = "resilience.deadline.origin"
"""Who set the deadline: `inbound`, `ambient`, `explicit`, `policy`, `none`."""
CALL_ID = "resilience.call_id"
"""Of a call's span: the id in log lines and notes."""
ATTEMPT = "resilience.attempt"
"""Number of an attempt; starts at 1."""
ATTEMPTS_MADE = "resilience.attempts"
"""Of a call's span: attempts on the wire."""
HEDGES = "resilience.hedges"
"""Of a call's span, set where some of them were hedges."""
IS_AMBIGUOUS = "resilience.ambiguous"
"""Of a call's span, set where the server may have executed a call that failed."""
KIND = "resilience.kind"
"""What an outcome is: `transport`, `overload`, `application`, ..."""
REACHED = "resilience.reached"
"""May the server have acted on it: `no`, `maybe`, `yes`."""
MESSAGE = "resilience.message"
"""Text of a status or of a refusal, escaped and cut."""
WAIT = "resilience.wait"
"""Seconds until the next attempt."""
PUSHBACK = "resilience.pushback"
"""Seconds that the server asked to wait; below 0: it forbids a repeat."""
EVIDENCE = "resilience.evidence"
"""On what a breaker changed its state."""

EVENT_RETRY = "resilience.retry"
"""An attempt failed and will be repeated after the wait."""
EVENT_HEDGE = "resilience.hedge"
"""An attempt failed, and a rival of it goes on, or begins at once."""
EVENT_STOP = "resilience.stop"
"""An attempt failed, or was due, and there is no other one; the reason says why."""
EVENT_REJECTED = "resilience.rejected"
"""Nothing was sent."""
EVENT_BREAKER = "resilience.breaker"
"""The call moved a breaker."""
EVENT_OBSERVED = "resilience.observed"
"""What an observing mechanism would have done."""

GRPC_STATUS_NUMBERS = {name: number for number, name in enumerate(GRPC_CODES)}
"""Every status and its number."""
GRPC_STATUSES = frozenset(GRPC_STATUS_NUMBERS)
"""The values of `grpc.status`."""
SCOPE_DIMENSIONS = frozenset({"target", "service", "method", "operation", "region"})
"""Dimensions of a scope that may become part of an attribute: their values are few."""


class Metric(NamedTuple):
    """One instrument."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    unit: str
    description: str
    attributes: tuple[str, ...]
    """Names of its attributes, in the order in which counters take their values."""
    buckets: tuple[float, ...] | None = None


_GRPC = (GRPC_METHOD, GRPC_TARGET)
_OWN = (PROTOCOL, TARGET, METHOD)


ATTEMPT_STARTED = Metric(
    "grpc.client.attempt.started",
    "counter",
    "{attempt}",
    "Attempts that were started.",
    _GRPC,
)
ATTEMPT_DURATION = Metric(
    "grpc.client.attempt.duration",
    "histogram",
    "s",
    "Time from the start of an attempt to its end.",
    (*_GRPC, GRPC_STATUS),
    LATENCY_S,
)
CALL_DURATION = Metric(
    "grpc.client.call.duration",
    "histogram",
    "s",
    "Time from a call's arrival to its end, with all attempts and waits.",
    (*_GRPC, GRPC_STATUS),
    LATENCY_S,
)
CALL_RETRIES = Metric(
    "grpc.client.call.retries",
    "histogram",
    "{retry}",
    "Retries of a call, transparent ones left out; calls with none leave no sample.",
    _GRPC,
    FEW,
)
CALL_TRANSPARENT_RETRIES = Metric(
    "grpc.client.call.transparent_retries",
    "histogram",
    "{transparent_retry}",
    "Repeats of unprocessed work; calls with none leave no sample.",
    _GRPC,
    MORE,
)
CALL_HEDGES = Metric(
    "grpc.client.call.hedges",
    "histogram",
    "{hedge}",
    "Hedges of a call; calls with none leave no sample.",
    _GRPC,
    FEW,
)
CALL_RETRY_DELAY = Metric(
    "grpc.client.call.retry_delay",
    "histogram",
    "s",
    "Time of a repeated or queued call in which no attempt was under way.",
    _GRPC,
    LATENCY_S,
)
DEADLINE_USED = Metric(
    "resilience.call.deadline_used",
    "histogram",
    "1",
    "Share of its time that a call took. 0: it had no deadline; 2: none was left.",
    (*_OWN, CODE, DEADLINE_ORIGIN),
    SHARES,
)
SERVER_CALLS = Metric(
    "resilience.server.calls",
    "counter",
    "{call}",
    "Calls that we served; dropped, late and cancelled ones by their reason.",
    (METHOD, CODE, REASON),
)
SERVER_DEADLINE_USED = Metric(
    "resilience.server.deadline_used",
    "histogram",
    "1",
    "Share of its caller's time that a served call took; 0 and 2 as for calls.",
    (METHOD, CODE),
    SHARES,
)
CALLS = Metric(
    "resilience.calls",
    "counter",
    "{call}",
    "Calls that ended.",
    (*_OWN, CODE, REASON, MODE),
)
ATTEMPTS = Metric(
    "resilience.attempts",
    "counter",
    "{attempt}",
    "Attempts that ended; divided by calls, the load that is added.",
    (*_OWN, CODE),
)
REJECTED = Metric(
    "resilience.rejected",
    "counter",
    "{call}",
    "Calls refused with nothing sent.",
    (*_OWN, REASON),
)
MASKED_FAILURES = Metric(
    "resilience.masked_failures",
    "counter",
    "{call}",
    "Calls that ended well after a failed first attempt.",
    (*_OWN, FIRST_CODE),
)
AMBIGUOUS = Metric(
    "resilience.ambiguous",
    "counter",
    "{call}",
    "Failed calls that the server may have executed.",
    (*_OWN, CODE),
)
DIVERTED = Metric(
    "resilience.diverted",
    "counter",
    "{call}",
    "Calls whose answer somebody else was asked for: another region, or a fallback.",
    (*_OWN, MECHANISM, PLACE, CODE),
)
OBSERVED = Metric(
    "resilience.observed",
    "counter",
    "{decision}",
    "Decisions of observing mechanisms: recorded, not acted upon.",
    (*_OWN, MECHANISM, DECISION, REASON),
)
BREAKER_TRANSITIONS = Metric(
    "resilience.breaker.transitions",
    "counter",
    "{transition}",
    "Changes of a breaker's state.",
    (SCOPE, OLD_STATE, STATE),
)
BREAKER_STATE = Metric(
    "resilience.breaker.state",
    "gauge",
    "{breaker}",
    "Breakers that are not closed, by scope and state.",
    (SCOPE, STATE),
)
LIMITER_LIMIT = Metric(
    "resilience.limiter.limit",
    "gauge",
    "{attempt}",
    "Attempts that may be in flight from this process, by scope.",
    (SCOPE,),
)
LIMITER_IN_FLIGHT = Metric(
    "resilience.limiter.in_flight",
    "gauge",
    "{attempt}",
    "Attempts that hold a limiter's place, by scope.",
    (SCOPE,),
)
LIMITER_WAITING = Metric(
    "resilience.limiter.waiting",
    "gauge",
    "{attempt}",
    "Attempts that wait for a limiter's place, by scope.",
    (SCOPE,),
)
NOTICES = Metric(
    "resilience.notices",
    "counter",
    "{notice}",
    "Things an operator should know.",
    (NOTICE,),
)
POLICY_INFO = Metric(
    "resilience.policy.info",
    "gauge",
    "1",
    "Always 1; its attributes name the live policy.",
    (POLICY_NAME, POLICY_HASH, POLICY_EDITION, POLICY_SOURCES, MODE),
)
POLICY_LOADED = Metric(
    "resilience.policy.loaded",
    "gauge",
    "s",
    "Wall time at which the live policy was loaded, since the epoch.",
    (POLICY_NAME,),
)
SCOPES = Metric(
    "resilience.scopes",
    "gauge",
    "{scope}",
    "Scopes with state.",
    (POLICY_NAME,),
)
SCOPES_EVICTED = Metric(
    "resilience.scopes.evicted",
    "counter",
    "{scope}",
    "Scopes whose state was dropped for others: the least recently used.",
    (POLICY_NAME,),
)
SINK_FAILURES = Metric(
    "resilience.sink.failures",
    "counter",
    "{record}",
    "Records that a sink could not take.",
    (POLICY_NAME,),
)
