"""Random policies and random worlds for them: what Hypothesis draws from."""

import random
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st

from resilience.core.binding import Binding
from resilience.core.call import Call
from resilience.core.command import StartAttempt
from resilience.core.hedged import new_call
from resilience.core.outcome import Outcome
from resilience.core.policy import CallPolicy
from resilience.core.target import Facts
from resilience.drivers.virtual import Reply, VirtualCall, VirtualLoop
from tests.core.policies import (
    backoff,
    bind,
    breaker,
    budget,
    late_and_lone,
    policy,
    retry,
)


QUICK = settings(
    derandomize=True, max_examples=60, deadline=None, database=None, print_blob=True
)
"""The same examples on each run, few enough for each commit."""

MOST_OF_A_HOST = 8
"""Attempts that a host which decides itself makes: nobody retries for ever."""

outcomes = st.sampled_from(
    [
        Outcome("OK"),
        Outcome("OK"),
        Outcome("UNAVAILABLE", "transport", "no"),
        Outcome("UNAVAILABLE", "transport", "maybe"),
        Outcome("UNAVAILABLE", "transport", "no", unprocessed=True),
        Outcome("UNAVAILABLE", "transport", "no", ours=True),
        Outcome("DEADLINE_EXCEEDED", "transport", "maybe", timed_out=True),
        Outcome("INTERNAL", "transport", "maybe"),
        Outcome("RESOURCE_EXHAUSTED", "overload", "no", throttled=True),
        Outcome("RESOURCE_EXHAUSTED", "overload", "no", pushback_s=0.5),
        Outcome("SlowDown", "overload", "no", pushback_s=2, pushback_form="hint"),
        Outcome("SlowDown", "overload", "no", pushback_s=9, pushback_form="clamped"),
        Outcome("UNAVAILABLE", "transport", "maybe", pushback_s=-1),
        Outcome("NOT_FOUND", "application", "yes"),
        Outcome("ABORTED", "application", "yes"),
        Outcome("UNAVAILABLE", "permanent", "no"),
        Outcome("CANCELLED", "local", "maybe"),
    ]
)

lengths = st.sampled_from([None, 0.01, 0.5, 1.0, 3.0, 10.0])
modes = st.sampled_from(["enforce", "enforce", "enforce", "observe"])

retries = st.none() | st.builds(
    retry,
    mode=modes,
    max_attempts=st.integers(1, 6),
    backoff=st.builds(
        backoff,
        st.sampled_from([0.0, 0.1, 1.0]),
        st.sampled_from([0.5, 4.0]),
        st.sampled_from([1.0, 2.0]),
        st.sampled_from(["full", "equal", "decorrelated", "none"]),
    ),
    overload_backoff=st.none() | st.just(backoff(2.0)),
    codes=st.sampled_from([{}, late_and_lone()]),
)
budgets = st.none() | st.builds(
    budget,
    st.sampled_from(["ratio", "tokens", "quota"]),
    mode=modes,
    ratio=st.sampled_from([0.0, 0.2, 1.0]),
    min_per_second=st.sampled_from([0.0, 0.2]),
    capacity=st.sampled_from([0, 30, 500]),
    max_tokens=st.sampled_from([2.0, 10.0]),
)
breakers = st.none() | st.builds(
    breaker,
    mode=modes,
    window_calls=st.sampled_from([None, 3]),
    min_calls=st.integers(1, 4),
    failure_ratio=st.sampled_from([0.1, 0.5, 1.0]),
    slow_call_s=st.sampled_from([None, 0.4]),
    open_for_s=st.sampled_from([0.0, 0.5, 5.0]),
    probes=st.integers(1, 4),
    concurrent_probes=st.integers(1, 3),
    probe_timeout_s=st.sampled_from([0.5, 5.0]),
    when_open=st.sampled_from(["reject", "wait"]),
    ramp_s=st.sampled_from([0.0, 2.0]),
    jitter=st.booleans(),
    growing=st.booleans(),
    early_decision=st.booleans(),
)
policies = st.builds(
    policy,
    mode=modes,
    timeout_s=lengths,
    attempt_timeout_s=lengths,
    idempotency=st.sampled_from(["auto", "safe", "keyed", "none"]),
    retry=retries,
    retry_budget=budgets,
    breaker=breakers,
)
facts = st.builds(
    Facts,
    declared=st.sampled_from(["safe", "none"]),
    timeout_s=st.sampled_from([None, None, 0.0, 0.3, 5.0]),
    deadline_at=st.sampled_from([None, None, 1.0, 20.0]),
    inbound_at=st.none(),
    criticality=st.none(),
    streams=st.booleans(),
    previous_attempts=st.sampled_from([0, 0, 0, 1, 9]),
    long=st.booleans(),
    least_s=st.sampled_from([None, None, 2.0]),
    wait_before_failing=st.booleans(),
    host_decides=st.sampled_from([False, False, False, True]),
)


class Visit(NamedTuple):
    """One call of a random world."""

    at: float
    facts: Facts
    replies: list[Reply | None]
    """What its attempts meet; None: nothing ever comes."""
    leaves_after_s: float | None


replies = st.none() | st.builds(
    Reply,
    outcomes,
    st.sampled_from([0.0, 0.01, 0.5, 2.0]),
    st.sampled_from([None, 0.0, 0.3]),
    st.sampled_from([None, None, None, 0.0]),
)
visits = st.builds(
    Visit,
    st.sampled_from([0.0, 0.1, 1.0, 3.0, 8.0, 30.0]),
    facts,
    st.lists(replies, min_size=1, max_size=6),
    st.sampled_from([None, None, None, 0.0, 0.2, 4.0]),
)


class World(NamedTuple):
    """What happened in one random world."""

    loop: VirtualLoop
    binding: Binding
    calls: list[VirtualCall]
    visits: list[Visit]

    def visits_in_order(self) -> list[Visit]:
        """As their calls arrived: by moment, then as listed."""
        return sorted(self.visits, key=lambda visit: visit.at)


def live(made: CallPolicy, visits: list[Visit], seed: int) -> World:
    """Let all visits happen, to the last event; callers leave those without an end."""
    loop, binding = VirtualLoop(), bind(made)
    rng = random.Random(seed).random
    calls: list[VirtualCall] = []
    by_id = {f"c-{n}": visit for n, visit in enumerate(visits)}

    def transport(call: Call, command: StartAttempt, _: float) -> Reply | None:
        found = by_id[call.id].replies
        reply = found[min(command.number, len(found)) - 1]
        if reply is not None and command.number >= MOST_OF_A_HOST:
            return reply._replace(host_wait_s=None)
        return reply

    def begin(call_id: str, visit: Visit) -> None:
        running = loop.start(new_call(binding, visit.facts, call_id, rng), transport)
        calls.append(running)
        if visit.leaves_after_s is not None:
            loop.at(loop.now + visit.leaves_after_s, running.cancel)

    for call_id, visit in by_id.items():
        loop.at(visit.at, lambda i=call_id, v=visit: begin(i, v))
    loop.run(until=10_000.0)
    for running in calls:
        running.cancel()
    loop.run()
    return World(loop, binding, calls, visits)
