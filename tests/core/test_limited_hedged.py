"""Hedged calls that need places: one for each attempt that is under way."""

from resilience.core.command import Finish, StartAttempt
from resilience.core.event import CallerGone, Woke
from tests.core.hedging import CAN, hedging
from tests.core.limiting import (
    answered,
    arrived,
    binding_of,
    full,
    limiting,
    nudged,
)
from tests.core.policies import OK


def started(step):
    return [c.number for c in step.commands if isinstance(c, StartAttempt)]


def hedged_binding(max_hedges=2, **changes):
    made = binding_of(hedging=hedging(max_hedges=max_hedges), **changes)
    made.hedging.extra_load._credit = 30.0
    return made


def test_each_hedge_has_a_place_of_its_own():
    """Two attempts under way are two in flight; the loser's is given back, too."""
    binding = hedged_binding()
    made, step = arrived(binding, facts=CAN)
    made.advance(Woke(step.wake_at), step.wake_at)
    assert binding.limiter.in_flight == 2
    step = answered(made, 1.5, OK, number=2)

    assert isinstance(step.commands[-1], Finish)
    assert (binding.limiter.in_flight, binding.limiter.late) == (0, 0)


def test_a_hedge_without_a_place_is_skipped():
    """It does not wait: the call goes on with what it has, and pays nothing."""
    binding = hedged_binding(limiter=limiting(initial_limit=1))
    credit = binding.hedging.extra_load.credit
    made, step = arrived(binding, facts=CAN)
    step = made.advance(Woke(step.wake_at), step.wake_at)

    assert started(step) == []
    assert step.wake_at == 2.0
    assert binding.hedging.extra_load.credit == credit
    assert (binding.limiter.waiting, binding.limiter.refused) == (0, 1)


def test_a_hedge_that_is_denied_takes_no_place():
    """No credit, no hedge, no place."""
    binding = hedged_binding()
    binding.hedging.extra_load._credit = 0.0
    made, step = arrived(binding, facts=CAN)
    made.advance(Woke(step.wake_at), step.wake_at)

    assert binding.limiter.in_flight == 1


def test_a_caller_that_goes_frees_all_places():
    """Of all attempts that are under way."""
    binding = hedged_binding(limiter=limiting(initial_limit=9))
    made, step = arrived(binding, facts=CAN)
    step = made.advance(Woke(step.wake_at), step.wake_at)
    made.advance(Woke(step.wake_at), step.wake_at)
    assert binding.limiter.in_flight == 3
    made.advance(CallerGone(), 5.0)

    assert (binding.limiter.in_flight, binding.limiter.late) == (0, 0)


def test_a_hedged_call_waits_as_others_do():
    """Its first attempt stands in line, then hedges are planned from its start."""
    binding = hedged_binding(limiter=limiting(initial_limit=1))
    (first,) = full(binding)
    made, _ = arrived(binding, 0.0, CAN)
    answered(first, 0.4)
    step = nudged(made, 0.4)

    assert started(step) == [1]
    assert step.wake_at == 1.4


def test_a_timeout_frees_the_place_of_its_attempt():
    """Of the attempt that ran out of time, not of its rival."""
    binding = hedged_binding(max_hedges=1, attempt_timeout_s=1.5, retry=None)
    made, step = arrived(binding, facts=CAN)
    step = made.advance(Woke(step.wake_at), step.wake_at)
    assert binding.limiter.in_flight == 2
    made.advance(Woke(1.5), 1.5)

    assert binding.limiter.in_flight == 1
