"""Effective values of one method -> the frozen policy that the engine reads.

Here a value that conflicts with a less specific one is settled: the inherited one
gives way, and the note says so. After this nobody sees text, units or `off`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from resilience.core.policy import (
    BackoffPolicy,
    BreakerPolicy,
    BudgetPolicy,
    CallPolicy,
    CodeRule,
    FailoverPolicy,
    FailoverRegion,
    HedgingPolicy,
    LimiterPolicy,
    RetryPolicy,
)
from resilience.core.record import Mode

from . import editions, waits
from .durations import show
from .merge import Cell, Node, Path, exact_level
from .words import OFF, Calls, weaker


Notes = dict[Path, str]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A policy, and what had to be settled to get it."""

    policy: CallPolicy
    notes: Mapping[Path, str]
    """Key path of an inherited value that gave way -> the reason."""


def compile_policy(node: Node, protocol: str, mode: Mode) -> Compiled:
    """Return the policy that the effective values of a method stand for.

    Args:
        node: the effective values; conflicts among them are settled in place.
        protocol: `grpc`, `aws` or `app`.
        mode: the mode that holds for the method.
    """
    notes: Notes = {}
    _settle(node, notes)
    timeout = _seconds(node, "timeout")
    attempt = _seconds(node, "attempt_timeout")
    if timeout is not None and attempt is not None and attempt > timeout:
        notes["attempt_timeout",] = f"cut to timeout, {show(timeout)}"
        attempt = timeout
    failover = _failover(node, protocol)
    if failover is not None:
        _tell_regions_apart(node, notes)
    policy = CallPolicy(
        mode=mode,
        timeout_s=timeout,
        attempt_timeout_s=attempt,
        first_message_timeout_s=_seconds(node, "first_message_timeout"),
        idle_timeout_s=_seconds(node, "idle_timeout"),
        idempotency=_value(node, "idempotency"),
        criticality=_value(node, "criticality"),
        retry_buffer_bytes=_buffer(node, "size"),
        retry_buffer_messages=_buffer(node, "messages"),
        retry=_retry(node, protocol, mode),
        retry_budget=_budget(node, mode),
        breaker=_breaker(node, mode),
        key_header=_value(node, "key_header"),
        trust_transport_details=_value(node, "trust_transport_details"),
        native_attempts=native_attempts(node),
        profile=_value(node, "profile"),
        owner=_value(node, "owner"),
        hedging=_hedging(node, mode),
        limiter=_limiter(node, mode),
        failover=failover,
        fallback=_name(node, "fallback"),
    )
    return Compiled(policy, notes)


def native_attempts(node: Node) -> int:
    """Return how many attempts lower layers are declared to make for one of ours."""
    found = node["native_retries"]
    if isinstance(found, dict):
        return cast("int", _value(found, "max_attempts"))
    return editions.EXPECTED_NATIVE_ATTEMPTS if found.value == "expect" else 1


# Any: the type of a cell was checked when the text was read.
def _value(node: Node, key: str) -> Any:
    return cast("Cell", node[key]).value


def _seconds(node: Node, key: str) -> float | None:
    value = _value(node, key)
    return None if value is OFF else cast("float", value)


def _mechanism(node: Node, key: str, mode: Mode) -> tuple[Node, Mode] | None:
    """Return a mechanism's values and its mode; None: it is off or bypassed."""
    found = node[key]
    if not isinstance(found, dict):
        return None
    own = cast("Mode", weaker(_value(found, "mode"), mode))
    return None if own == "bypass" else (found, own)


def _buffer(node: Node, key: str) -> int:
    found = node["retry_buffer"]
    return cast("int", _value(found, key)) if isinstance(found, dict) else 0


def _backoff(node: Node, over: Node | None = None) -> BackoffPolicy:
    both = node if over is None else {**node, **over}
    return waits.policy(
        initial_s=_value(both, "initial_backoff"),
        max_s=_value(both, "max_backoff"),
        multiplier=float(_value(both, "backoff_multiplier")),
        jitter=_value(both, "jitter"),
    )


