"""The policy of one target -> a service config, and what it cannot say.

Rules are compiled one by one in `methods`; here they are named, grouped, and what
belongs to the whole channel is added.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from resilience.core.policy import CallPolicy
from resilience.core.target import Protocol
from resilience.errors import Problem
from resilience.policy import PolicyTable, match
from resilience.policy.channel import balancing_config
from resilience.policy.implied import imply
from resilience.policy.merge import Path, effective, level_paths

from .findings import Findings
from .limits import retries
from .methods import Rule, method_config


_NO_TARGET: Final = "-"
"""No name of a target: what holds where no rule is written for the target."""
_NATIVE_RECEIVE: Final = 4 << 20
"""What every gRPC library receives at most unless its channel is told otherwise."""
_CHANNEL_ONLY: Final = ("keepalive", "reconnect", "resolve_interval", "user_agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """A policy as a service config. `as_dict` is its stable form."""

    target: str | None
    """gRPC target whose rules hold; None: one without rules of its own."""
    config: dict[str, Any]
    """What can be said, ready for JSON."""
    problems: tuple[Problem, ...]
    """What somebody wrote and cannot be said, in file order."""
    left_out: tuple[str, ...]
    """What holds without being written and cannot be said."""

    def as_dict(self) -> dict[str, object]:
        """The answer as plain data with stable keys."""
        return {
            "target": self.target,
            "config": self.config,
            "problems": [problem.as_dict() for problem in self.problems],
            "left_out": list(self.left_out),
        }

    def as_json(self) -> str:
        """The config alone, as `grpc.service_config` takes it."""
        return json.dumps(self.config, allow_nan=False)


def compile_service_config(
    table: PolicyTable, *, target: str | None = None, timeouts: bool = False
) -> ServiceConfig:
    """Return what gRPC's service config can say of a policy.

    Args:
        table: the policy.
        target: name whose rules hold; None: a target without rules.
        timeouts: say `timeout` too. C-core ends calls before it, some at once, so it
            is for clients of other libraries.
    """
    findings = Findings(table.texts)
    rules = list(_rules(table, target or _NO_TARGET))
    channel = _Channel(table, target or _NO_TARGET, findings)
    whole = channel.of_each_method()
    made = [
        (rule, {**method_config(rule, findings, timeouts=timeouts), **whole})
        for rule in rules
    ]
    config: dict[str, Any] = channel.config()
    methods = _grouped(made)
    if methods:
        config["methodConfig"] = methods
    throttling = _throttling(rules, findings)
    if throttling and any("retryPolicy" in entry for _, entry in made):
        config["retryThrottling"] = throttling
    if any(source.values.get("state") == "host" for source in table.texts):
        message = "a service config shares nothing between processes"
        findings.cannot([()], ("state",), message, found="host")
    _about_targets(table, target, findings)
    return ServiceConfig(
        target=target,
        config=config,
        problems=findings.problems(),
        left_out=tuple(findings.left_out),
    )


def _rules(table: PolicyTable, target: str) -> Iterator[Rule]:
    """Yield the rule of all methods, then that of each pattern that is written."""
    yield _rule(table, target, "*", "*", "*")
    for protocol, pattern in table.written_methods():
        parts = match.split(protocol, pattern)
        if protocol == "grpc" and parts is not None:
            yield _rule(table, target, pattern, *parts)


def _rule(
    table: PolicyTable, target: str, pattern: str, service: str, method: str
) -> Rule:
    where: tuple[Protocol, str, str, str] = ("grpc", target, service, method)
    return Rule(
        pattern=pattern,
        levels=level_paths(*where),
        policy=table.policy_for(*where),
        node=imply(effective(table.texts, *where)),
    )


def _name(pattern: str) -> dict[str, str]:
    """Return a pattern as a `name`: the empty one is every method."""
    parts = match.split("grpc", pattern)
    if parts is None:
        return {}
    service, method = parts
    return {"service": service} | ({} if method == "*" else {"method": method})


def _grouped(made: list[tuple[Rule, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return methodConfigs, those that say the same under several names.

    An empty one is kept beside others: it keeps a wider one away from its methods.
    """
    groups: dict[str, tuple[list[dict[str, str]], dict[str, Any]]] = {}
    for rule, entry in made:
        if entry or rule.pattern != "*":
            key = json.dumps(entry, sort_keys=True)
            groups.setdefault(key, ([], entry))[0].append(_name(rule.pattern))
    if not any(entry for _, entry in groups.values()):
        return []
    return [{"name": names, **entry} for names, entry in groups.values()]


