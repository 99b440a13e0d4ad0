"""Hedged calls in virtual time: gRFC A6's rules, one by one."""

import pytest

from resilience.core.call import Call
from resilience.core.command import Finish
from resilience.core.event import ARRIVED, CallerGone
from resilience.core.hedged import HedgedCall
from resilience.core.target import NO_FACTS, Facts
from tests.core.hedging import (
    CAN,
    binding_of,
    cancelled,
    hedged,
    hedging,
    started,
    two,
    wake,
)
from tests.core.playing import pushed
from tests.core.policies import (
    ABORTED,
    NOT_FOUND,
    OK,
    OWN_FAULT,
    RESET,
    THROTTLED,
    TIMEOUT,
    arrive,
    done,
    finish_of,
)


# -- when ---------------------------------------------------------------------------


def test_quick_answer():
    """An answer before the delay is a plain call: one attempt, nothing written."""
    call = hedged()
    step = call.advance(ARRIVED, 0.0)

    assert 1.0 == step.wake_at
    assert Finish(1, OK, "ok") == finish_of(done(call, 1, OK, 0.5))
    assert (1, 0) == (call.ended.attempts, call.ended.hedges)
    assert () == tuple(call.history)


def test_late_attempt_gets_a_rival():
    """After the delay a second attempt starts, with a number of its own."""
    call = hedged()
    arrive(call)

    assert [] == started(wake(call, 0.9))
    assert [2] == started(wake(call, 1.0))
    assert [] == started(wake(call, 5.0))


def test_each_hedge_waits_one_delay():
    """Hedges come at intervals of the delay: the second after twice that (A6)."""
    call = hedged(hedging=hedging(max_hedges=2))
    arrive(call)
    step = wake(call, 1.0)

    assert ([2], 2.0) == (started(step), step.wake_at)
    assert [3] == started(wake(call, 2.0))


@pytest.mark.parametrize(
    ("facts", "said", "kind"),
    [
        (CAN, "safe", HedgedCall),
        (CAN, "keyed", HedgedCall),
        (CAN, "accept_duplicates", Call),
        (CAN, "none", Call),
        (CAN, "auto", Call),
        (Facts("safe", can_hedge=True), "auto", HedgedCall),
        (NO_FACTS, "safe", Call),
    ],
)
def test_who_is_hedged(facts, said, kind):
    """Only `safe` and `keyed` calls, and only where the adapter can."""
    assert kind is type(hedged(facts=facts, idempotency=said))


def test_no_delay_known():
    """Before enough samples nothing is hedged."""
    call = hedged(hedging=hedging(delay_s=None, quantile=0.95))
    step = call.advance(ARRIVED, 0.0)

    assert step.wake_at is None
    assert finish_of(done(call, 1, OK, 60.0))


def test_quantile_delay():
    """The delay is the quantile of first attempts: answers and timeouts."""
    binding = binding_of(hedging=hedging(delay_s=None, quantile=0.5, min_samples=4))
    for outcome in (OK, OK, TIMEOUT, OK):
        call = hedged(binding)
        arrive(call)
        done(call, 1, outcome, 2.0)
    call = hedged(binding)

    assert pytest.approx(2.0, rel=0.02) == call.advance(ARRIVED, 3.0).wake_at - 3.0


def test_fast_failures_are_no_samples():
    """Refusals would draw the delay down and hedge everything."""
    binding = binding_of(hedging=hedging(delay_s=None, quantile=0.5, min_samples=1))
    for outcome in (RESET, NOT_FOUND, THROTTLED, ABORTED):
        call = hedged(binding)
        arrive(call)
        done(call, 1, outcome, 0.01)

    assert binding.hedging.delay_s(9.0) is None


def test_superseded_counts_as_late():
    """A first attempt that lost is a sample, the hedge that beat it is none."""
    binding = binding_of(hedging=hedging(delay_s=None, quantile=0.5, min_samples=1))
    latency = binding.hedging._latency
    latency.sample(1.0)
    call = hedged(binding)
    due = call.advance(ARRIVED, 0.0).wake_at
    wake(call, due)
    done(call, 2, OK, due + 0.001)

    assert (2.0, pytest.approx(1.0, rel=0.02)) == (latency.samples, latency.at(60.0))


# -- how it ends --------------------------------------------------------------------


@pytest.mark.parametrize(("winner", "loser"), [(1, 2), (2, 1)])
def test_first_success_wins(winner, loser):
    """The other attempt is cancelled, and the end names the one that won."""
    call = two()
    step = done(call, winner, OK, 1.5)

    assert [(loser, "superseded")] == cancelled(step)
    assert Finish(winner, OK, "ok") == finish_of(step)
    assert (2, 1, "OK") == (
        call.ended.attempts,
        call.ended.hedges,
        call.ended.first_code,
    )
    assert [(winner, "ok"), (loser, "superseded")] == [
        (ended.number, ended.reason) for ended in call.history
    ]


def test_fatal_status_ends_the_call():
    """A status that no repeat can mend ends it, whichever attempt brings it."""
    call = two()
    step = done(call, 2, NOT_FOUND, 1.2)

    assert [(1, "superseded")] == cancelled(step)
    assert Finish(2, NOT_FOUND, "not-retryable") == finish_of(step)


