"""Compiled policies by hand, with round numbers, for tests of the pure core."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from resilience.core.binding import Binding
from resilience.core.binding import bind as make_binding
from resilience.core.call import Call
from resilience.core.command import Finish, StartAttempt, Step
from resilience.core.event import ARRIVED, AttemptDone
from resilience.core.outcome import Outcome
from resilience.core.policy import (
    BackoffPolicy,
    BreakerPolicy,
    BudgetPolicy,
    CallPolicy,
    CodeRule,
    RetryPolicy,
)
from resilience.core.scope import Scope
from resilience.core.target import NO_FACTS, Facts, Target


TARGET = Target(protocol="app", name="rates", service="rates", method="quote")

OK = Outcome("OK")
REFUSED = Outcome("UNAVAILABLE", "transport", "no")
RESET = Outcome("UNAVAILABLE", "transport", "maybe")
TIMEOUT = Outcome("DEADLINE_EXCEEDED", "transport", "maybe", timed_out=True)
THROTTLED = Outcome("RESOURCE_EXHAUSTED", "overload", "no", throttled=True)
UNPROCESSED = Outcome("UNAVAILABLE", "transport", "no", unprocessed=True)
INTERNAL = Outcome("INTERNAL", "transport", "maybe")
NOT_FOUND = Outcome("NOT_FOUND", "application", "yes")
ABORTED = Outcome("ABORTED", "application", "yes")
BAD_CERT = Outcome("UNAVAILABLE", "permanent", "no")
NO_DNS = Outcome("UNAVAILABLE", "transport", "no", ours=True)
OWN_FAULT = Outcome("INTERNAL", "local", "no")


def middle() -> float:
    """A random source that always draws a half."""
    return 0.5


def highest() -> float:
    """A random source that always draws (almost) one: waits are their maximum."""
    return 1.0


def waits_of(
    initial_s: float, max_s: float, multiplier: float
) -> Callable[[], Iterator[float]]:
    def waits() -> Iterator[float]:
        wait = initial_s
        while True:
            yield min(wait, max_s)
            wait = min(wait * multiplier, max_s)

    return waits


def backoff(
    initial_s: float = 1.0,
    max_s: float = 8.0,
    multiplier: float = 2.0,
    jitter: str = "none",
) -> BackoffPolicy:
    return BackoffPolicy(
        initial_s=initial_s,
        max_s=max_s,
        multiplier=multiplier,
        jitter=jitter,
        waits=waits_of(initial_s, max_s, multiplier),
    )


def retry(**changes: Any) -> RetryPolicy:
    made = RetryPolicy(
        mode="enforce",
        max_attempts=3,
        backoff=backoff(),
        overload_backoff=None,
        retry_on=frozenset({"ABORTED", "UNAVAILABLE"}),
        codes={},
    )
    return replace(made, **changes)


def late_and_lone() -> dict[str, CodeRule]:
    """INTERNAL is for serious faults: one retry, and a late one."""
    return {"INTERNAL": CodeRule(max_attempts=2, backoff=backoff(5.0))}


def budget(kind: str = "ratio", **changes: Any) -> BudgetPolicy:
    return replace(BudgetPolicy(mode="enforce", kind=kind), **changes)


def breaker(**changes: Any) -> BreakerPolicy:
    """Two of four open it for 10 s, two probes; no jitter, growth or ramp."""
    made = BreakerPolicy(
        mode="enforce",
        kind="classic",
        scope=("target",),
        window_calls=None,
        window_s=30.0,
        min_calls=4,
        failure_ratio=0.5,
        slow_call_s=None,
        slow_ratio=0.5,
        open_for_s=10.0,
        max_open_for_s=40.0,
        probes=2,
        concurrent_probes=1,
        probe_timeout_s=5.0,
        when_open="reject",
        ramp_s=0.0,
        ramp_aggression=1.0,
        jitter=False,
        growing=False,
        early_decision=True,
    )
    return replace(made, **changes)


def policy(**changes: Any) -> CallPolicy:
    made = CallPolicy(
        mode="enforce",
        timeout_s=None,
        attempt_timeout_s=None,
        first_message_timeout_s=None,
        idle_timeout_s=None,
        idempotency="safe",
        criticality="critical",
        retry_buffer_bytes=1 << 20,
        retry_buffer_messages=1000,
        retry=retry(),
        retry_budget=None,
        breaker=None,
        key_header="idempotency-key",
        trust_transport_details=False,
        native_attempts=1,
        profile="",
        owner="",
    )
    return replace(made, **changes)


def bind(
    made: CallPolicy | None = None,
    scope: Scope | None = None,
    target: Target = TARGET,
) -> Binding:
    """What the engine makes of a policy, without an engine."""
    made = policy() if made is None else made
    scope = Scope("app:target=rates", 0.0) if scope is None else scope
    return make_binding(target, made, made.mode, scope, 0)


def call(
    made: CallPolicy | Binding | None = None,
    facts: Facts = NO_FACTS,
    rng: Callable[[], float] = middle,
    call_id: str = "c-1",
) -> Call:
    binding = made if isinstance(made, Binding) else bind(made)
    return Call(binding, facts, call_id, rng)


def arrive(made: Call, now: float = 0.0) -> StartAttempt:
    """Let it arrive; it must start an attempt at once."""
    (command,) = made.advance(ARRIVED, now).commands
    assert isinstance(command, StartAttempt)
    return command


def done(made: Call, number: int, outcome: Outcome, now: float) -> Step:
    return made.advance(AttemptDone(number, outcome), now)


def finish_of(step: Step) -> Finish:
    """The end of the call, which *step* must bring."""
    (finish,) = [c for c in step.commands if isinstance(c, Finish)]
    return finish
