"""Calls that need a place: in virtual time, by hand."""

import pytest

from resilience.core.call import Call
from resilience.core.command import StartAttempt
from resilience.core.event import ARRIVED, AttemptCommitted, CallerGone, Woke
from resilience.core.limited import (
    LimitedCall,
    LimitedHedgedCall,
    LimitedObservedCall,
)
from resilience.core.record import Decided
from resilience.core.target import Facts
from tests.core.hedging import CAN, hedging
from tests.core.limiting import (
    answered,
    arrived,
    binding_of,
    full,
    limited,
    limiting,
    nudged,
)
from tests.core.policies import (
    OK,
    REFUSED,
    THROTTLED,
    bind,
    breaker,
    budget,
    finish_of,
    policy,
    retry,
)


def started(step):
    return [c.number for c in step.commands if isinstance(c, StartAttempt)]


# -- who is limited -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "changes", "kind"),
    [
        (Facts(), {}, LimitedCall),
        (Facts(long=True), {}, Call),
        (Facts(least_s=20.0), {}, Call),
        (Facts(), {"limiter": None}, Call),
        (CAN, {"hedging": hedging()}, LimitedHedgedCall),
        (CAN, {"hedging": hedging(), "idempotency": "none"}, LimitedCall),
        (CAN, {"hedging": hedging(mode="observe")}, LimitedObservedCall),
    ],
    ids=["plain", "long", "long poll", "off", "hedged", "unhedged", "observed"],
)
def test_kind_of_call(facts, changes, kind):
    """Long polls are never limited, and without a limiter a call is the plain one."""
    assert type(limited(binding_of(**changes), facts)) is kind


def test_a_place_for_each_attempt():
    """It is taken at the start and given back at the end, also of a repeat."""
    binding = binding_of(retry=retry())
    made, _ = arrived(binding)
    assert binding.limiter.in_flight == 1
    step = answered(made, 0.1, REFUSED)
    assert binding.limiter.in_flight == 0
    made.advance(Woke(step.wake_at), step.wake_at)
    assert binding.limiter.in_flight == 1
    answered(made, 9.0, OK, number=2)

    assert binding.limiter.in_flight == 0


@pytest.mark.parametrize("how", ["late", "gone"])
def test_an_attempt_that_we_end_gives_its_place_back(how):
    """By our timer and with its caller, as by its own end."""
    binding = binding_of(attempt_timeout_s=1.0, retry=None)
    made, step = arrived(binding)
    if how == "late":
        made.advance(Woke(step.wake_at), step.wake_at)
    else:
        made.advance(CallerGone(), 0.5)

    assert binding.limiter.in_flight == 0


def test_a_stream_gives_its_place_back_with_its_first_message():
    """It may last for hours; its end later gives nothing back twice."""
    binding = binding_of()
    made, _ = arrived(binding, facts=Facts(streams=True))
    made.advance(AttemptCommitted(1, answered=False), 0.1)
    assert binding.limiter.in_flight == 1
    made.advance(AttemptCommitted(1), 0.2)
    assert binding.limiter.in_flight == 0
    answered(made, 3600.0)

    assert (binding.limiter.in_flight, binding.limiter.late) == (0, 0)


# -- standing in line ---------------------------------------------------------------


def test_a_call_waits_for_a_place_and_starts_when_there_is_one():
    """Its driver is woken by whoever gives one up, before its time is over."""
    binding = binding_of()
    first, _ = full(binding)
    made, step = arrived(binding, 0.5)
    woken = []
    assert (step.commands, step.wake_at) == ((), 1.5)
    made.waiter.watch(lambda: woken.append(True))
    answered(first, 0.75)

    assert woken == [True]
    assert started(nudged(made, 0.75)) == [1]
    assert (made.waiter, binding.limiter.in_flight) == (None, 2)


def test_a_call_that_is_woken_for_nothing_waits_on():
    """A stale wake changes nothing."""
    binding = binding_of()
    full(binding)
    made, step = arrived(binding)

    assert nudged(made, 0.5).wake_at == step.wake_at
    assert binding.limiter.waiting == 1


def test_who_finds_no_place_in_time_is_refused():
    """Nothing was sent; the reason, the limit and a hint are told."""
    binding = binding_of()
    binding.scope.latency.sample(0.25)
    full(binding)
    made, step = arrived(binding)
    finish = finish_of(made.advance(Woke(step.wake_at), step.wake_at))

    assert (finish.reason, finish.number) == ("limiter", 0)
    assert finish.rejection.reason == "limiter"
    assert finish.rejection.scope == "app:target=rates"
    assert finish.rejection.message == (
        "rates/quote: limit of 2 for app:target=rates reached (2 in flight, none came "
        "free in time); nothing was sent; next admission in 0.25s"
    )
    assert (finish.outcome.code, finish.outcome.kind, finish.outcome.reached) == (
        "RESOURCE_EXHAUSTED",
        "local",
        "no",
    )
    assert made.ended.reason == "limiter"
    assert binding.limiter.waiting == 0


