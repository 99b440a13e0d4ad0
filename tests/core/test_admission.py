"""The adaptive breaker's rule, number by number."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilience.core.admission import RULE, Admission, Fresh
from resilience.core.ticks import NO_SUMS, Sums


TICK = 0.1
NOTHING = Fresh(0, 0, 0, 0, 0)
GOOD = Fresh(4, 0, 0, 0, 0)


@dataclass
class Known:
    """Evidence that a test states."""

    tick: Sums = NO_SUMS
    age: float = 0.0
    seen: Sums = NO_SUMS
    measured: Sums = NO_SUMS
    newest: Sums = NO_SUMS
    before: Sums = NO_SUMS
    found: Fresh = NOTHING

    def short(self) -> Sums:
        return self.seen

    def long(self) -> Sums:
        return self.measured

    def life(self) -> Sums:
        return self.newest

    def past(self) -> Sums:
        return self.before

    def fresh(self) -> Fresh:
        return self.found

    def draw(self) -> float:
        return 0.5


def failing(*, bad=5, ok=0, worst=0, offered=100, accepted=40, failed=60):
    """A tick with something bad, and what a second before it held."""
    return Known(
        tick=Sums(bad=bad, fresh_bad=bad),
        seen=Sums(ok=ok, bad=bad, worst=worst),
        measured=Sums(offered=offered, ok=accepted, bad=failed),
        found=Fresh(ok, bad, 0, 0, 0),
    )


def cut(rate=80.0, **known):
    """An admission that was cut."""
    admission = Admission()
    assert admission.judge(failing(**known), rate, TICK)
    return admission


def silence(admission, *, until, rate=80.0, since=0.0):
    """Nothing is seen, from *since* after the cut until the fraction is *until*."""
    age = since
    while admission.fraction < until:
        age += TICK
        assert age < 1000, admission.fraction
        admission.judge(Known(age=age), rate, TICK)
    return age


# Down


@given(st.integers(0, 1000))
def test_one_lone_bad_result_never_cuts(ok):
    """A single failure is noise, be there many results or none beside it."""
    admission = Admission()

    assert not admission.judge(failing(bad=1, ok=ok, accepted=ok), 80.0, TICK)
    assert admission.fraction == 1.0


def test_the_attempts_of_one_call_are_one_opinion():
    """Whoever has nothing but one call's repeats to go by leaves all open."""
    admission = Admission()

    assert not admission.judge(failing(bad=3, offered=1, accepted=0), 80.0, TICK)
    assert admission.judge(failing(bad=3, offered=2, accepted=0), 80.0, TICK)


def test_a_share_that_is_usual_never_cuts():
    """Bad results up to the rule's share of the newest ones are borne."""
    admission = Admission()

    assert not admission.judge(failing(bad=20, ok=80), 80.0, TICK)
    assert admission.judge(failing(bad=21, ok=79), 80.0, TICK)


def test_a_cut_leaves_what_was_measured_to_be_accepted():
    """Forty of a hundred offered were accepted: forty, and a little headroom, pass."""
    assert cut(accepted=40).fraction == pytest.approx(0.4 * RULE.headroom)


def test_what_is_nearly_all_accepted_is_not_cut():
    """Bad results that retries have made good leave the fraction whole."""
    admission = Admission()

    assert not admission.judge(failing(accepted=82), 80.0, TICK)
    assert admission.judge(failing(accepted=80), 80.0, TICK)


def test_what_one_process_alone_has_seen_does_not_cut_for_all():
    """Where many look, the worst one's bad results count for nothing."""
    assert not Admission().judge(failing(bad=5, worst=5), 80.0, TICK)
    assert Admission().judge(failing(bad=6, worst=3), 80.0, TICK)


def test_no_cut_goes_below_the_floor():
    """Where nothing is accepted a small share is left to find out with."""
    admission = cut(accepted=0)

    assert admission.fraction == RULE.floor
    assert admission.is_open


def test_what_was_sent_before_a_cut_is_no_news():
    """Late failures of earlier attempts do not cut again."""
    admission = cut(accepted=40)
    before = admission.fraction
    late = failing(bad=9, accepted=0)
    late.tick, late.found = Sums(bad=9), NOTHING

    assert not admission.judge(late, 80.0, TICK)
    assert admission.fraction == before