def _tokens(policy: CallPolicy) -> tuple[float, float] | None:
    """Return a rule's tokens and their ratio; None: it has no such budget."""
    budget = policy.retry_budget
    if not retries(policy) or budget is None or budget.kind != "tokens":
        return None
    return (budget.max_tokens, budget.token_ratio) if budget.mode == "enforce" else None


def _throttling(rules: list[Rule], findings: Findings) -> dict[str, Any] | None:
    """Return the retryThrottling of the channel: every method has to share it."""
    general = _tokens(rules[0].policy)
    for rule in rules[1:]:
        if retries(rule.policy) and _tokens(rule.policy) != general:
            message = "retryThrottling is one for the whole channel"
            findings.cannot(rule.levels, ("retry_budget",), message)
    if general is None:
        return None
    tokens, ratio = general
    if tokens != int(tokens):
        # C-core refuses the whole config over a fraction: no call would go through.
        message, path = (
            "maxTokens is a whole number",
            ("retry_budget", "max_tokens"),
        )
        findings.cannot(rules[0].levels, path, message, found=f"{tokens:g}")
    return {"maxTokens": max(1, int(tokens)), "tokenRatio": round(ratio, 3)}


def _about_targets(table: PolicyTable, target: str | None, findings: Findings) -> None:
    written = table.written_targets()
    if target is None and written:
        text = f"rules of targets ({', '.join(written)}): --target names one"
        findings.left_out[text] = None
    elif target is not None and target not in written:
        findings.left_out[f"no rule is written for target {target}"] = None


class _Channel:
    """What a policy says about the channels of one target."""

    def __init__(self, table: PolicyTable, target: str, findings: Findings) -> None:
        self._policy = table.channel_for(target)
        self._findings = findings
        self._levels: list[Path] = [
            ("grpc", "channel"),
            ("grpc", "targets", target, "channel"),
        ]
        for key in _CHANNEL_ONLY:
            if findings.is_written(self._levels, (key,)):
                hint = "make the channel with resilience.grpc.insecure_channel"
                self._cannot(key, "that is a channel option", hint=hint)

    def config(self) -> dict[str, Any]:
        """Return what is said once."""
        made: dict[str, Any] = {"loadBalancingConfig": balancing_config(self._policy)}
        if self._policy.health_check is not None:
            made["healthCheckConfig"] = {"serviceName": self._policy.health_check}
        return made

    def of_each_method(self) -> dict[str, Any]:
        """Return what each methodConfig says, for none inherits from another."""
        made: dict[str, Any] = {}
        send, receive = self._policy.max_send_bytes, self._policy.max_receive_bytes
        if self._policy.wait_for_ready:
            made["waitForReady"] = True
        if send is not None:
            made["maxRequestMessageBytes"] = send
        if receive is None or receive > _NATIVE_RECEIVE:
            message = "a service config can only lower the channel's own limit, 4MiB"
            hint = "give the channel the option `grpc.max_receive_message_length`"
            self._cannot("max_receive_size", message, hint=hint)
        elif receive < _NATIVE_RECEIVE:
            made["maxResponseMessageBytes"] = receive
        return made

    def _cannot(self, key: str, message: str, *, hint: str) -> None:
        self._findings.cannot(self._levels, (key,), message, hint=hint)
