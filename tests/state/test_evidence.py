"""Processes of one host: what one has seen, the others know, and judge themselves."""

import pytest

from resilience.core.ticks import FRESH_OK, OK
from resilience.state.peek import peek


def in_ticks(first: float, ticks: int):
    """Moments in the middle of ticks of 100 ms."""
    return [round(first + 0.1 * at + 0.05, 3) for at in range(ticks)]


def test_two_have_seen_it_and_all_know(process):
    """A dead backend seen by two processes is limited by all within 300 ms."""
    eight = [process() for _ in range(8)]
    for now in in_ticks(100.0, 20):
        for each in eight:
            each.calls(now, good=3)
    first, second, *others = eight
    for now in in_ticks(102.0, 2):
        first.calls(now, bad=6)
        second.calls(now, bad=6)
    for each in eight:
        each.calls(102.3, good=1)

    states = [each.breaker().state for each in eight]
    assert "closed" not in states, states
    assert all(each.told == [] for each in eight)
    assert {each.host.processes for each in others} == {8}


def test_a_broken_network_opens_for_itself(process):
    """A process whose every call fails, among seven that are well, is alone with it."""
    eight = [process() for _ in range(8)]
    broken, *well = eight
    for now in in_ticks(100.0, 30):
        for each in well:
            each.calls(now, good=3)
        broken.calls(now, bad=3)

    assert broken.breaker().fraction < 0.2
    assert [each.breaker().fraction for each in well] == [1.0] * 7


def test_who_dies_is_forgotten(process):
    """What a process has told counts no longer than its heart beats."""
    one, other = process(), process()
    for now in in_ticks(100.0, 10):
        one.calls(now, good=3)
        other.calls(now, good=3)
    assert one.breaker()._rows.is_shared()
    assert one.breaker()._rows.rate() > other.breaker()._rate > 0
    for now in in_ticks(101.0, 30):
        one.calls(now, good=3)

    assert one.host.processes == 1
    assert not one.breaker()._rows.is_shared()


def test_a_healthy_tick_is_told_once_it_is_complete(process):
    """Peers add up what each has seen in a tick."""
    one, other = process(), process()
    for now in in_ticks(100.0, 10):
        one.calls(now, good=3)
        other.calls(now, good=2)
    seen = one.breaker()._rows.total(1005)

    assert (seen.ok, seen.fresh_ok, seen.bad, seen.offered) == (5, 5, 0, 5)


def test_names_part(process):
    """Policies of two names share nothing."""
    one, other = process("shop"), process("store")
    for now in in_ticks(100.0, 10):
        one.calls(now, good=3)
        other.calls(now, good=3)

    assert (one.host.processes, other.host.processes) == (1, 1)


def test_scopes_part(process):
    """A dead backend is no evidence about its neighbour."""
    one, other = process(), process()
    for now in in_ticks(100.0, 20):
        for each in (one, other):
            each.calls(now, bad=3)
            each.calls(now, good=3, scope="grpc:target=search")

    assert one.breaker().fraction < 0.2
    assert one.breaker("grpc:target=search").fraction == 1.0
    assert other.breaker("grpc:target=search").fraction == 1.0


def test_more_scopes_than_rows(process):
    """The scopes in trouble have rows; of the others, those that came first."""
    one, other = process(), process()
    names = [f"grpc:target=shard-{at}" for at in range(80)]
    for now in in_ticks(100.0, 12):
        for name in names:
            one.calls(now, good=1, scope=name)
    last = names[-1]
    assert one.breaker(last)._rows._row is None
    for now in in_ticks(109.0, 12):
        for each in (one, other):
            each.calls(now, bad=3, scope=last)

    assert one.breaker(last)._rows._row is not None
    assert other.breaker(last)._rows.is_shared()
    assert sum(one.breaker(name)._rows._row is None for name in names) == 16


def test_rows_of_forgotten_scopes_come_back(process):
    """A scope that was evicted gives its row back."""
    one = process()
    names = [f"grpc:target=shard-{at}" for at in range(64)]
    for now in in_ticks(100.0, 2):
        for name in names:
            one.calls(now, good=1, scope=name)
    assert one.breaker(names[-1])._rows._row is not None
    one.breakers.clear()
    for now in in_ticks(101.0, 2):
        one.calls(now, good=1)

    assert one.breaker()._rows._row is not None


@pytest.mark.parametrize("cell", [OK, FRESH_OK])
def test_what_cannot_be_true_is_not_believed(process, cell):
    """A count that no process can reach in a tick is left out."""
    one, other = process(), process()
    for now in in_ticks(100.0, 10):
        one.calls(now, good=3)
        other.calls(now, good=3)
    row = one.breaker()._rows._rows[0]
    for at in range(len(row) - 7):
        if row[at] == 1004:
            row[at + cell] = 2**60
    rows = one.breaker()._rows
    rows._cache = None

    assert rows.total(1004).ok == 3
    assert rows.total(1005).ok == 6


def test_the_reserve_is_split(process):
    """Processes are counted, so that what they may do together is split."""
    three = [process() for _ in range(3)]
    for now in in_ticks(100.0, 10):
        for each in three:
            each.calls(now, good=1)

    assert [each.host.processes for each in three] == [3, 3, 3]


def test_since_when_not_all_may_pass(process):
    """The first tick with a limit is told until all may pass again, and none before."""
    one = process()
    told = {}
    for at in range(400):
        now = 100.05 + at / 10
        one.calls(now, good=0 if 20 <= at < 40 else 4, bad=4 if 20 <= at < 40 else 0)
        seen = peek("shop", now)
        assert seen is not None
        (row,) = seen.rows
        told[at] = row.fraction, row.since_s, row.bad_s
    limited = [at for at, (fraction, *_) in told.items() if fraction < 1]
    first, last = limited[0], limited[-1]

    assert 20 < first < 26
    assert limited == [*range(first, last + 1)]
    assert last < 390
    for at, (_, since_s, _) in told.items():
        if first <= at <= last:
            assert since_s == pytest.approx((at - first) / 10 + 0.05)
        else:
            assert since_s is None
    assert told[19][2] is None
    assert told[20][2] == 0.0
    assert 0 < told[390][2] < 37.1
