"""What a service config has no word for: one row for each, in the order of a rule.

Only whether a value holds and why it cannot be said; what can be said is in `methods`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from resilience.core.policy import CallPolicy
from resilience.policy.merge import Cell, Node, Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One thing that a rule may say and a service config may not."""

    path: Path
    """Key path inside a rule."""
    holds: Callable[[CallPolicy, Node], bool]
    """Whether the rule says it."""
    message: str
    hint: str = ""


def retries(policy: CallPolicy) -> bool:
    """Tell whether calls under *policy* are tried again by us at all."""
    retry = policy.retry
    acts = policy.mode == "enforce" and retry is not None and retry.mode == "enforce"
    return acts and retry is not None and retry.max_attempts > 1


def value(node: Node, key: str) -> object:
    """Return one value of a rule; None: it is a map."""
    found = node[key]
    return found.value if isinstance(found, Cell) else None


def _breaks(policy: CallPolicy, _: Node) -> bool:
    return policy.breaker is not None and policy.breaker.mode == "enforce"


def _budgets(policy: CallPolicy, _: Node) -> bool:
    budget = policy.retry_budget
    acts = budget is not None and budget.mode == "enforce" and retries(policy)
    return acts and budget is not None and budget.kind != "tokens"


def _chooses_waits_of_overload(policy: CallPolicy, _: Node) -> bool:
    retry = policy.retry
    return retries(policy) and retry is not None and retry.overload_backoff is not None


def _repeats_only_answers(policy: CallPolicy, _: Node) -> bool:
    retry = policy.retry
    listed = retry is not None and "UNAVAILABLE" in retry.retry_on
    return retries(policy) and not listed


LIMITS: Final = (
    Limit(
        path=("attempt_timeout",),
        holds=lambda policy, _: policy.attempt_timeout_s is not None,
        message="a service config has no timeout of one attempt: C-core reads "
        "`perAttemptRecvTimeout` and ignores it",
    ),
    Limit(
        path=("first_message_timeout",),
        holds=lambda policy, _: policy.first_message_timeout_s is not None,
        message="a service config has no timeout to the first message",
    ),
    Limit(
        path=("idle_timeout",),
        holds=lambda policy, _: policy.idle_timeout_s is not None,
        message="a service config has no timeout between messages",
    ),
    Limit(
        path=("idempotency",),
        holds=lambda policy, _: policy.idempotency == "keyed",
        message="a service config sends no idempotency key",
        hint="write `safe` or `accept_duplicates` if a repeat without one is harmless",
    ),
    Limit(
        path=("criticality",),
        holds=lambda policy, _: policy.criticality != "critical",
        message="a service config has no criticality",
    ),
    Limit(
        path=("retry", "jitter"),
        holds=lambda policy, _: retries(policy),
        message="a service config has one jitter: each wait times 0.8 to 1.2",
        hint="leave the key out",
    ),
    Limit(
        path=("retry", "retry_on"),
        holds=_repeats_only_answers,
        message="a service config cannot tell a broken connection, which is tried "
        "again, from an UNAVAILABLE that the server answered",
        hint="add `UNAVAILABLE` or `default`",
    ),
    Limit(
        path=("retry", "overload"),
        holds=_chooses_waits_of_overload,
        message="a service config has no waits of their own for overload",
    ),
    Limit(
        path=("retry_budget",),
        holds=_budgets,
        message="a service config has retryThrottling only",
        hint="write `retry_budget: {kind: tokens}`, or `off`",
    ),
    Limit(
        path=("retry_buffer",),
        holds=lambda policy, _: retries(policy),
        message="the buffer is the channel option `grpc.per_rpc_retry_buffer_size`, "
        "256KiB where it is not set",
    ),
    Limit(
        path=("breaker",),
        holds=_breaks,
        message="a service config has no circuit breaker",
        hint="write `breaker: off`",
    ),
    Limit(
        path=("limiter",),
        holds=lambda policy, node: (
            policy.mode == "enforce" and not isinstance(node["limiter"], Cell)
        ),
        message="a service config has no limit of concurrent calls",
    ),
    Limit(
        path=("trust_transport_details",),
        holds=lambda policy, _: policy.trust_transport_details,
        message="a service config knows codes only, not what a status text proves",
    ),
    Limit(
        path=("native_retries",),
        holds=lambda policy, node: (
            retries(policy) and value(node, "native_retries") == "forbid"
        ),
        message="a retryPolicy is native retries, which the policy forbids",
    ),
)


def limits_of(policy: CallPolicy, node: Node) -> Iterator[Limit]:
    """Yield what a rule says and a service config may not.

    Nothing of a rule acts unless its mode is `enforce`: then there is nothing to say.
    """
    if policy.mode == "enforce":
        for limit in LIMITS:
            if limit.holds(policy, node):
                yield limit
