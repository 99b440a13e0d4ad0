"""The callback driver: one event after the other, no lock while others run."""

import threading

import pytest

from resilience.core.command import Finish
from resilience.drivers.callback import CallbackDriver
from tests.core.policies import OK, RESET, bind, call, policy
from tests.spec.drivers import LoopHost
from tests.spec.story import Story


def driven(start, finish, made=None, cancel=lambda _: None):
    host = LoopHost(Story())
    driver = CallbackDriver(made or call(), start, cancel, finish, host)
    return host, driver


def test_an_attempt_may_end_inside_start() -> None:
    """A transport that answers at once reports from inside `start`."""
    ends, driver = [], None

    def start(command) -> None:
        driver.done(command.number, OK)

    _, driver = driven(start, ends.append)
    driver.begin()

    assert ends == [Finish(1, OK, "ok")]


def test_a_cancel_from_finish_is_harmless() -> None:
    """Whoever hears of the end may cancel what has ended."""
    ends, driver = [], None

    def finish(end) -> None:
        ends.append(end)
        driver.cancel()
        driver.done(1, RESET)

    _, driver = driven(lambda _: None, finish)
    driver.begin()
    driver.done(1, OK)

    assert ends == [Finish(1, OK, "ok")]


def test_no_lock_is_held_while_callbacks_run() -> None:
    """Another thread may report while `start` still runs: its event waits its turn."""
    ends, driver, started = [], None, []

    def start(command) -> None:
        started.append(command.number)
        other = threading.Thread(target=driver.done, args=(command.number, OK))
        other.start()
        other.join(5.0)

        assert not other.is_alive()
        assert ends == []

    _, driver = driven(start, ends.append)
    driver.begin()

    assert ends == [Finish(1, OK, "ok")]


def test_healthy_calls_need_no_timer() -> None:
    """While an attempt runs its transport times it, stale events or not."""
    made = call(bind(policy(timeout_s=10.0, attempt_timeout_s=3.0)))
    host, driver = driven(lambda _: None, lambda _: None, made)
    driver.begin()
    driver.done(7, OK)

    assert host.loop._heap == []


def test_a_wait_that_is_cancelled_leaves_no_timer() -> None:
    """The entry is still in the heap, but it runs nothing."""
    ends = []
    host, driver = driven(lambda _: None, ends.append)
    driver.begin()
    driver.done(1, RESET)
    driver.cancel()
    host.loop.run()

    assert [end.reason for end in ends] == ["cancelled"]


def test_a_cancel_stops_the_attempt() -> None:
    """The transport is told which one."""
    ends, stopped = [], []
    _, driver = driven(lambda _: None, ends.append, cancel=stopped.append)
    driver.begin()
    driver.cancel()

    assert stopped == [1]
    assert ends[0].outcome.code == "CANCELLED"


def test_a_start_that_raises_ends_the_call() -> None:
    """A fault of the adapter is raised, and nobody waits for ever."""
    ends = []

    def start(_) -> None:
        message = "no channel"
        raise RuntimeError(message)

    _, driver = driven(start, ends.append)
    with pytest.raises(RuntimeError, match="no channel"):
        driver.begin()

    assert [end.reason for end in ends] == ["cancelled"]