def _retry(node: Node, protocol: str, mode: Mode) -> RetryPolicy | None:
    found = _mechanism(node, "retry", mode)
    if found is None:
        return None
    retry, own = found
    written = set(_value(retry, "retry_on"))
    if "default" in written:
        written = written - {"default"} | editions.default_codes(protocol)
    overload = retry["overload"]
    codes = retry["codes"]
    rules = codes.items() if isinstance(codes, dict) else ()
    return RetryPolicy(
        mode=own,
        max_attempts=_value(retry, "max_attempts"),
        backoff=_backoff(retry),
        overload_backoff=(
            _backoff(retry, overload) if isinstance(overload, dict) else None
        ),
        retry_on=frozenset(written),
        codes=MappingProxyType(
            {
                code: _code_rule(retry, rule)
                for code, rule in rules
                if isinstance(rule, dict)
            }
        ),
    )


def _code_rule(retry: Node, rule: Node) -> CodeRule:
    own_waits = set(rule) - {"max_attempts"}
    return CodeRule(
        max_attempts=_value(rule, "max_attempts") if "max_attempts" in rule else None,
        backoff=_backoff(retry, rule) if own_waits else None,
    )


def _budget(node: Node, mode: Mode) -> BudgetPolicy | None:
    found = _mechanism(node, "retry_budget", mode)
    if found is None:
        return None
    budget, own = found
    return BudgetPolicy(
        mode=own,
        kind=_value(budget, "kind"),
        ratio=float(_value(budget, "ratio")),
        min_per_second=float(_value(budget, "min_per_second")),
        ttl_s=_value(budget, "ttl"),
        max_tokens=float(_value(budget, "max_tokens")),
        token_ratio=float(_value(budget, "token_ratio")),
        capacity=_value(budget, "capacity"),
        retry_cost=_value(budget, "retry_cost"),
        throttle_cost=_value(budget, "throttle_cost"),
        timeout_cost=_value(budget, "timeout_cost"),
    )


def _limiter(node: Node, mode: Mode) -> LimiterPolicy | None:
    found = _mechanism(node, "limiter", mode)
    if found is None:
        return None
    limiter, own = found
    return LimiterPolicy(
        mode=own,
        kind=_value(limiter, "kind"),
        initial_limit=_value(limiter, "initial_limit"),
        min_limit=_value(limiter, "min_limit"),
        max_limit=_value(limiter, "max_limit"),
        max_queue=_value(limiter, "max_queue"),
        max_wait_s=_seconds(limiter, "max_wait") or 0.0,
    )


def _hedging(node: Node, mode: Mode) -> HedgingPolicy | None:
    found = _mechanism(node, "hedging", mode)
    if found is None:
        return None
    hedging, own = found
    delay = _value(hedging, "hedging_delay")
    is_quantile = isinstance(delay, str)
    return HedgingPolicy(
        mode=own,
        delay_s=None if is_quantile else delay,
        # Through text: p99.9 is .999, not .9990000000000001.
        quantile=round(float(delay[1:]) / 100, 6) if is_quantile else None,
        max_hedges=_value(hedging, "max_hedges"),
        max_extra_load=float(_value(hedging, "max_extra_load")),
        min_samples=_value(hedging, "min_samples"),
    )


def _unit_s(node: Node) -> float:
    """What one attempt may take, for a breaker that counts in attempt timeouts."""
    return _limit_s(node) or 1.0


def _limit_s(node: Node) -> float | None:
    return _seconds(node, "attempt_timeout") or _seconds(node, "timeout")


def _breaker(node: Node, mode: Mode) -> BreakerPolicy | None:
    found = _mechanism(node, "breaker", mode)
    if found is None:
        return None
    breaker, own = found
    window = _value(breaker, "window")
    forced = _value(breaker, "forced")
    return BreakerPolicy(
        mode=own,
        kind=_value(breaker, "kind"),
        scope=tuple(_value(breaker, "scope")),
        window_calls=window.number if isinstance(window, Calls) else None,
        window_s=0.0 if isinstance(window, Calls) else window,
        min_calls=_value(breaker, "min_calls"),
        failure_ratio=float(_value(breaker, "failure_ratio")),
        slow_call_s=_seconds(breaker, "slow_call"),
        slow_ratio=float(_value(breaker, "slow_ratio")),
        open_for_s=_value(breaker, "open_for"),
        max_open_for_s=_value(breaker, "max_open_for"),
        probes=_value(breaker, "probes"),
        concurrent_probes=_value(breaker, "concurrent_probes"),
        probe_timeout_s=_value(breaker, "probe_timeout"),
        when_open=_value(breaker, "when_open"),
        ramp_s=_seconds(breaker, "ramp") or 0.0,
        ramp_aggression=float(_value(breaker, "ramp_aggression")),
        forced="" if forced is OFF else forced,
        unit_s=_unit_s(node) if _value(breaker, "kind") == "adaptive" else 1.0,
        is_timed=_limit_s(node) is not None,
        jitter=editions.BREAKER_GROWTH["jitter"],
        growing=editions.BREAKER_GROWTH["growing"],
        early_decision=editions.BREAKER_GROWTH["early_decision"],
    )


