"""Threads for the application's callbacks: at once, and nothing kept."""

import threading
import weakref

import pytest

from resilience.drivers.callbacks import CallbackThreads


@pytest.fixture
def threads(monkeypatch):
    """Threads that end quickly when they have nothing to do."""
    monkeypatch.setattr("resilience.drivers.callbacks.IDLE_S", 0.05)
    return CallbackThreads()


class Held:
    """A function that says on which thread it ran, and when it is collected."""

    def __init__(self):
        self.ran = threading.Event()

    def __call__(self):
        self.ran.thread = threading.current_thread()
        self.ran.set()


def test_each_runs_at_once(threads):
    """One that blocks holds up no other; each has a thread of its own."""
    hold, ran = threading.Event(), [Held(), Held()]
    threads.run(lambda: hold.wait(20))
    for fn in ran:
        threads.run(fn)
    for fn in ran:
        assert fn.ran.wait(20)
    hold.set()
    assert threading.current_thread() not in [fn.ran.thread for fn in ran]


def test_what_ran_is_not_kept(monkeypatch):
    """A function is let go when it has run, though its thread waits for others."""
    monkeypatch.setattr("resilience.drivers.callbacks.IDLE_S", 20.0)
    threads = CallbackThreads()
    for _ in range(3):  # the thread's first one, and others
        fn, gone = Held(), threading.Event()
        ran = fn.ran
        weakref.finalize(fn, gone.set)
        threads.run(fn)
        del fn
        assert ran.wait(20)
        assert gone.wait(20)
    assert ran.thread.is_alive()
    monkeypatch.setattr("resilience.drivers.callbacks.IDLE_S", 0.05)
    threads.run(ran.set)
    ran.thread.join(20)
    assert not ran.thread.is_alive()


def test_idle_threads_end(threads):
    """A thread that has nothing to do goes away."""
    fn = Held()
    threads.run(fn)
    assert fn.ran.wait(20)
    fn.ran.thread.join(20)
    assert not fn.ran.thread.is_alive()
