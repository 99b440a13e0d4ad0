"""The one timer thread: due functions in order, no thread before the first."""

import threading
import weakref

import pytest

from resilience import PolicyEngine
from resilience.core.record import Notice
from resilience.drivers.timer import Timer
from resilience.testing import CollectingSink


class Bench:
    """A timer in time that the test moves."""

    def __init__(self):
        self.moment = 0.0
        self.errors = []
        self.ran = []
        self.done = threading.Event()
        self.timer = Timer(lambda: self.moment, self.errors.append)

    def at(self, when, name=None):
        return self.timer.at(when, lambda: self.ran.append(name or when))

    def run(self, until):
        """Let time come to *until* and wait for all that is due then."""
        self.moment = until
        # The thread looks again because this is the earliest entry; the second one is
        # the last that is due.
        self.timer.at(-1.0, lambda: None)
        self.timer.at(until, self.done.set)

        assert self.done.wait(timeout=20)


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.timer.close()


def timer_threads():
    return [t for t in threading.enumerate() if t.name == "resilience-timer"]


def test_no_thread_until_needed(bench):
    """The thread starts with the first entry, and ends with `close`."""
    before = len(timer_threads())

    assert bench.timer._thread is None

    bench.at(60.0)

    assert len(timer_threads()) == before + 1
    assert bench.timer._thread.daemon

    bench.timer.close()

    assert len(timer_threads()) == before


def test_an_engine_that_waits_for_nobody_has_no_thread(resilience_engine):
    """Healthy calls of an engine start no timer."""
    resilience_engine.call("app:rates/quote", lambda _: 1)

    assert resilience_engine._timer is None


def test_in_order(bench):
    """Functions run in the order of their moments; equal ones as they were given."""
    for when in (30.0, 10.0, 20.0):
        bench.at(when)
    for name in "abc":
        bench.at(15.0, name)
    bench.run(30.0)

    assert [10.0, "a", "b", "c", 20.0, 30.0] == bench.ran


def test_not_before_its_time(bench):
    """A function never runs before its moment."""
    bench.at(10.0)
    bench.at(10.001)
    bench.run(10.0)

    assert [10.0] == bench.ran
    assert len(bench.timer) == 1


def test_cancelled(bench):
    """A cancelled function does not run; cancelling again, or late, does no harm."""
    handles = [bench.at(float(when)) for when in range(1, 4)]
    handles[1].cancel()
    handles[1].cancel()
    bench.run(5.0)
    handles[0].cancel()

    assert [1.0, 3.0] == bench.ran


def test_an_earlier_one_overtakes(bench):
    """An entry that is due before all others is not kept waiting by them."""
    bench.at(3600.0)
    bench.run(1.0)

    assert [] == bench.ran


def test_ten_thousand_waits_one_thread(bench):
    """However many wait, one thread runs them all."""
    threads = set()
    for number in range(10_000):
        bench.at(60.0 + number % 100)
        bench.timer.at(60.0, lambda: threads.add(threading.current_thread()))

    assert len(bench.timer) == 20_000

    bench.run(200.0)

    assert sorted(bench.ran) == bench.ran
    assert len(bench.ran) == 10_000
    assert {bench.timer._thread} == threads


def test_a_function_that_raises(bench):
    """What a function raises is reported, and the others run."""
    bench.timer.at(1.0, lambda: 1 / 0)
    bench.at(2.0)
    bench.run(3.0)

    assert [2.0] == bench.ran
    assert [ZeroDivisionError] == [type(error) for error in bench.errors]


def test_a_function_that_raises_in_an_engine():
    """An engine records what a timer function raised."""
    sink, done = CollectingSink(), threading.Event()
    engine = PolicyEngine(sinks=[sink])
    engine.timer.at(0.0, lambda: 1 / 0)
    engine.timer.at(0.0, done.set)

    assert done.wait(timeout=20)
    assert ["timer"] == [notice.code for notice in sink.of(Notice)]

    engine.close()


def test_entries_made_by_a_function(bench):
    """A function may make the next entry (a retry after a retry)."""
    bench.timer.at(1.0, lambda: bench.at(2.0))
    bench.run(3.0)

    assert [2.0] == bench.ran


def test_closed_by_a_function(bench):
    """A function may close the timer it runs on."""
    closed = threading.Event()
    bench.timer.at(0.0, lambda: (bench.timer.close(), closed.set()))

    assert closed.wait(timeout=20)
    assert len(bench.timer) == 0


def test_what_is_dropped_hears_of_it(bench):
    """What `close` drops is told, in order; what was cancelled is not."""
    told = []
    for name, when in (("b", 2.0), ("a", 1.0), ("gone", 3.0)):
        handle = bench.timer.at(
            when,
            pytest.fail,
            lambda name=name: told.append(name),
        )
    handle.cancel()
    bench.timer.close()

    assert ["a", "b"] == told
    assert [] == bench.errors


def test_close_drops_what_is_left(bench):
    """What is pending at `close` does not run; later entries do."""
    bench.at(1.0, "dropped")
    bench.timer.close()
    bench.timer.close()
    bench.at(2.0, "later")
    bench.run(3.0)

    assert ["later"] == bench.ran


def test_what_ran_is_not_kept(bench):
    """What a function holds is let go when it has run, not when the next one does."""

    class Held:
        def __call__(self):
            bench.ran.append("ran")

    held, gone = Held(), threading.Event()
    weakref.finalize(held, gone.set)
    bench.timer.at(0.0, held)
    del held

    assert gone.wait(timeout=20)
    assert ["ran"] == bench.ran


def test_what_was_cancelled_is_not_kept(bench):
    """A cancelled entry holds nothing, though it stays until it would be due."""

    class Held:
        def __call__(self):
            pytest.fail("it was cancelled")

    held, gone = Held(), threading.Event()
    weakref.finalize(held, gone.set)
    handle = bench.timer.at(3600.0, held, held)
    del held
    handle.cancel()

    assert gone.is_set()
    assert len(bench.timer) == 1
