"""The driver of virtual time: an ordered heap, the same run each time."""

import pytest

from resilience import PolicyEngine
from resilience.core.event import Arrived, AttemptDone, CallerGone, Woke
from resilience.core.outcome import OK, Outcome
from resilience.core.target import Target
from resilience.drivers.virtual import Reply, VirtualLoop
from resilience.testing import Script, after


TARGET = Target(protocol="grpc", name="cart", service="shop.Cart", method="Get")


@pytest.fixture
def start():
    """`start(loop, transport)`: a new call that arrives now."""
    engine = PolicyEngine.from_dict(
        {"version": 1, "all": {"attempt_timeout": "2s"}}, sinks=(), seed=0
    )

    def start(loop, transport):
        return loop.start(engine.new_call(engine.bind(TARGET)), transport)

    return start


def test_things_happen_at_their_moments(start):
    """Attempts start, end and follow each other on virtual time."""
    loop = VirtualLoop(10.0)
    script = Script([after(0.5, ConnectionRefusedError()), after(0.25, 1)])
    call = start(loop, script.transport)
    loop.run()
    [first, second] = [moment for moment, _ in call.starts]
    wait_s = call.call.history[0].wait_s

    assert first == 10.0
    assert second == pytest.approx(10.5 + wait_s)
    assert call.finished_at == pytest.approx(10.75 + wait_s)


def test_log_is_the_run(start):
    """The log holds each event a call took, with its moment: it can be fed again."""
    loop = VirtualLoop()
    script = Script([ConnectionRefusedError(), 1])
    call = start(loop, script.transport)
    loop.run()

    assert [Arrived, AttemptDone, Woke, AttemptDone] == [
        type(event) for _, _, event in loop.log
    ]
    assert {call.call.id} == {call_id for _, call_id, _ in loop.log}


def test_silence_is_a_timeout(start):
    """An attempt that never answers is cancelled when its time is over."""
    loop = VirtualLoop()
    call = start(loop, lambda *_: None)
    loop.run()

    assert [2.0] == [moment for moment, _ in call.cancels]
    assert call.finish.outcome.timed_out


def test_run_until(start):
    """Time stops where it was told to, and goes on from there."""
    loop = VirtualLoop()
    call = start(loop, lambda *_: Reply(OK, 1.0))
    loop.run(until=0.5)

    assert (loop.now, call.finish) == (0.5, None)

    loop.run()

    assert call.finished_at == 1.0


def test_cancel(start):
    """A caller who goes away ends the call at that moment, and what comes late."""
    loop = VirtualLoop()
    call = start(loop, lambda *_: Reply(OK, 1.0))
    loop.run(until=0.5)
    call.cancel()
    loop.run()

    assert (0.5, "cancelled") == (call.finished_at, call.finish.reason)
    assert isinstance(loop.log[-1][2], CallerGone)


def test_never_in_the_past(start):
    """What is asked for a moment that has passed happens now."""
    loop, seen = VirtualLoop(5.0), []
    loop.at(1.0, lambda: seen.append(loop.now))
    loop.run()

    assert [5.0] == seen


def test_committed(start):
    """A reply may commit before it ends: it is not tried again then."""
    loop = VirtualLoop()
    refused = Outcome("UNAVAILABLE", "transport", "no")
    reply = Reply(refused, 1.0, committed_after_s=0.5)
    call = start(loop, lambda *_: reply)
    loop.run()

    assert (1.0, "committed") == (call.finished_at, call.finish.reason)
