"""One rule as a methodConfig: timeout, retryPolicy or hedgingPolicy.

gRFC A6 has the words. A retryPolicy repeats whatever ends in a code, executed or not:
so only rules that call a repeat harmless get one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from resilience.core.grpc_codes import GRPC_CODES
from resilience.core.policy import CallPolicy, RetryPolicy
from resilience.policy.durations import show
from resilience.policy.merge import Cell, Node, Path

from .findings import Findings
from .limits import limits_of, retries


MOST_ATTEMPTS: Final = 5
"""C-core, Java and Go clamp `maxAttempts` to this."""
SHORTEST_S: Final = 0.002
"""C-core refuses waits that are 0 in whole milliseconds, and with waits of 1 ms, which
its jitter may make 0, most calls hang to their deadline (1.85; 1.71 does not)."""
_HARMLESS: Final = ("safe", "accept_duplicates")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What holds for the methods of one pattern."""

    pattern: str
    """As one would write it; `*` for all methods that no pattern names."""
    levels: Sequence[Path]
    """The places that speak about them, the least specific first."""
    policy: CallPolicy
    node: Node
    """The effective values, for what the compiled policy does not carry."""


def method_config(rule: Rule, findings: Findings, *, timeouts: bool) -> dict[str, Any]:
    """Return a methodConfig without its `name`; empty: the native behaviour."""
    policy, made = rule.policy, dict[str, Any]()
    for limit in limits_of(policy, rule.node):
        findings.cannot(rule.levels, limit.path, limit.message, hint=limit.hint)
    if policy.mode == "observe":
        text = f"{rule.pattern}: mode observe leaves calls alone, and records nothing"
        findings.left_out[text] = None
    if policy.mode == "enforce" and policy.timeout_s is not None:
        if timeouts:
            made["timeout"] = seconds(policy.timeout_s)
        else:
            message = (
                "C-core ends a call up to 1.8s before the timeout of a service "
                "config, at once if it is shorter"
            )
            hint = "give calls a timeout=, or take --timeouts for other libraries"
            findings.cannot(rule.levels, ("timeout",), message, hint=hint)
    if retries(policy):
        retry = _retry_policy(rule, findings)
        if retry:
            made["retryPolicy"] = retry
    hedging = rule.node["hedging"]
    if policy.mode == "enforce" and isinstance(hedging, dict):
        hedge = _hedging_policy(rule, hedging, findings)
        if hedge:
            made["hedgingPolicy"] = hedge
    return made


def seconds(length: float) -> str:
    """Return a length of time as protobuf's JSON has it: `0.1s`."""
    # Nine digits at most, or the parser refuses the whole config.
    return f"{length:.9f}".rstrip("0").rstrip(".") + "s"


def _retry_policy(rule: Rule, findings: Findings) -> dict[str, Any] | None:
    retry = rule.policy.retry
    if retry is None or rule.policy.idempotency == "keyed":
        return None
    attempts = _attempts(rule, retry, findings)
    codes = _codes(rule, retry, findings)
    if rule.policy.idempotency not in _HARMLESS:
        text = (
            f"{rule.pattern}: idempotency is {rule.policy.idempotency}, so no "
            "retryPolicy: it would repeat what may have been executed"
        )
        findings.left_out[text] = None
        return None
    if not codes:
        return None
    return {
        "maxAttempts": attempts,
        "initialBackoff": _wait(
            "initial_backoff", retry.backoff.initial_s, rule, findings
        ),
        "maxBackoff": _wait("max_backoff", retry.backoff.max_s, rule, findings),
        "backoffMultiplier": retry.backoff.multiplier,
        "retryableStatusCodes": codes,
    }


def _wait(key: str, length: float, rule: Rule, findings: Findings) -> str:
    if length < SHORTEST_S:
        findings.cannot(
            rule.levels,
            ("retry", key),
            "C-core's calls hang when a wait is not longer than 1ms",
            found=show(length),
            hint=f"write `{key}: {show(SHORTEST_S)}` or more",
        )
    return seconds(max(length, SHORTEST_S))


def _attempts(rule: Rule, retry: RetryPolicy, findings: Findings) -> int:
    if retry.max_attempts > MOST_ATTEMPTS:
        findings.cannot(
            rule.levels,
            ("retry", "max_attempts"),
            f"gRPC's own retries make at most {MOST_ATTEMPTS} attempts",
            found=str(retry.max_attempts),
            hint=f"write `max_attempts: {MOST_ATTEMPTS}`",
        )
    return min(retry.max_attempts, MOST_ATTEMPTS)


def _codes(rule: Rule, retry: RetryPolicy, findings: Findings) -> list[str]:
    """Return the codes that may be listed: those without a rule of their own."""
    own = [code for code in GRPC_CODES if code in retry.codes]
    for code in own:
        findings.cannot(
            rule.levels,
            ("retry", "codes", code),
            f"a service config has no rule for one code, so {code} is not repeated",
            hint="write `off` to treat the code like the others",
        )
    return [code for code in GRPC_CODES if code in retry.retry_on and code not in own]


def _hedging_policy(
    rule: Rule, hedging: Node, findings: Findings
) -> dict[str, Any] | None:
    delay = _cell(hedging, "hedging_delay")
    if _cell(hedging, "mode") != "enforce":
        return None
    if retries(rule.policy):
        message = "a method has a retryPolicy or a hedgingPolicy, not both"
        findings.cannot(rule.levels, ("hedging",), message, hint="write `retry: off`")
        return None
    if rule.policy.idempotency not in _HARMLESS:
        message = "a hedgingPolicy sends twice what is not declared harmless to repeat"
        hint = "write `idempotency: safe`"
        findings.cannot(rule.levels, ("hedging",), message, hint=hint)
        return None
    if not isinstance(delay, float):
        is_written = findings.is_written(rule.levels, ("hedging", "hedging_delay"))
        path = ("hedging", "hedging_delay") if is_written else ("hedging",)
        message = "hedgingDelay is a time, not a percentile"
        hint = "write `hedging_delay: 50ms`"
        findings.cannot(rule.levels, path, message, found=str(delay), hint=hint)
        return None
    for key in ("max_extra_load", "min_samples"):
        message = "a service config bounds hedges by retryThrottling only"
        findings.cannot(rule.levels, ("hedging", key), message)
    text = "hedgingPolicy: C-core and grpc-go read it and do not hedge"
    findings.left_out[text] = None
    hedges = _cell(hedging, "max_hedges")
    return {
        "maxAttempts": 1 + (hedges if isinstance(hedges, int) else 1),
        "hedgingDelay": seconds(delay),
        "nonFatalStatusCodes": ["UNAVAILABLE"],
    }


def _cell(node: Node, key: str) -> object:
    found = node[key]
    return found.value if isinstance(found, Cell) else None