def test_a_failure_after_a_cut_cuts_again():
    """Unless good answers outnumber it well; and never up."""
    admission = cut(accepted=40)

    assert not admission.judge(failing(bad=1, ok=3, accepted=10), 80.0, TICK)

    before = admission.fraction

    assert admission.judge(failing(bad=1, ok=2, accepted=10), 80.0, TICK)
    assert admission.fraction == pytest.approx(0.1 * RULE.headroom)
    assert admission.judge(failing(bad=1, ok=0, accepted=90), 80.0, TICK)
    assert admission.fraction < before


# What shedding cannot help


def partial(*, ok=1, slow=0, bad=9, past_ok=0, past_bad=0):
    """A tick as in `failing`, with quick answers beside what fails."""
    known = failing(bad=bad, ok=ok, accepted=ok, failed=bad)
    known.tick = Sums(ok=ok, bad=bad, fresh_ok=ok, fresh_bad=bad)
    known.newest = Sums(ok=ok, bad=bad, fresh_ok=ok, fresh_bad=bad, fresh_slow=slow)
    known.before = Sums(fresh_ok=ok + past_ok, fresh_bad=bad + past_bad)
    return known


def test_quick_answers_beside_failures_are_no_reason_to_shed():
    """A target that answers some at once keeps up: it fails for another reason."""
    assert not Admission().judge(partial(ok=1), 80.0, TICK)
    assert Admission().judge(partial(ok=1, slow=1), 80.0, TICK)
    assert Admission().judge(partial(ok=0), 80.0, TICK)


def test_what_was_as_bad_before_is_no_reason_to_shed():
    """A run of failures is chance where as many failed before, and some did not."""
    assert not Admission().judge(partial(ok=0, past_ok=6, past_bad=30), 80.0, TICK)
    assert Admission().judge(partial(ok=0, past_ok=30, past_bad=6), 80.0, TICK)
    assert Admission().judge(partial(ok=0, past_ok=1, past_bad=35), 80.0, TICK)


def test_a_cut_that_does_not_help_is_given_up():
    """Quick answers among fresh failures raise it, as if nothing had failed."""
    admission = cut(accepted=40)
    before = admission.fraction

    assert not admission.judge(partial(ok=1, bad=3), 80.0, TICK)
    assert admission.fraction == pytest.approx(before * (1 + RULE.growth))

    admission = cut(accepted=40)

    assert admission.judge(partial(ok=1, slow=1, bad=3), 80.0, TICK)


# All at once


def sudden(*, ok=0, bad=10, worst=2, told=0, well=90, ill=0):
    """A tick that fails, of which *told* tell of load, after a second of answers."""
    return Known(
        tick=Sums(ok=ok, bad=bad, worst=worst, fresh_bad=bad, fresh_slow=told),
        seen=Sums(ok=ok, bad=bad, worst=worst),
        measured=Sums(
            offered=100, ok=well + ok, bad=bad + ill, worst=worst, fresh_slow=told
        ),
        newest=Sums(fresh_ok=well, fresh_bad=bad),
    )


def test_a_tick_that_fails_as_a_whole_cuts_at_once():
    """One tick is enough, and says how deep, though most of the second was well."""
    admission = Admission()

    assert admission.judge(sudden(), 80.0, TICK)
    assert admission.fraction == RULE.floor
    assert admission.is_open


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(sudden(ok=3), id="not nearly all"),
        pytest.param(sudden(bad=7), id="few results"),
        pytest.param(sudden(worst=10), id="one process"),
        pytest.param(sudden(worst=9), id="one beside one process"),
        pytest.param(sudden(told=5), id="load"),
        pytest.param(sudden(well=60, ill=30), id="ill before"),
    ],
)
def test_less_than_a_whole_tick_waits_for_more(known):
    """What is not sudden, or not sure, is judged by the newest ticks and the second."""
    assert not Admission().judge(known, 80.0, TICK)


# Up


def test_good_answers_raise_it_at_once_and_ever_faster():
    """From the floor to whole within ten ticks of the first good answer."""
    admission, steps = cut(accepted=0), [RULE.floor]
    while admission.fraction < 1:
        admission.judge(Known(found=GOOD, age=TICK * len(steps)), 80.0, TICK)
        steps.append(admission.fraction)
    growth = [after / before for before, after in pairwise(steps)]

    assert growth[0] == pytest.approx(1 + RULE.growth)
    assert growth[:-1] == sorted(growth[:-1])
    assert len(growth) <= 10
    assert not admission.is_good


