"""The adaptive breaker in virtual time: alone, and with its host."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilience.core.adaptive import AdaptiveBreaker
from resilience.core.breaker import Permit, Refusal
from resilience.core.ticks import FRESH_OK, OK, SENT, place_of
from resilience.lab.simulate.hosts import Host
from tests.core.policies import breaker


class Caller:
    """Who asks: a level, and perhaps the mark of a probe from above."""

    def __init__(self, level=0.5, *, is_marked=False) -> None:
        self.level = level
        self.is_marked = is_marked


class Clients:
    """Processes of one host that call one target, each at random moments."""

    def __init__(self, processes=1, rate=80.0, seed=1, **changes) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.rate = rate
        self.sent = self.offered = self.rejected = 0
        host = Host(0.1, 0.1, lambda: self.now)
        made = breaker(kind="adaptive", **changes)
        self.all = [
            AdaptiveBreaker(made, "s", host.process()("s")) for _ in range(processes)
        ]
        self.pending: list = []

    def run(self, seconds, shown="success", took_s=0.02, only=None) -> "Clients":
        """Call for *seconds*; each attempt ends as *shown* after *took_s*."""
        draw, end = self.random, self.now + seconds
        while True:
            at = self.now + draw.expovariate(self.rate)
            while self.pending and self.pending[0][0] <= min(at, end):
                self.finish(*self.pending.pop(0))
            self.now = min(at, end)
            if at >= end:
                return self
            number = (
                draw.randrange(len(self.all)) if only is None else draw.choice(only)
            )
            self.offered += 1
            answer = self.ask(number)
            if isinstance(answer, Refusal):
                self.rejected += 1
                continue
            self.sent += 1
            what = shown() if callable(shown) else shown
            self.pending.append((at + took_s, number, answer, what, took_s))

    def ask(self, number=0, caller=None):
        caller = caller or Caller(self.random.random())
        return self.all[number].admit(self.now, self.random.random, caller=caller)

    def finish(self, now, number, permit, what, took_s) -> None:
        self.now = now
        found, rng = self.all[number], self.random.random
        if what == "success" and found.succeeded(permit, took_s, now, rng):
            return
        found.done(permit, what, took_s, now, rng)

    @property
    def fractions(self) -> list[float]:
        return [each.fraction for each in self.all]

    def count(self):
        """Begin to count anew."""
        self.sent = self.offered = self.rejected = 0
        return self


SPREAD = pytest.mark.parametrize(
    ("processes", "rate"), [(1, 80.0), (20, 80.0), (10, 8.0), (1, 1.0)]
)


# Closed


@SPREAD
def test_one_failure_in_twenty_rejects_nobody(processes, rate):
    """Random errors at 5 % never cut where calls are frequent."""
    clients = Clients(processes, rate)
    errors = iter(range(10**9))
    clients.run(30, lambda: "failure" if next(errors) % 20 == 19 else "success")

    assert clients.rejected == 0


@SPREAD
@pytest.mark.parametrize("share", [0.3, 0.5])
def test_random_errors_are_no_reason_to_shed(processes, rate, share):
    """Where answers come quickly beside the errors, nearly all calls are let through.

    Where calls are rare a run of errors may look like an outage, for a while.
    """
    clients = Clients(processes, rate)
    draw = clients.random.random
    clients.run(10).count()
    clients.run(40, lambda: "failure" if draw() < share else "success")

    most = {80.0: 0.01, 8.0: 0.05, 1.0: 0.5}[rate]

    assert clients.rejected <= most * clients.offered


def test_refusals_for_want_of_room_are_a_reason_to_shed():
    """A target that asks for less, more often than it answers, is sent less."""
    clients = Clients().run(10).count()
    draw = clients.random.random
    clients.run(3, lambda: "overload" if draw() < 0.6 else "success")

    assert clients.rejected > 0.2 * clients.offered


def test_a_dead_target_is_known_after_one_tick():
    """A tenth of a timeout in which all fails is enough where calls are frequent."""
    clients = Clients(8, 320.0).run(10).run(0.21, "failure", took_s=0.002)
    for each in clients.all:
        each.admit(clients.now, lambda: 0.5)

    assert all(fraction < 0.2 for fraction in clients.fractions)


def test_who_is_new_has_seen_too_little():
    """Nothing is cut before an attempt timeout has passed, then all is."""
    clients = Clients().run(0.9, "failure", took_s=0.002)

    assert clients.rejected == 0

    clients.run(0.6, "failure", took_s=0.002)

    assert clients.rejected > 0


def test_a_usual_wait_is_not_slow():
    """A service that takes half its timeout is well, and stays admitted."""
    clients = Clients().run(10, took_s=0.3).run(10, took_s=0.45).run(10, took_s=0.7)

    assert clients.rejected == 0


def test_no_answer_is_too_slow_where_nobody_said_so():
    """Without a timeout in the policy only failures are bad."""
    clients = Clients(is_timed=False).run(30, took_s=4.0)

    assert clients.rejected == 0


def test_answers_that_nearly_time_out_cut():
    """What takes more than its share of the timeout, all at once, is overload."""
    assert Clients().run(10).run(3, took_s=0.9).rejected > 0


# Open


@SPREAD
def test_an_outage_costs_few_attempts(processes, rate):
    """The fewer calls a host makes, the larger the share of one attempt."""
    clients = Clients(processes, rate).run(20).run(4, "failure", took_s=0.002)
    clients.count().run(30, "failure", took_s=0.002)
    most = {80.0: 0.1, 8.0: 0.2, 1.0: 0.5}[rate]

    assert 0 < clients.sent / clients.offered < most


def test_nothing_passes_in_the_pause_but_marks():
    """Then the highest levels pass first, and what passes is a probe."""
    clients = Clients().run(5).run(1.5, "failure", took_s=0.002)
    found = clients.all[0]
    found.move("open", clients.now)
    before = found.probes

    assert isinstance(clients.ask(caller=Caller(0.999)), Refusal)

    marked = clients.ask(caller=Caller(0.0, is_marked=True))

    assert isinstance(marked, Permit)
    assert marked.probe

    refusal = clients.ask(caller=Caller(0.999))
    clients.now = refusal.retry_at + 0.01

    assert isinstance(clients.ask(caller=Caller(0.0)), Refusal)
    assert clients.ask(caller=Caller(0.999)).probe == found.probes == before + 2


def test_a_refused_call_is_told_when_its_level_passes():
    """Higher levels sooner: those who wait do not come back in one crowd."""
    clients = Clients().run(5)
    clients.all[0].move("open", clients.now)
    told = [clients.ask(caller=Caller(level)).retry_at for level in (0.1, 0.5, 0.9)]

    assert told == sorted(told, reverse=True)
    assert told[0] - clients.now < 4

    clients.now = told[1] + 0.2

    assert isinstance(clients.ask(caller=Caller(0.5)), Permit)


# Recovery


@SPREAD
@pytest.mark.parametrize("outage_s", [3.0, 3.7, 4.4, 20.0])
def test_all_pass_soon_after_the_heal(processes, rate, outage_s):
    """Whenever it heals, whoever calls is admitted within four timeouts."""
    clients = Clients(processes, rate).run(20)
    clients.run(outage_s, "failure", took_s=0.002).run(4).count().run(3)

    assert clients.rejected == 0


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0.1, 3.0),
            st.sampled_from(["success", "failure", "neutral", "overload", "own"]),
            st.sampled_from([0.002, 0.3, 0.9]),
        ),
        max_size=8,
    ),
    st.sampled_from([0.5, 8.0, 80.0]),
    st.integers(0, 100),
)
def test_never_stuck(story, rate, seed):
    """Whatever has happened, a healthy server is fully used within nine timeouts."""
    clients = Clients(2, rate, seed)
    for seconds, shown, took_s in story:
        clients.run(seconds, shown, took_s)
    clients.run(9).count().run(5)

    assert clients.rejected == 0


def test_silence_opens_what_nobody_calls():
    """A process that did not call for long is let through when it does."""
    clients = Clients(rate=5.0).run(5).run(5, "failure", took_s=0.002)
    clients.now += 3600

    assert isinstance(clients.ask(caller=Caller(0.0)), Permit)


def test_a_cancelled_attempt_is_not_waited_for():
    """Whoever goes away leaves nothing missing."""
    clients = Clients().run(5)
    found = clients.all[0]
    found.move("open", clients.now)
    permit = clients.ask(caller=Caller(is_marked=True))
    own, tick = found._rows.own, int(clients.now / 0.1)

    assert own[place_of(own, tick) + SENT] == 1

    found.done(permit, "neutral", 0.0, clients.now, lambda: 0.5)

    assert own[place_of(own, tick) + SENT] == 0


# Several processes


def test_who_calls_seldom_judges_as_those_who_call_often():
    """What was missed is judged tick by tick: all of a host come to one fraction."""
    clients = Clients(3).run(10)
    clients.run(2.2, "failure", took_s=0.002, only=[0, 1])
    for each in clients.all:
        each.admit(clients.now, lambda: 0.5)
    often, _, seldom = clients.all

    assert often.fraction < 1
    assert seldom._cut_tick == often._cut_tick
    assert 0.6 < seldom.fraction / often.fraction < 1.7


def test_an_answer_of_before_the_cut_is_not_fresh():
    """A process that hears of a cut with its answer does not count that as good."""
    clients = Clients(3).run(10)
    late = clients.ask(2)
    clients.run(1.5, "failure", took_s=0.002, only=[0, 1])
    clients.finish(clients.now, 2, late, "success", 0.5)
    own, tick = clients.all[2]._rows.own, int(clients.now / 0.1)
    place = place_of(own, tick)

    assert clients.all[2].fraction < 1
    assert (own[place + OK], own[place + FRESH_OK]) == (1, 0)


def test_a_broken_process_is_alone_with_it():
    """Where all others are well, one whose every call fails is cut alone."""
    clients = Clients(8).run(10)
    for _ in range(30):
        clients.run(0.1, "failure", took_s=0.002, only=[0])
        for well in range(1, 8):
            clients.run(0.02, only=[well])

    assert clients.fractions[0] < 1
    assert set(clients.fractions[1:]) == {1.0}
