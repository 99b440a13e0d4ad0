"""What holds for every call, whatever the policy and the world."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.core.call import Call
from resilience.core.command import CancelAttempt, Finish, StartAttempt
from resilience.core.event import (
    ARRIVED,
    AttemptCommitted,
    AttemptDone,
    CallerGone,
    Woke,
)
from resilience.core.record import AttemptEnded, CallEnded
from resilience.core.retries import MAX_FREE_ATTEMPTS
from tests.core.policies import bind
from tests.properties.worlds import QUICK, facts, live, outcomes, policies, visits


worlds = st.builds(live, policies, st.lists(visits, max_size=12), st.integers(0, 9))


@QUICK
@given(worlds)
def test_a_call_ends_exactly_once(world) -> None:
    """One `Finish` and one `CallEnded` for each call that arrived."""
    ended = Counter(r.call_id for r in world.loop.records if isinstance(r, CallEnded))

    assert len(world.calls) == len(world.visits)
    assert set(ended.values()) <= {1}
    assert len(ended) == len(world.calls)
    for call in world.calls:
        assert call.finish is not None
        assert call.finish.outcome is call.call.ended.outcome


@QUICK
@given(worlds)
def test_attempts_stay_within_their_number(world) -> None:
    """Never more than `max_attempts`, free repeats apart; hosts that decide aside."""
    retry = world.binding.policy.retry
    most = 1 if not world.binding.retry_acts else retry.max_attempts
    for call, visit in zip(world.calls, world.visits_in_order(), strict=True):
        ended = call.call.ended

        assert ended.attempts == len(call.starts)
        assert ended.free_attempts <= MAX_FREE_ATTEMPTS
        if world.binding.mode == "enforce" and not visit.facts.host_decides:
            assert ended.attempts - ended.free_attempts <= most


@QUICK
@given(worlds)
def test_no_attempt_starts_at_or_after_the_deadline(world) -> None:
    """And none gets more time than is left."""
    for call in world.calls:
        deadline = call.call.deadline_at
        for moment, start in call.starts:
            if deadline is not None:
                assert moment < deadline
                assert moment + start.timeout_s <= deadline + 1e-9


@QUICK
@given(worlds)
def test_what_may_have_been_executed_is_not_repeated_without_leave(world) -> None:
    """With idempotency `none` only what reached nobody is followed by an attempt."""
    if world.binding.mode != "enforce":
        return
    for call, visit in zip(world.calls, world.visits_in_order(), strict=True):
        declared = world.binding.policy.idempotency != "auto"
        if call.call.idempotency != "none":
            continue
        if visit.facts.host_decides and not declared:
            continue
        for ended in list(call.call.history)[:-1]:
            assert ended.outcome.reached == "no"


@QUICK
@given(worlds)
def test_every_started_attempt_ends_once(world) -> None:
    """By its outcome, by our timer, or with its caller."""
    for call in world.calls:
        numbers = [start.number for _, start in call.starts]

        assert numbers == [*range(1, len(numbers) + 1)]
        cancelled = [cancel.number for _, cancel in call.cancels]
        assert len(cancelled) == len(set(cancelled))
        ended = [
            record.number
            for record in world.loop.records
            if isinstance(record, AttemptEnded) and record.call_id == call.call.id
        ]
        assert len(ended) == len(set(ended))


@QUICK
@given(worlds)
def test_permits_balance(world) -> None:
    """When all calls have ended, nobody holds a lease and nothing is half paid."""
    breaker = world.binding.breaker
    if breaker is not None:
        assert breaker._leases == {}
        assert 0 <= breaker._admitted <= breaker.policy.probes


@QUICK
@given(worlds)
def test_a_failure_tells_the_last_real_outcome(world) -> None:
    """Once something was sent, the end is one of its outcomes or the caller's going."""
    for call in world.calls:
        ended = call.call.ended
        if ended.attempts and ended.outcome.kind != "ok":
            seen = [done.outcome for done in call.call.history]

            assert ended.outcome in seen or ended.reason == "cancelled"
            assert call.finish.rejection is None
        elif not ended.attempts and ended.reason != "cancelled":
            assert call.finish.rejection is not None


@QUICK
@given(policies, st.lists(visits, max_size=8), st.integers(0, 99))
def test_the_same_log_and_seed_give_the_same_steps(made, visited, seed) -> None:
    """A run is its log: fed again, event by event, it decides the same."""
    world = live(made, visited, seed)
    again = live(made, visited, seed)

    assert world.loop.log == again.loop.log
    assert world.loop.records == again.loop.records

    assert replay(world, seed) == world.loop.records


def replay(world, seed):
    """Feed the log into fresh calls with fresh state; the records they give."""
    rng = random.Random(seed).random
    binding, calls, records = bind(world.binding.policy), {}, []
    by_id = {call.call.id: call for call in world.calls}
    for now, call_id, event in world.loop.log:
        call = calls.get(call_id)
        if call is None:
            call = Call(binding, by_id[call_id].call.facts, call_id, rng)
            calls[call_id] = call
        records += call.advance(event, now).records
    return records


events = (
    st.just(ARRIVED)
    | st.builds(AttemptCommitted, st.integers(0, 3))
    | st.builds(AttemptDone, st.integers(0, 3), outcomes, st.sampled_from([None, 0.1]))
    | st.builds(Woke, st.floats(0, 50))
    | st.builds(CallerGone)
)


@QUICK
@given(policies, facts, st.lists(st.tuples(st.floats(0, 5), events), max_size=12))
def test_any_event_in_any_state_is_legal_or_a_clean_error(made, known, script) -> None:
    """Only arriving twice, or not at all, is refused, and by a `RuntimeError`."""
    call = Call(bind(made), known, "c-1", lambda: 0.5)
    now, arrived, finishes = 0.0, False, 0
    for pause, event in script:
        now += pause
        wrong = (event is ARRIVED) == arrived and not isinstance(event, CallerGone)
        if wrong:
            with pytest.raises(RuntimeError, match="call c-1"):
                call.advance(event, now)
            continue
        arrived = True
        step = call.advance(event, now)
        finishes += sum(isinstance(c, Finish) for c in step.commands)
        starts = sum(isinstance(c, StartAttempt) for c in step.commands)

        assert starts <= 1
        assert finishes <= 1
        if finishes:
            assert starts == 0
            assert step.wake_at is None
        for command in step.commands:
            if isinstance(command, CancelAttempt):
                assert command.number >= 1