def test_failure_sends_the_next_hedge_at_once():
    """A failure that is not fatal does not wait for the delay (A6)."""
    call = hedged()
    arrive(call)
    step = done(call, 1, ABORTED, 0.2)

    assert [2] == started(step)
    assert [("hedge", "hedge")] == [(r.decision, r.reason) for r in step.records]
    assert Finish(2, OK, "ok") == finish_of(done(call, 2, OK, 0.4))
    assert ("ABORTED", 1) == (call.ended.first_code, call.ended.hedges)


def test_failure_leaves_its_rival():
    """With no hedge left the rival decides."""
    call = two()
    step = done(call, 1, ABORTED, 1.2)

    assert ((), None) == (step.commands, step.wake_at)
    assert Finish(2, OK, "ok") == finish_of(done(call, 2, OK, 1.4))


def test_hedges_count_as_attempts():
    """After all have failed the retry rules go on counting, up to `max_attempts`."""
    call = two()
    done(call, 1, ABORTED, 1.2)
    step = done(call, 2, ABORTED, 1.3)

    assert 2.3 == step.wake_at
    assert [3] == started(wake(call, 2.3))
    step = done(call, 3, ABORTED, 2.4)

    assert Finish(3, ABORTED, "attempts-exhausted") == finish_of(step)
    assert (3, 1) == (call.ended.attempts, call.ended.hedges)


def test_without_retry():
    """`retry: off` leaves the hedges; the last error is the call's."""
    call = two(retry=None)
    done(call, 1, RESET, 1.2)
    step = done(call, 2, TIMEOUT, 1.3)

    assert Finish(2, TIMEOUT, "not-retryable") == finish_of(step)


def test_negative_pushback_stops_hedging():
    """The server forbids more; what is under way may still win."""
    call = two(hedging=hedging(max_hedges=3))
    step = done(call, 2, pushed(ABORTED, -1.0), 1.2)

    assert ((), None) == (step.commands, step.wake_at)
    assert finish_of(done(call, 1, OK, 9.0))


def test_pushback_moves_the_next_hedge():
    """A delay that the server asked for replaces ours (A6)."""
    call = two(hedging=hedging(max_hedges=3))
    step = done(call, 1, pushed(ABORTED, 0.25), 1.5)

    assert ([], 1.75) == (started(step), step.wake_at)
    assert [3] == started(wake(call, 1.75))


def test_pushback_with_nothing_under_way():
    """Without retries the pushback is waited for, and the hedge follows."""
    call = hedged(retry=None)
    arrive(call)
    step = done(call, 1, pushed(THROTTLED, 0.5), 0.2)

    assert pytest.approx(0.7) == step.wake_at
    assert [2] == started(wake(call, 0.7))


def test_overload_stops_hedging():
    """Who asks for less load gets no hedge: the ordinary retry rules wait."""
    call = hedged()
    arrive(call)
    step = done(call, 1, THROTTLED, 0.2)

    assert [] == started(step)
    assert step.wake_at is not None


def test_local_fault_ends_it():
    """A fault of our own is never sent again."""
    assert Finish(2, OWN_FAULT, "not-retryable") == finish_of(
        done(two(), 2, OWN_FAULT, 1.1)
    )


def test_loser_comes_too_late():
    """What a cancelled attempt still says changes nothing."""
    call = two()
    done(call, 1, OK, 1.2)
    step = done(call, 2, OK, 1.3)

    assert ((), ()) == (step.commands, step.records)


def test_caller_gone():
    """Whoever cancels, cancels all attempts."""
    call = two()
    step = call.advance(CallerGone(), 1.5)

    assert [(1, "cancelled"), (2, "cancelled")] == cancelled(step)
    assert "cancelled" == finish_of(step).reason


# -- time ---------------------------------------------------------------------------


def test_attempt_timeout():
    """Each attempt has its own; the rival goes on."""
    call = two(attempt_timeout_s=3.0)
    step = wake(call, 3.0)

    assert [(1, "attempt-timeout")] == cancelled(step)
    assert 4.0 == step.wake_at
    assert Finish(2, OK, "ok") == finish_of(done(call, 2, OK, 3.5))


def test_deadline_ends_all():
    """At the deadline nothing goes on."""
    call = two(timeout_s=3.0)
    step = wake(call, 3.0)

    assert {1, 2} == {number for number, _ in cancelled(step)}
    assert "deadline" == finish_of(step).reason


def test_no_hedge_that_cannot_fit():
    """Near the deadline a hedge would be cut short: it is not sent."""
    binding = binding_of(timeout_s=1.2)
    binding.scope.latency.sample(0.5)
    call = hedged(binding)
    arrive(call)

    assert [] == started(wake(call, 1.0))


def test_waits_exclude_attempts():
    """Time with no attempt under way is the backoff's only."""
    call = two()
    done(call, 1, ABORTED, 1.2)
    done(call, 2, ABORTED, 1.3)
    wake(call, 2.3)
    done(call, 3, OK, 4.0)

    assert pytest.approx(1.0) == call.ended.wait_s
