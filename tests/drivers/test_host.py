"""The driver for hosts that own the loop and do their own sleeping."""

import pytest

from resilience.drivers.host import HostLoop


@pytest.fixture
def loop(host):
    return HostLoop(host.call(), host)


def test_success(host, loop):
    """Arrive, start, done: the answers carry the host through a healthy call."""
    assert loop.arrive().start.number == 1

    answer = loop.done(1, host.ok)

    assert (1, "ok") == (answer.finish.number, answer.finish.reason)
    assert loop.finished is answer.finish


def test_the_host_sleeps(host, loop):
    """A wait is a length; once it is over the next attempt starts."""
    loop.arrive()
    wait_s = loop.done(1, host.refused).wait_s

    assert wait_s == host.sink.attempts[0].wait_s > 0

    host.clock.advance(wait_s)

    assert loop.woke().start.number == 2
    assert [] == host.clock.sleeps


def test_a_sleep_that_ends_early_by_a_rounding_error(host, loop):
    """The next attempt starts although the clock is a hair before its moment."""
    loop.arrive()
    wait_s = loop.done(1, host.refused).wait_s
    host.clock.advance(wait_s * (1 - 1e-15))

    assert loop.woke().start.number == 2


def test_rejected(host):
    """A call that is refused ends in its arrival."""
    host.clock.advance(5.0)
    answer = HostLoop(host.call(deadline_at=4.0), host).arrive()

    assert answer.start is None
    assert answer.finish.rejection.reason == "deadline"


def test_the_callers_exit(host, loop):
    """A caller who leaves ends the call once, wherever it is; late is harmless."""
    loop.arrive()
    loop.done(1, host.refused)
    loop.gone()
    loop.gone()

    assert loop.finished.reason == "cancelled"
    assert [("cancelled", 1)] == host.ends


def test_gone_after_the_end(host, loop):
    """Leaving after the end changes nothing."""
    loop.arrive()
    loop.done(1, host.ok)
    loop.gone()

    assert loop.finished.reason == "ok"
    assert [("ok", 1)] == host.ends


def test_the_host_decides(host):
    """Where the host's own settings decide, its wait is taken as it is."""
    loop = HostLoop(host.call(host_decides=True), host)
    loop.arrive()

    assert loop.done(1, host.lost, host_wait_s=1.25).wait_s == 1.25

    host.clock.advance(1.25)

    assert loop.woke().start.number == 2

    answer = loop.done(2, host.lost, host_wait_s=None)

    assert answer.finish.outcome is host.lost


def test_committed(host, loop):
    """Once the first message reached the caller, a failure is the call's end."""
    loop.arrive()
    loop.committed(1)

    assert loop.done(1, host.refused).finish.reason == "committed"
