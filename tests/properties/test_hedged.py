"""What holds for every hedged call, whatever the policy and the world."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.core.command import CancelAttempt, Finish, StartAttempt
from resilience.core.event import ARRIVED, AttemptDone, CallerGone, Woke
from resilience.core.hedged import HedgedCall, new_call
from resilience.core.hedging import FIRST_CREDIT
from resilience.core.record import AttemptEnded, CallEnded
from resilience.core.target import Facts
from tests.core.hedging import hedging
from tests.core.policies import bind, breaker, budget, policy, retry
from tests.properties.worlds import QUICK, Visit, live, outcomes, replies


hedgings = st.builds(
    hedging,
    mode=st.sampled_from(["enforce", "enforce", "observe"]),
    delay_s=st.sampled_from([0.005, 0.3, 1.0]),
    max_hedges=st.integers(1, 4),
    max_extra_load=st.sampled_from([0.0, 0.1, 1.0]),
)
policies = st.builds(
    policy,
    mode=st.sampled_from(["enforce", "enforce", "enforce", "observe"]),
    timeout_s=st.sampled_from([None, 0.5, 5.0]),
    attempt_timeout_s=st.sampled_from([None, 0.4, 3.0]),
    idempotency=st.sampled_from(["safe", "safe", "keyed", "none"]),
    retry=st.none() | st.builds(retry, max_attempts=st.integers(1, 4)),
    retry_budget=st.none()
    | st.builds(
        budget,
        st.sampled_from(["ratio", "tokens", "quota"]),
        min_per_second=st.sampled_from([0.0, 1.0]),
        capacity=st.sampled_from([0, 500]),
    ),
    breaker=st.none()
    | st.builds(
        breaker,
        min_calls=st.integers(2, 6),
        ramp_s=st.sampled_from([0.0, 2.0]),
        when_open=st.sampled_from(["reject", "wait"]),
    ),
    hedging=hedgings,
)
visits = st.builds(
    Visit,
    st.sampled_from([0.0, 0.1, 1.0, 3.0, 8.0, 30.0]),
    st.tuples(
        st.sampled_from([True, True, True, False]),
        st.sampled_from([None, 4.0]),
        st.sampled_from([0, 0, 2]),
    ).map(
        lambda it: Facts(can_hedge=it[0], deadline_at=it[1], previous_attempts=it[2])
    ),
    st.lists(replies, min_size=1, max_size=6),
    st.sampled_from([None, None, None, 0.0, 0.4, 4.0]),
)
worlds = st.builds(live, policies, st.lists(visits, max_size=12), st.integers(0, 9))


@QUICK
@given(worlds)
def test_a_call_ends_exactly_once(world):
    """One `Finish` and one `CallEnded`, however many attempts were under way."""
    ended = Counter(r.call_id for r in world.loop.records if isinstance(r, CallEnded))

    assert {1} >= set(ended.values())
    assert len(world.calls) == len(ended)
    for call in world.calls:
        assert call.finish is not None
        assert call.finish.outcome is call.call.ended.outcome


@QUICK
@given(worlds)
def test_every_started_attempt_ends_once(world):
    """Each is written down once where there was more than one, and none is left."""
    for call in world.calls:
        numbers = [start.number for _, start in call.starts]

        assert [*range(1, len(numbers) + 1)] == numbers
        written = [
            record.number
            for record in world.loop.records
            if isinstance(record, AttemptEnded) and record.call_id == call.call.id
        ]
        assert len(set(written)) == len(written)
        if len(numbers) > 1:
            assert numbers == sorted(written)
        if isinstance(call.call, HedgedCall):
            assert not getattr(call.call, "_under_way", None)


@QUICK
@given(worlds)
def test_attempts_stay_within_their_number(world):
    """Retries stop at `max_attempts`, hedges counted; hedges at `max_hedges`."""
    found = world.binding.policy
    most = 1 if not world.binding.retry_acts else found.retry.max_attempts
    for call in world.calls:
        ended = call.call.ended

        assert len(call.starts) == ended.attempts
        assert ended.hedges <= found.hedging.max_hedges
        if world.binding.mode == "enforce":
            paid = ended.attempts - ended.free_attempts
            assert paid <= max(most, 1 + found.hedging.max_hedges)
        if not isinstance(call.call, HedgedCall):
            assert 0 == ended.hedges


@QUICK
@given(worlds)
def test_extra_load_is_bounded(world):
    """Hedges are at most the ratio of answers, and the first few."""
    found = world.binding.hedging
    answers = sum(
        record.outcome.kind in {"ok", "application"}
        for record in world.loop.records
        if isinstance(record, AttemptEnded)
    ) + sum(
        ended.attempts == 1 and ended.outcome.kind == "ok"
        for ended in (call.call.ended for call in world.calls)
    )
    hedges = sum(call.call.ended.hedges for call in world.calls)

    assert hedges <= found.policy.max_extra_load * answers + FIRST_CREDIT + 1e-6


@QUICK
@given(worlds)
def test_permits_balance(world):
    """When all calls have ended, nobody holds a lease."""
    if world.binding.breaker is not None:
        assert {} == world.binding.breaker._leases


@QUICK
@given(worlds)
def test_time_is_kept(world):
    """No attempt starts at or after the deadline, and waits fit into the call."""
    for call in world.calls:
        ended, deadline = call.call.ended, call.call.deadline_at

        assert -1e-9 <= ended.wait_s <= ended.elapsed_s + 1e-9
        for moment, start in call.starts:
            if deadline is not None:
                assert moment < deadline
                assert moment + start.timeout_s <= deadline + 1e-9


@QUICK
@given(worlds)
def test_the_end_is_a_real_one(world):
    """`Finish` names an attempt that was started, and whose outcome it gives."""
    for call in world.calls:
        if call.finish.rejection is not None or not call.starts:
            continue
        outcomes_of = {done.number: done.outcome for done in call.call.history}
        number = call.finish.number

        assert 1 <= number <= len(call.starts)
        if number in outcomes_of and call.finish.reason != "cancelled":
            assert outcomes_of[number] is call.finish.outcome


events = (
    st.just(ARRIVED)
    | st.builds(AttemptDone, st.integers(0, 4), outcomes)
    | st.builds(Woke, st.floats(0, 50))
    | st.builds(CallerGone)
)


@QUICK
@given(policies, st.lists(st.tuples(st.floats(0, 5), events), max_size=14))
def test_any_event_in_any_state_is_legal_or_a_clean_error(made, script):
    """Only arriving twice, or not at all, is refused, and by a `RuntimeError`."""
    binding = bind(made)
    binding.hedging.extra_load._credit = 10.0
    call = new_call(binding, Facts(can_hedge=True), "c-1", lambda: 0.5)
    now, arrived, finishes = 0.0, False, 0
    under_way: set[int] = set()
    for pause, event in script:
        now += pause
        if (event is ARRIVED) == arrived and not isinstance(event, CallerGone):
            with pytest.raises(RuntimeError, match="call c-1"):
                call.advance(event, now)
            continue
        arrived = True
        if isinstance(event, AttemptDone):
            under_way.discard(event.number)
        step = call.advance(event, now)
        for command in step.commands:
            if isinstance(command, StartAttempt):
                under_way.add(command.number)
            elif isinstance(command, CancelAttempt):
                under_way.remove(command.number)  # each was under way
            else:
                finishes += isinstance(command, Finish)

                assert set() == under_way
                assert step.wake_at is None
        assert finishes <= 1
