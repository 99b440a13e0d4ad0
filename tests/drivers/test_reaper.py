"""Ending what was dropped: elsewhere, in order, from anywhere."""

import gc
import threading

from resilience.drivers.reaper import Reaper


def test_what_is_left_runs_elsewhere_in_order():
    """One thread of its own runs the functions one after the other."""
    reaper, ran, over = Reaper(), [], threading.Event()
    for number in range(3):
        reaper.leave(lambda number=number: ran.append(number))
    reaper.leave(lambda: (ran.append(threading.current_thread()), over.set()))
    assert [] == ran
    reaper.start()
    reaper.start()
    assert over.wait(20)
    assert [0, 1, 2] == ran[:3]
    assert "resilience-reaper" == ran[3].name
    assert ran[3].daemon


def test_a_finaliser_may_run_with_locks_held():
    """What the collector finds amid a locked section can be ended all the same."""
    lock, reaper, over = threading.Lock(), Reaper(), threading.Event()
    reaper.start()

    class Dropped:
        def __init__(self):
            self.cycle = self

        def __del__(self):
            reaper.leave(self.end)

        @staticmethod
        def end():
            with lock:
                over.set()

    Dropped()
    with lock:
        gc.collect()
        assert not over.is_set()
    assert over.wait(20)


def test_after_a_fork_it_begins_anew():
    """What was left in the parent is not run by the child."""
    reaper, over = Reaper(), threading.Event()
    reaper.leave(over.set)
    reaper.renew()
    again = threading.Event()
    reaper.leave(again.set)
    reaper.start()
    assert again.wait(20)
    assert not over.is_set()