def _name(node: Node, key: str) -> str:
    value = _value(node, key)
    return "" if value is OFF else cast("str", value)


def _failover(node: Node, protocol: str) -> FailoverPolicy | None:
    cell = cast("Cell", node["failover"])
    if cell.value is OFF:
        return None
    regions = cast("tuple[Mapping[str, Any], ...]", cell.value)
    return FailoverPolicy(
        regions=tuple(
            FailoverRegion(
                region=one["region"],
                endpoint_url=one.get("endpoint_url"),
                rename=MappingProxyType(dict(one.get("rename", {}))),
                repeats_ambiguous=one.get("ambiguous_writes") == "repeat",
            )
            for one in regions
        ),
        covers_writes=cell.level >= exact_level(protocol),
    )


def _tell_regions_apart(node: Node, notes: Notes) -> None:
    """Give each region a breaker of its own: one for both would refuse both."""
    breaker = node["breaker"]
    if not isinstance(breaker, dict):
        return
    cell = cast("Cell", breaker["scope"])
    scope = cast("tuple[str, ...]", cell.value)
    if {"region", "host"}.isdisjoint(scope):
        breaker = node["breaker"] = dict(breaker)
        breaker["scope"] = Cell((*scope, "region"), cell.source, cell.level)
        notes["breaker", "scope"] = "region added: failover needs a breaker for each"


def _settle(node: Node, notes: Notes) -> None:
    retry, breaker, limiter = node["retry"], node["breaker"], node["limiter"]
    if isinstance(limiter, dict):
        path = ("limiter",)
        _settle_pair(limiter, path, "min_limit", "max_limit", notes)
        _settle_pair(limiter, path, "initial_limit", "max_limit", notes)
        _settle_pair(limiter, path, "min_limit", "initial_limit", notes)
    if isinstance(retry, dict):
        _settle_pair(retry, ("retry",), "initial_backoff", "max_backoff", notes)
        _settle_waits(retry, ("retry", "overload"), retry["overload"], notes)
        codes = retry["codes"]
        for code, rule in codes.items() if isinstance(codes, dict) else ():
            _settle_waits(retry, ("retry", "codes", code), rule, notes)
    if isinstance(breaker, dict):
        path = ("breaker",)
        _settle_pair(breaker, path, "open_for", "max_open_for", notes)
        _settle_pair(breaker, path, "concurrent_probes", "probes", notes)
        _settle_pair(breaker, path, "min_calls", "window", notes)


def _settle_waits(retry: Node, path: Path, over: Cell | Node, notes: Notes) -> None:
    """Keep the waits of one code, or of overload, within their own maximum."""
    if not isinstance(over, dict) or not {"initial_backoff", "max_backoff"} & set(over):
        return
    both: Node = {**retry, **over}
    _settle_pair(both, path, "initial_backoff", "max_backoff", notes)
    for key in ("initial_backoff", "max_backoff"):
        if key in over or both[key] is not retry[key]:
            over[key] = both[key]


def _settle_pair(node: Node, path: Path, low: str, high: str, notes: Notes) -> None:
    """Let the less specific of two values give way, so that *low* <= *high*."""
    small, large = cast("Cell", node[low]), cast("Cell", node[high])
    if high == "window" and not isinstance(large.value, Calls):
        return
    if _size(small.value) <= _size(large.value):
        return
    loser, winner = (low, high) if small.level <= large.level else (high, low)
    kept = cast("Cell", node[winner])
    old = cast("Cell", node[loser])
    amount = _size(kept.value)
    value: object = amount if isinstance(old.value, float) else int(amount)
    if isinstance(old.value, Calls):
        value = Calls(int(amount))
    node[loser] = Cell(value, old.source, old.level)
    notes[*path, loser] = f"gave way to {winner} ({kept.source})"


def _size(value: object) -> float:
    return float(value.number if isinstance(value, Calls) else cast("float", value))