def test_a_repeat_without_a_place_tells_the_last_real_outcome():
    """What the server said is not hidden; what the repeat cost is given back."""
    binding = binding_of(
        limiter=limiting(initial_limit=1, max_wait_s=0.0),
        retry=retry(),
        retry_budget=budget(ratio=0, min_per_second=1, ttl_s=10),
    )
    made, _ = arrived(binding)
    step = answered(made, 0.1, REFUSED)
    full(binding, 0.2)
    before = binding.budget.balance(step.wake_at)
    finish = finish_of(made.advance(Woke(step.wake_at), step.wake_at))

    assert (finish.reason, finish.outcome) == ("limiter", REFUSED)
    assert finish.rejection is None
    assert binding.budget.balance(step.wake_at) == before


def test_a_deadline_is_checked_when_the_turn_comes():
    """A place that comes after the deadline is given on, not used."""
    binding = binding_of(timeout_s=0.5)
    first, second = full(binding)
    made, step = arrived(binding, 0.0)
    assert step.wake_at == 0.5
    first.advance(Woke(0.5), 0.5)
    finish = finish_of(made.advance(Woke(0.5), 0.5))
    second.advance(Woke(0.5), 0.5)

    assert finish.reason in {"deadline", "limiter"}
    assert (binding.limiter.in_flight, binding.limiter.waiting) == (0, 0)


@pytest.mark.parametrize("is_placed", [False, True])
def test_a_caller_that_goes_leaves_the_line(is_placed):
    """Waiting or just placed: the place is the next one's."""
    binding = binding_of()
    first, second = full(binding)
    made, _ = arrived(binding)
    if is_placed:
        answered(first, 0.1)
        assert made.waiter.place
    finish = finish_of(made.advance(CallerGone(), 0.2))

    assert finish.reason == "cancelled"
    assert binding.limiter.waiting == 0
    assert binding.limiter.in_flight == (1 if is_placed else 2)
    answered(second, 0.3)


def test_the_critical_go_first():
    """The call's own criticality decides, before the policy's."""
    binding = binding_of(criticality="sheddable")
    first, _ = full(binding)
    low, _ = arrived(binding)
    high, _ = arrived(binding, facts=Facts(criticality="critical_plus"))
    answered(first, 0.1)

    assert started(nudged(low, 0.1)) == []
    assert started(nudged(high, 0.1)) == [1]


# -- with the breaker ---------------------------------------------------------------


def test_the_breaker_is_asked_first():
    """A call that the breaker refuses takes no place and stands in no line."""
    binding = binding_of(breaker=breaker())
    full(binding)
    binding.breaker.move("forced-open", 0.0)
    finish = finish_of(arrived(binding, 0.1)[1])

    assert finish.reason == "breaker-open"
    assert binding.limiter.waiting == 0


@pytest.mark.parametrize("why", ["breaker-open", "deadline"])
def test_who_is_not_admitted_leaves_no_place_behind(why):
    """There was a place for it, and the breaker or its time said no."""
    binding = binding_of(breaker=breaker())
    if why == "breaker-open":
        binding.breaker.move("forced-open", 0.0)
    facts = Facts(timeout_s=0.0 if why == "deadline" else None)
    finish = finish_of(arrived(binding, 0.1, facts)[1])

    assert finish.reason == why
    assert (binding.limiter.in_flight, binding.limiter.late) == (0, 0)


def test_a_probe_has_a_place():
    """Who passes a half-open breaker is in flight as others are."""
    binding = binding_of(breaker=breaker())
    binding.breaker.move("open", 0.0, 5.0)
    made, step = arrived(binding, 6.0)

    assert started(step) == [1]
    assert binding.limiter.in_flight == 1
    answered(made, 6.1)
    assert (binding.limiter.in_flight, binding.limiter.late) == (0, 0)


def test_a_breaker_that_opened_meanwhile_is_asked_again():
    """Who waited for a place does not pass a breaker that opened behind its back."""
    binding = binding_of(breaker=breaker())
    first, second = full(binding)
    made, _ = arrived(binding)
    binding.breaker.move("open", 0.1, 100.0)
    answered(first, 0.2)
    finish = finish_of(nudged(made, 0.2))

    assert finish.reason == "breaker-open"
    assert binding.limiter.in_flight == 1
    answered(second, 0.3)


