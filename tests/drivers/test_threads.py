"""The driver of the calling thread."""

import threading

import pytest

from resilience.core.command import StartAttempt
from resilience.drivers import threads


def test_success(host):
    """One attempt that succeeds is the call; nothing sleeps and no thread is made."""
    before, started = {*threading.enumerate()}, []

    def attempt(command):
        started.append(command)
        return host.ok

    finish = threads.run(host.call(), attempt, host)

    assert [StartAttempt(1, None)] == started
    assert (1, host.ok, "ok") == (finish.number, finish.outcome, finish.reason)
    assert [] == host.clock.sleeps
    assert {*threading.enumerate()} <= before


def test_waits_on_the_calling_thread(host):
    """Each backoff is one sleep of the length that was decided."""
    outcomes = iter([host.refused, host.refused, host.ok])
    finish = threads.run(host.call(), lambda _: next(outcomes), host)
    waits = [ended.wait_s for ended in host.sink.attempts[:-1]]

    assert finish.number == 3
    assert host.clock.sleeps == pytest.approx(waits)


def test_attempts_time_themselves(host):
    """A blocking attempt that overran its time is taken as it ended."""
    command = None

    def attempt(given):
        nonlocal command
        command = given
        host.clock.advance(7.0)
        return host.ok

    finish = threads.run(host.call({"attempt_timeout": "2s"}), attempt, host)

    assert command.timeout_s == 2.0
    assert finish.outcome is host.ok


def test_rejection(host):
    """A call whose deadline has passed ends with no attempt."""
    host.clock.advance(5.0)
    finish = threads.run(host.call(deadline_at=4.0), pytest.fail, host)

    assert (0, "deadline") == (finish.number, finish.rejection.reason)


def test_interrupted_attempt(host):
    """What an attempt lets through propagates; the engine has heard of it first."""

    def attempt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        threads.run(host.call(), attempt, host)

    assert [("cancelled", 1)] == host.ends


def test_interrupted_wait(host):
    """A wait that is interrupted ends the call with no further attempt."""

    def interrupt(_):
        raise KeyboardInterrupt

    host.sleep = interrupt
    with pytest.raises(KeyboardInterrupt):
        threads.run(host.call(), lambda _: host.refused, host)

    assert [("cancelled", 1)] == host.ends
