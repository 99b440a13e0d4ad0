"""Processes of one host that make few calls beside one that makes many."""

import pytest

from resilience import PolicyEngine
from resilience.drivers.virtual import Reply, VirtualLoop
from tests.lab.replay.recordings import OK, QUOTE, REFUSED, SAFE, LoopClock, Wanting


TEXT = """
version: 1
name: shop
state: host
all: {timeout: 5s, attempt_timeout: 1s, retry: {max_attempts: 1}, retry_budget: off}
"""
DIES_AT, ENDS_AT = 1010.0, 1030.0


def _answer(call, command, now):
    return Reply(REFUSED if now >= DIES_AT else OK, 0.01)


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Return a function: calls that were refused while the target was dead."""
    monkeypatch.setenv("RESILIENCE_STATE_DIR", str(tmp_path))

    def played(often_s, seldom_s, begins_at=1000.0):
        loop = VirtualLoop(begins_at)
        engines = [
            PolicyEngine.from_text(
                TEXT, sinks=[Wanting()], clock=LoopClock(loop), seed=seed
            )
            for seed in range(2)
        ]

        def begin(engine):
            call = engine.new_call(engine.bind(QUOTE), SAFE)
            loop.start(call, _answer)

        for engine, every_s in zip(engines, (often_s, seldom_s), strict=True):
            for number in range(int((ENDS_AT - loop.now) / every_s)):
                at = begins_at + number * every_s
                loop.at(at, lambda engine=engine: begin(engine))
        loop.run()
        for engine in engines:
            engine.close()
        ended = [one for one in loop.records if type(one).__name__ == "CallEnded"]
        return sum(not one.attempts for one in ended)

    return played


@pytest.mark.parametrize("seldom_s", [0.1, 0.3, 0.7, 2.0, 4.0])
def test_who_calls_often_finds_out_beside_who_calls_seldom(play, seldom_s):
    """A dead target is left alone, however little the host's others have to say."""
    assert play(often_s=0.02, seldom_s=seldom_s) >= 900


@pytest.mark.parametrize("seldom_s", [0.1, 0.2, 0.3])
def test_nobody_was_ever_well(play, seldom_s):
    """So it is where both begin while the target is dead: shares are of the others'."""
    assert play(often_s=0.01, seldom_s=seldom_s, begins_at=DIES_AT) >= 1600


@pytest.mark.parametrize("later_s", [0.5, 1.0])
def test_a_second_one_that_is_cut_off(process, later_s):
    """Two of three lose their way to the target: the second is limited, too."""
    first, second, well = process(), process(), process()
    for number in range(1000):
        passed_s = number * 0.005
        now = 100.001 + passed_s
        first.calls(now, good=passed_s < 1, bad=passed_s >= 1)
        if number % 10 == 0:
            well.calls(now, good=1)
        if passed_s >= 1 + later_s:
            second.calls(now, bad=1)

    assert first.breaker().state != "closed"
    assert second.breaker().state != "closed"
    assert well.breaker().state == "closed"


def test_the_worst_is_the_worst_of_all_ticks(process):
    """One failure in each tick, of another process each time, is nobody's own."""
    three = [process() for _ in range(3)]
    for one in three:
        one.calls(99.95, good=1)
    for number, who in enumerate([0, 1, 0, 2, 0, 1]):
        three[who].calls(100.05 + number / 10, bad=1)
    for one in three:
        one.calls(100.75, good=1)
    rows = [one.breaker()._rows for one in three]

    assert [one.worst(1000, 1005) for one in rows] == [3, 3, 3]
    assert [one.worst(1001, 1002) for one in rows] == [1, 1, 1]
    assert rows[1].total(1002).worst == 1


def test_few_calls_of_many_processes_find_a_dead_target(process):
    """Ten processes that each call once a second see it together, tick by tick."""
    ten = [process() for _ in range(10)]
    sent = 0
    for number in range(300):
        now = 100.05 + number / 10
        is_dead = number >= 100
        one = ten[number % 10]
        sent += is_dead * one.calls(now, good=not is_dead, bad=is_dead)

    assert 0 < sent <= 60
