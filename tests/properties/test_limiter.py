"""What holds for every limiter, whatever its calls do."""

import random

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from resilience.core.command import Finish, StartAttempt
from resilience.core.event import (
    ARRIVED,
    AttemptCommitted,
    AttemptDone,
    CallerGone,
    Woke,
)
from resilience.core.limited import new_call
from resilience.core.scope import Scope
from resilience.core.target import Facts
from tests.core.hedging import hedging
from tests.core.limiting import limiting
from tests.core.policies import (
    NOT_FOUND,
    OK,
    REFUSED,
    THROTTLED,
    TIMEOUT,
    bind,
    breaker,
    policy,
    retry,
)
from tests.properties.worlds import QUICK


CLASSES = ("sheddable", "sheddable_plus", "critical", "critical_plus")


class Flight:
    """One call and what its driver knows."""

    def __init__(self, call, facts, order):
        self.call = call
        self.rank = CLASSES.index(facts.criticality)
        self.order = order
        self.wake_at = None
        self.under_way = []
        self.is_over = False
        self.is_woken = False


class Traffic(RuleBasedStateMachine):
    """Calls of four classes that come, wait, run, fail and go, in any order."""

    kind, hedged = "loss", False

    def __init__(self):
        super().__init__()
        self.now = 100.0
        self.rng = random.Random(0).random
        made = policy(
            timeout_s=8.0,
            attempt_timeout_s=3.0,
            retry=retry(),
            breaker=breaker(min_calls=6, open_for_s=2.0),
            limiter=limiting(kind=self.kind, initial_limit=3, max_limit=6),
            hedging=hedging(max_hedges=2) if self.hedged else None,
        )
        self.binding = bind(made, Scope("app:target=rates", self.now))
        self.limiter = self.binding.limiter
        self.flights = []
        self.passed = []

    def follow(self, flight, step):
        for command in step.commands:
            if isinstance(command, StartAttempt):
                flight.under_way.append(command.number)
            elif isinstance(command, Finish):
                flight.is_over, flight.under_way = True, []
            elif command.number in flight.under_way:
                flight.under_way.remove(command.number)
        flight.wake_at = None if flight.is_over else step.wake_at
        waiter = flight.call.waiter
        if waiter is not None and not flight.is_woken:
            waiter.watch(lambda: setattr(flight, "is_woken", True))

    def tell(self, flight, event):
        self.follow(flight, flight.call.advance(event, self.now))

    def some(self, data, flights):
        flights = [*flights]
        return data.draw(st.sampled_from(flights)) if flights else None

    @rule(criticality=st.sampled_from(CLASSES), streams=st.booleans())
    def arrive(self, criticality, streams):
        facts = Facts(
            criticality=criticality,
            streams=streams and not self.hedged,
            can_hedge=self.hedged,
        )
        call = new_call(self.binding, facts, "c", self.rng)
        flight = Flight(call, facts, len(self.flights))
        self.flights.append(flight)
        self.tell(flight, ARRIVED)

    @rule(
        data=st.data(),
        outcome=st.sampled_from([OK, OK, NOT_FOUND, REFUSED, THROTTLED, TIMEOUT]),
        after_s=st.sampled_from([0.0, 0.01, 0.2]),
    )
    def end(self, data, outcome, after_s):
        flight = self.some(data, [one for one in self.flights if one.under_way])
        if flight is not None:
            self.now += after_s
            number = data.draw(st.sampled_from(flight.under_way))
            flight.under_way.remove(number)
            self.tell(flight, AttemptDone(number, outcome))

    @rule(data=st.data(), answered=st.booleans())
    def commit(self, data, answered):
        flight = self.some(data, [one for one in self.flights if one.under_way])
        if flight is not None and not self.hedged:
            self.tell(flight, AttemptCommitted(flight.under_way[-1], answered))

    @rule(data=st.data())
    def cancel(self, data):
        flight = self.some(data, self.flights)
        if flight is not None:
            self.tell(flight, CallerGone())

    @rule(data=st.data())
    def stale_wake(self, data):
        flight = self.some(data, self.flights)
        if flight is not None:
            self.tell(flight, Woke(self.now))

    @rule()
    def hear(self):
        """Drivers that were woken look, in any order but soon."""
        for flight in self.flights:
            if flight.is_woken and not flight.is_over:
                flight.is_woken = False
                self.tell(flight, Woke(self.now))

    @rule(seconds=st.sampled_from([0.05, 0.5, 1.0, 2.0, 40.0]))
    def wait(self, seconds):
        until = self.now + seconds
        while True:
            due = [f for f in self.flights if f.wake_at is not None]
            flight = min(due, key=lambda one: one.wake_at, default=None)
            if flight is None or flight.wake_at > until:
                break
            self.now = max(self.now, flight.wake_at)
            self.tell(flight, Woke(flight.wake_at))
        self.now = until

    def placed(self):
        """Attempts that hold a place: under way unanswered, or just placed."""
        count = 0
        for flight in self.flights:
            call = flight.call
            waiter = call.waiter
            if waiter is not None and waiter.place:
                count += 1
            elif flight.under_way and not call._answered:
                count += len(flight.under_way)
        return count

    @invariant()
    def every_place_is_somebodys(self):
        assert self.limiter.in_flight == self.placed()

    @invariant()
    def nothing_came_back_twice(self):
        """Attempts end by the engine's timer here: no lease is ever needed."""
        assert self.limiter.late == 0

    @invariant()
    def the_queue_is_bounded(self):
        waiting = [f for f in self.flights if f.call.waiter is not None]
        undecided = [f for f in waiting if not f.call.waiter.is_decided]
        assert self.limiter.waiting == len(undecided) <= 3

    @invariant()
    def no_wake_up_is_lost(self):
        for flight in self.flights:
            waiter = flight.call.waiter
            if waiter is not None and waiter.is_decided:
                assert flight.is_woken

    @invariant()
    def nobody_waits_beside_a_free_place(self):
        live = [
            flight
            for flight in self.flights
            if flight.call.waiter is not None
            and not flight.call.waiter.is_decided
            and flight.call.waiter.until > self.now
        ]
        assert not live or self.limiter.in_flight >= self.limiter.limit

    @invariant()
    def the_line_is_fair(self):
        """Nobody is placed while one of his class came before, or one above waits."""
        waiting = [f for f in self.flights if f.call.waiter is not None]
        for one in waiting:
            if not one.call.waiter.place:
                continue
            for other in waiting:
                if other.call.waiter.is_decided or other.order > one.order:
                    continue
                is_first_attempt = not (one.call.history or other.call.history)
                assert other.rank < one.rank or not is_first_attempt

    @precondition(lambda self: len(self.flights) > 20)
    @rule()
    def everybody_goes(self):
        """Nothing is left when all calls have ended."""
        for flight in self.flights:
            self.tell(flight, CallerGone())
        assert (self.limiter.in_flight, self.limiter.waiting) == (0, 0)
        self.flights = []


class HedgedTraffic(Traffic):
    hedged = True


class LatencyTraffic(Traffic):
    kind = "latency"


def test_traffic():
    """No place leaks or is given twice, no wake-up is lost, and the line is fair."""
    run_state_machine_as_test(Traffic, settings=QUICK)


def test_hedged_traffic():
    """Nor where attempts of one call are in flight at once."""
    run_state_machine_as_test(HedgedTraffic, settings=QUICK)


def test_latency_traffic():
    """Nor where latency moves the limit."""
    run_state_machine_as_test(LatencyTraffic, settings=QUICK)