@pytest.mark.parametrize(
    "doubt",
    [
        Fresh(4, 0, 4, 4, 0),
        Fresh(4, 0, 0, 0, 5),
        Fresh(0, 0, 0, 0, 1),
        Fresh(6, 0, 2, 1, 6),
    ],
)
def test_doubt_holds_it(doubt):
    """Slow answers, or missing ones, above half: it creeps at most."""
    admission = cut(accepted=40)
    before = admission.fraction
    for tick in range(10):
        admission.judge(Known(found=doubt, age=9.0 + tick * TICK), 80.0, TICK)

    assert admission.fraction <= before * 1.02
    assert not admission.is_good


def test_a_slow_answer_of_long_ago_holds_nothing():
    """What was slow before the newest ticks says nothing about now."""
    admission = cut(accepted=0)

    assert silence(admission, until=1.0) < 5

    admission = cut(accepted=0)
    before = admission.fraction
    admission.judge(Known(found=Fresh(1, 0, 1, 0, 0), age=4.0), 80.0, TICK)

    assert admission.fraction > before * 1.4


def test_doubt_begins_the_steps_anew():
    """After a hold, growth starts with its first step."""
    admission = cut(accepted=0)
    for _ in range(3):
        admission.judge(Known(found=GOOD), 80.0, TICK)
    admission.judge(Known(found=Fresh(4, 0, 4, 4, 0)), 80.0, TICK)
    before = admission.fraction
    admission.judge(Known(found=GOOD), 80.0, TICK)

    assert admission.fraction == pytest.approx(before * (1 + RULE.growth))


def test_silence_raises_it_after_the_pause():
    """While nothing is heard nothing rises in the pause, and all has risen soon."""
    admission = cut(accepted=0)
    pause = RULE.pause_of(80.0, 0.5)

    assert pause == RULE.pause
    assert not admission.judge(Known(age=pause - 0.01), 80.0, TICK)
    assert admission.fraction == RULE.floor
    assert admission.passes_nothing(pause - 0.01)
    assert not admission.passes_nothing(pause)
    assert silence(admission, until=1.0) < 3


@settings(deadline=None)
@given(
    rate=st.floats(0.001, 10_000.0),
    draw=st.floats(0.0, 0.999),
    fraction=st.floats(RULE.floor, 0.99),
)
def test_nobody_is_shut_out_for_want_of_calls(rate, draw, fraction):
    """From any fraction, for any rate, silence opens it within seven timeouts."""
    admission = Admission()
    admission.shut(fraction, rate, draw)

    assert silence(admission, until=1.0, rate=rate) < 7


@pytest.mark.parametrize("fraction", [RULE.floor, 0.5, 0.99])
def test_what_stays_slow_opens_in_the_end(fraction):
    """A server that is slower for good is believed at last."""
    admission = Admission()
    admission.shut(fraction, 80.0, 0.5)
    for tick in range(2700):
        admission.judge(Known(found=Fresh(9, 0, 9, 9, 0), age=tick * TICK), 80.0, TICK)

    assert admission.fraction == 1.0


def test_hosts_that_offer_less_pause_longer_and_step_higher():
    """Each of their attempts is a larger share, and each answer says more."""
    assert RULE.pause_of(8.0, 0.5) > 1.5 * RULE.pause_of(80.0, 0.5)
    assert RULE.pause_of(0.001, 0.5) == RULE.pause_of(RULE.least_rate, 0.5)

    busy, idle = cut(accepted=0), cut(accepted=0, rate=8.0)
    for admission, rate in ((busy, 80.0), (idle, 8.0)):
        admission.judge(Known(found=GOOD), rate, TICK)

    assert idle.fraction > busy.fraction


def test_pauses_differ():
    """By the rule's share around the middle, so that hosts do not rise in step."""
    shortest, longest = RULE.pause_of(80.0, 0.0), RULE.pause_of(80.0, 1.0)

    assert shortest == pytest.approx(RULE.pause * (1 - RULE.spread))
    assert longest == pytest.approx(RULE.pause * (1 + RULE.spread))


@pytest.mark.parametrize("wanted", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("rate", [80.0, 1.0])
def test_when_it_will_be_reached_is_known(wanted, rate):
    """What a refused call is told is when silence would let it through."""
    admission = Admission()
    admission.shut(RULE.floor, rate, 0.5)
    told = admission.reaches(wanted, 0.0)

    assert silence(admission, until=wanted, rate=rate) == pytest.approx(told, abs=0.25)
