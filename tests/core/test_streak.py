"""When a process that saw something bad may add load."""

import pytest

from resilience.core.streak import Streak
from resilience.core.ticks import BAD, FRESH_SLOW, OFFERED, OK, begin
from resilience.lab.simulate.hosts import Host


NOW = 100
FURTHEST, PER_UNIT = 50, 10
CELLS = {"offered": OFFERED, "ok": OK, "bad": BAD, "slow": FRESH_SLOW}


class Process:
    """One process and its ring: tick by tick, up to `NOW`."""

    def __init__(self, rows=None) -> None:
        self.rows = rows or Host(0.0, 0.1, lambda: 0.0).process()("a")
        self.rows.alarm(0)
        self.streak = Streak(FURTHEST, PER_UNIT)
        for tick in range(NOW - 50, NOW + 1):
            begin(self.rows.own, tick)

    def at(self, tick, **cells):
        place = begin(self.rows.own, tick)
        for cell, value in cells.items():
            self.rows.own[place + CELLS[cell]] = value

    def fails(self, *ticks, is_slow=False):
        for tick in ticks:
            self.streak.add(self.rows, tick, is_slow=is_slow)

    @property
    def may(self) -> bool:
        return self.streak.allows_more(self.rows, NOW)


@pytest.fixture
def process():
    return Process()


def test_nothing_bad_allows_all(process):
    """A process that has seen nothing bad asks nobody."""
    assert process.may


def test_first_quick_failure_is_repeated_at_once(process):
    """A refusal says nothing about load, whoever asked beside it."""
    process.at(NOW - 1, offered=9)
    process.fails(NOW)

    assert process.may


@pytest.mark.parametrize(("others", "may"), [(0, True), (1, False)])
def test_whose_time_ran_out_needs_a_sign_of_life(process, others, may):
    """Unless nobody else asked, so that nobody could have been answered."""
    process.at(NOW - 10, offered=1 + others)
    process.fails(NOW, is_slow=True)

    assert process.may is may


def test_a_sign_of_life_is_enough(process):
    """One answer within an attempt timeout allows the retry."""
    process.at(NOW - 10, offered=2)
    process.fails(NOW, is_slow=True)
    process.at(NOW - 9, ok=1)

    assert process.may


def test_an_old_answer_is_no_sign_of_life(process):
    """What was answered before the attempt began says nothing."""
    process.at(NOW - 20, offered=2, ok=2)
    process.fails(NOW, is_slow=True)

    assert not process.may


@pytest.mark.parametrize(("slow", "may"), [(1, True), (2, False)])
@pytest.mark.parametrize("when", [NOW, NOW - 5])
def test_a_slow_answer_is_no_sign_of_life(process, slow, may, when):
    """Slow answers tell of a queue, which a retry would make longer."""
    process.at(NOW - 10, offered=2)
    process.at(when, ok=2, slow=slow)
    process.fails(NOW - 1, is_slow=True)

    assert process.may is may


@pytest.mark.parametrize(("bad", "may"), [(1, True), (2, False)])
def test_where_little_is_heard_a_sign_of_life_may_be_older(process, bad, may):
    """A host that makes two calls per timeout is not silent for one that was lost."""
    process.at(NOW - 14, offered=2, ok=1)
    process.at(NOW - 3, bad=bad)
    process.fails(NOW, is_slow=True)

    assert process.may is may


def test_a_peer_s_answer_is_a_sign_of_life():
    """What another process of the host was answered counts, once it is known."""
    host = Host(0.1, 0.1, lambda: 0.0)
    one, other = (Process(host.process()("a")) for _ in range(2))
    one.at(NOW - 10, offered=2)
    one.fails(NOW, is_slow=True)
    other.at(NOW - 1, ok=1)

    assert not one.may

    other.at(NOW - 3, ok=1)
    host._scopes["a"]._totals.clear()  # it was read before

    assert one.may


def test_what_fails_at_one_moment_is_tried_again(process):
    """A server that closes its connections fails many calls; each may be repeated."""
    process.at(NOW - 2, offered=9)
    process.fails(*[NOW - 2] * 5, *[NOW] * 4)

    assert process.may


def test_quick_failures_that_go_on(process):
    """They need a sign of life where others asked; a call that is alone does not."""
    process.fails(NOW - 3, NOW)

    assert process.may

    busy = Process()
    busy.at(NOW - 5, offered=2)
    busy.fails(NOW - 3, NOW)

    assert not busy.may


def test_second_time_out_in_a_row_needs_a_sign_of_life_always(process):
    """Two attempts without an answer are enough, even of a call that is alone."""
    process.fails(NOW - 11, NOW, is_slow=True)

    assert not process.may


def test_an_answer_ends_the_row(process):
    """Failures with an answer in between are each the first."""
    process.fails(NOW - 20)
    process.at(NOW - 15, ok=1)
    process.fails(NOW)

    assert process.streak.length == 1


def test_the_row_is_forgotten(process):
    """What was bad long ago stops nothing."""
    process.at(NOW - 4, offered=9)
    process.fails(NOW - FURTHEST - 2, NOW - FURTHEST - 1)

    assert process.may

    process.fails(NOW)

    assert process.streak.length == 1
