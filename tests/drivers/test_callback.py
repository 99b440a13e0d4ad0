"""The driver by callbacks: any thread, no thread of its own, exactly one end."""

import threading

import pytest

from resilience.drivers.callback import CallbackDriver


class Flight:
    """A call driven by callbacks; its attempts end when the test says so."""

    def __init__(self, host, call=None, *, start=None, finish=None):
        self.started, self.cancelled, self.finished = [], [], []
        self._start, self._finish = start, finish
        self.driver = CallbackDriver(
            call or host.call(), self.start, self.cancelled.append, self.finish, host
        )

    def start(self, command):
        self.started.append(command.number)
        if self._start:
            self._start(self.driver, command.number)

    def finish(self, finish):
        self.finished.append((finish.number, finish.reason))
        if self._finish:
            self._finish(self.driver)


def test_success(host):
    """An attempt's end, said by another thread, is the call's; no timer is used."""
    flight = Flight(host)
    flight.driver.begin()

    assert ([1], []) == (flight.started, flight.finished)

    thread = threading.Thread(target=flight.driver.done, args=(1, host.ok))
    thread.start()
    thread.join()

    assert [(1, "ok")] == flight.finished
    assert [] == host.timer.pending


def test_waits_in_the_timer(host):
    """A backoff is an entry of the timer; then the next attempt starts."""
    flight = Flight(host)
    flight.driver.begin()
    flight.driver.done(1, host.refused)
    [due] = host.timer.pending

    assert due == host.sink.attempts[0].wait_s
    assert [1] == flight.started

    host.timer.run()
    flight.driver.done(2, host.ok)

    assert [1, 2] == flight.started
    assert [(2, "ok")] == flight.finished


def test_attempts_need_no_timer(host):
    """While an attempt runs its transport times it."""
    flight = Flight(host, host.call({"attempt_timeout": "1s", "timeout": "2s"}))
    flight.driver.begin()

    assert [] == host.timer.pending


def test_rejection(host):
    """A call that is refused ends inside `begin`."""
    host.clock.advance(5.0)
    flight = Flight(host, host.call(deadline_at=4.0))
    flight.driver.begin()

    assert ([], [(0, "deadline")]) == (flight.started, flight.finished)


def test_cancelled_from_another_thread(host):
    """Cancelling stops the attempt under way; its late end changes nothing."""
    flight = Flight(host)
    flight.driver.begin()
    thread = threading.Thread(target=flight.driver.cancel)
    thread.start()
    thread.join()

    assert [1] == flight.cancelled
    assert [(1, "cancelled")] == flight.finished

    flight.driver.done(1, host.ok)
    flight.driver.cancel()

    assert [(1, "cancelled")] == flight.finished


def test_cancelled_in_a_wait(host):
    """Cancelling in a backoff takes the wait out of the timer; nothing starts."""
    flight = Flight(host)
    flight.driver.begin()
    flight.driver.done(1, host.refused)
    flight.driver.cancel()
    host.timer.run()

    assert ([1], []) == (flight.started, flight.cancelled)
    assert [(1, "cancelled")] == flight.finished
    assert [("cancelled", 1)] == host.ends


def test_a_stray_end_in_a_wait(host):
    """An attempt that ends twice does not disturb the wait for the next one."""
    flight = Flight(host)
    flight.driver.begin()
    flight.driver.done(1, host.refused)
    flight.driver.done(1, host.ok)

    assert len(host.timer.pending) == 1

    host.timer.run()

    assert [1, 2] == flight.started


@pytest.mark.parametrize("number", [1, 2])
def test_cancelled_in_a_callback(host, number):
    """Cancelling from inside `start` takes effect once `start` has returned."""

    def start(driver, started):
        if started == number:
            driver.cancel()
            assert [] == flight.finished

    flight = Flight(host, start=start)
    flight.driver.begin()
    flight.driver.done(1, host.refused)
    host.timer.run()

    assert [number] == flight.cancelled
    assert [(number, "cancelled")] == flight.finished


def test_cancelled_in_the_last_callback(host):
    """Cancelling or ending from inside `finish` does no harm."""

    def finish(driver):
        driver.cancel()
        driver.done(1, host.ok)

    flight = Flight(host, finish=finish)
    flight.driver.begin()
    flight.driver.done(1, host.lost)

    assert [(1, "idempotency")] == flight.finished


def test_attempts_that_end_at_once(host):
    """An attempt may end before its `start` returns; the stack does not grow."""
    depth, deepest = 0, 0

    def start(driver, number):
        nonlocal depth, deepest
        depth += 1
        deepest = max(deepest, depth)
        unprocessed = host.refused._replace(unprocessed=True)
        driver.done(number, unprocessed if number < 50 else host.ok)
        depth -= 1

    flight = Flight(host, start=start)
    flight.driver.begin()
    host.timer.run()

    assert [(50, "ok")] == flight.finished
    assert deepest == 1


def test_one_end_however_many_race(host):
    """Ends and cancellations from many threads make exactly one end."""
    for _ in range(100):
        flight, barrier = Flight(host), threading.Barrier(4)
        flight.driver.begin()

        def act(act, *given, barrier=barrier):
            barrier.wait(timeout=20)
            act(*given)

        driver = flight.driver
        acts = [(driver.done, 1, host.ok), (driver.done, 1, host.lost)]
        acts += [(driver.cancel,), (driver.cancel,)]
        racing = [threading.Thread(target=act, args=given) for given in acts]
        for thread in racing:
            thread.start()
        for thread in racing:
            thread.join()

        assert len(flight.finished) == 1

    assert len(host.ends) == 100


def test_an_attempt_that_cannot_be_started(host):
    """What `start` raises comes out, and the call has its one end."""

    def start(driver, number):
        msg = "channel closed"
        raise ValueError(msg)

    flight = Flight(host, start=start)
    with pytest.raises(ValueError, match="channel closed"):
        flight.driver.begin()

    assert [(1, "cancelled")] == flight.finished
    assert [("cancelled", 1)] == host.ends

    flight.driver.cancel()

    assert len(flight.finished) == 1


def test_a_finish_that_raises(host):
    """What `finish` raises comes out; it is not called again."""

    def finish(driver):
        raise KeyError

    flight = Flight(host, finish=finish)
    flight.driver.begin()
    with pytest.raises(KeyError):
        flight.driver.done(1, host.ok)
    flight.driver.cancel()

    assert [(1, "ok")] == flight.finished


def test_committed(host):
    """Once the first message reached the caller, a failure is the call's end."""
    flight = Flight(host)
    flight.driver.begin()
    flight.driver.committed(1)
    flight.driver.done(1, host.refused)

    assert [(1, "committed")] == flight.finished