def test_a_breaker_that_lets_it_wait_gets_no_place():
    """Under `when_open: wait` the place is not held while it waits."""
    binding = binding_of(breaker=breaker(when_open="wait", open_for_s=10.0))
    first, _ = full(binding)
    made, _ = arrived(binding)
    binding.breaker.move("open", 0.1, 20.0)
    answered(first, 0.2)
    step = nudged(made, 0.2)

    assert (step.commands, step.wake_at) == ((), 20.0)
    assert binding.limiter.in_flight == 1
    assert started(made.advance(Woke(20.0), 20.0)) == [1]
    assert binding.limiter.in_flight == 2


@pytest.mark.parametrize("how", ["refused", "gone"])
def test_a_probe_without_a_place_is_given_back(how):
    """A half-open breaker's place is free for the next call."""
    binding = binding_of(breaker=breaker(), limiter=limiting(initial_limit=1))
    full(binding)
    binding.breaker.move("open", 0.0, 5.0)
    made, step = arrived(binding, 6.0)
    assert binding.breaker.snapshot(6.0)["probes_in_flight"] == 1
    event = Woke(step.wake_at) if how == "refused" else CallerGone()
    finish_of(made.advance(event, step.wake_at))

    assert binding.breaker.snapshot(7.0)["probes_in_flight"] == 0
    assert binding.breaker.state == "half-open"


# -- evidence -----------------------------------------------------------------------


def test_timeouts_and_throttles_lower_the_limit():
    """And what is too short to say anything does not."""
    binding = binding_of(
        attempt_timeout_s=1.0, retry=None, limiter=limiting(initial_limit=20)
    )
    calls = full(binding, 10.0)
    for made in calls[:10]:
        answered(made, 10.5, THROTTLED)
    for made in calls[10:]:
        made.advance(Woke(11.0), 11.0)
    again, _ = arrived(binding, 11.3)
    answered(again, 11.4)

    assert binding.limiter.limit < 20


def test_an_impatient_caller_is_no_evidence():
    """A timeout that the caller's own budget made short says nothing."""
    binding = binding_of(
        attempt_timeout_s=5.0, retry=None, limiter=limiting(initial_limit=20)
    )
    binding.scope.latency.sample(1.0)
    facts = Facts(timeout_s=0.5)
    calls = [arrived(binding, 10.0, facts)[0] for _ in range(20)]
    for made in calls:
        made.advance(Woke(10.5), 10.5)
    again, _ = arrived(binding, 11.3)
    answered(again, 11.4)

    assert binding.limiter.limit == 20


# -- observed -----------------------------------------------------------------------


@pytest.mark.parametrize("where", ["limiter", "engine"])
def test_observing_holds_nobody_and_writes_down(where):
    """Who would have waited and who would have been refused starts all the same."""
    changes = {"limiter": limiting(mode="observe")}
    if where == "engine":
        changes = {"mode": "observe"}
    binding = binding_of(**changes)
    decided, calls = [], []
    for _ in range(6):
        made, step = arrived(binding)
        assert started(step) == [1]
        calls.append(made)
        decided += [r for r in step.records if isinstance(r, Decided)]
    for made in calls:
        answered(made, 0.1)

    said = [(one.mechanism, one.decision, one.reason, one.wait_s) for one in decided]
    wait = ("limiter", "wait", "limiter", 1.0)
    assert said == [wait, wait, wait, ("limiter", "reject", "limiter", 0.0)]
    assert binding.limiter.in_flight == 0


# -- scopes -------------------------------------------------------------------------


def test_a_scope_has_one_limiter_for_equal_parameters():
    """Whatever their mode; other parameters have a limiter of their own."""
    scope = binding_of().scope
    made = scope.limiter(limiting())

    assert scope.limiter(limiting(mode="observe")) is made
    assert scope.limiter(limiting(initial_limit=7)) is not made
    assert scope.all_limiters[0] is made


def test_a_fork_frees_all_places():
    """The child's scopes begin empty: their calls are the parent's."""
    binding = binding_of()
    full(binding)
    binding.scope.renew()

    assert binding.limiter.in_flight == 0


# -- off ----------------------------------------------------------------------------


def test_off_is_the_plain_call():
    """A policy without a limiter makes the very class that knows nothing of one."""
    binding = bind(policy())

    assert binding.make_call is None
    assert type(limited(binding)) is Call
    assert limited(binding).advance(ARRIVED, 0.0).commands
