"""Hedges that are not sent: denied by a budget or a breaker, or only observed."""

import pytest

from resilience.core.command import Finish
from resilience.core.event import ARRIVED
from resilience.core.observed import ObservedCall
from tests.core.hedging import binding_of, hedged, hedging, started, two, wake
from tests.core.policies import (
    ABORTED,
    OK,
    arrive,
    breaker,
    budget,
    done,
    finish_of,
    retry,
)


# -- budgets and the breaker --------------------------------------------------------


def test_denial_only_skips_the_hedge():
    """Without credit the call goes on with what it has."""
    call = hedged(binding_of(credit=0.0))
    arrive(call)
    step = wake(call, 1.0)

    assert [] == started(step)
    assert Finish(1, OK, "ok") == finish_of(done(call, 1, OK, 5.0))


def test_retry_budget_is_shared():
    """A hedge takes what a retry takes; denied by it, the credit comes back."""
    empty = budget(ratio=0.2, min_per_second=0.0)
    binding = binding_of(retry_budget=empty)
    call = hedged(binding)
    arrive(call)

    assert [] == started(wake(call, 1.0))
    assert 10.0 == binding.hedging.extra_load.credit


def test_retry_budget_is_spent():
    """Each hedge that is sent is paid for."""
    binding = binding_of(retry_budget=budget(min_per_second=1.0))
    before = binding.budget.balance(0.0)
    call = hedged(binding)
    arrive(call)
    wake(call, 1.0)

    assert before - 1 == binding.budget.balance(1.0)


def test_none_while_the_breaker_is_not_closed():
    """A breaker that ramps up or is open takes no extra load."""
    binding = binding_of(breaker=breaker())
    call = hedged(binding)
    arrive(call)
    binding.breaker.move("half-open", 0.5)

    assert [] == started(wake(call, 1.0))
    assert 10.0 == binding.hedging.extra_load.credit


def test_losers_leave_no_sample():
    """The breaker counts the winner only, and holds no permit of the loser."""
    binding = binding_of(breaker=breaker())
    call = hedged(binding)
    arrive(call)
    wake(call, 1.0)
    done(call, 1, OK, 1.5)

    assert 1 == binding.breaker.snapshot(1.5)["calls"]


# -- observe ------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
def test_observed(whole):
    """Observed, nothing is sent; what would have been is written down."""
    changes = {"mode": "observe"} if whole else {"hedging": hedging(mode="observe")}
    call = hedged(**changes)

    assert ObservedCall is type(call)
    step = call.advance(ARRIVED, 0.0)

    assert step.wake_at is None
    step = done(call, 1, OK, 3.0)
    (seen,) = [r for r in step.records if type(r).__name__ == "Decided"]

    assert ("hedging", "hedge", 1.0) == (seen.mechanism, seen.decision, seen.wait_s)
    assert 0 == call.ended.hedges


def test_observed_in_time():
    """An answer within the delay is a clean success."""
    call = hedged(hedging=hedging(mode="observe"))
    arrive(call)
    step = done(call, 1, OK, 0.5)

    assert ["CallEnded"] == [type(r).__name__ for r in step.records]


def test_observing_retry():
    """Where retries only observe, hedges still act and nothing follows them."""
    call = two(retry=retry(mode="observe"))
    done(call, 1, ABORTED, 1.2)
    step = done(call, 2, ABORTED, 1.3)

    assert 2 == finish_of(step).number
