"""The call that we serve: what its caller allows, and whether he still waits."""

import gc
import threading

import pytest

import resilience
from resilience.context import (
    ambient_deadline,
    deadline_at,
    inbound,
    serving,
    waiting_caller,
)
from resilience.inbound import Inbound, less_reserve


class Outgoing:
    """A call that notes its cancellation."""

    def __init__(self, noted):
        self._noted = noted

    def cancel(self):
        self._noted.append(self)


@pytest.mark.parametrize(
    ("remaining", "spendable"), [(2.0, 1.98), (0.1, 0.095), (0.003, -0.002)]
)
def test_a_reserve_is_kept_back(remaining, spendable):
    """The larger of 5 ms and 1 % stays for our own answer."""
    assert spendable == pytest.approx(less_reserve(remaining))


def test_the_callers_deadline_replaces_the_one_around_it():
    """Who serves is not who called; a nested deadline can only shorten it."""
    with resilience.deadline(1), serving(Inbound(deadline_at=1e12), "sheddable"):
        assert 1e12 == ambient_deadline()
        with resilience.deadline(5):
            assert ambient_deadline() < 1e12

    assert ambient_deadline() is None


def test_a_call_that_has_ended_binds_nobody():
    """What a handler left behind has no deadline but what it set itself."""
    call = Inbound(deadline_at=1.0)
    with serving(call):
        call.end()

        assert ambient_deadline() is None
        with resilience.deadline(60):
            assert ambient_deadline() is not None


def test_detached_work_belongs_to_nobody():
    """Inside there is no deadline and no call that we serve."""
    call = Inbound(deadline_at=1e12)
    with serving(call):
        with resilience.detached():
            assert (None, None) == (deadline_at.get(), inbound.get())

        assert (1e12, call) == (deadline_at.get(), inbound.get())


def test_a_caller_that_leaves_cancels_what_was_begun_for_him():
    """Once each, and nothing that he did not ask for."""
    noted, call = [], Inbound()
    first, second = Outgoing(noted), Outgoing(noted)
    call.adopt(first)
    call.adopt(second)

    call.leave()
    call.leave()

    assert call.has_left
    assert {first, second} == set(noted)
    assert 2 == len(noted)


def test_a_call_with_a_loop_is_cancelled_there():
    """Only the loop that owns a call may cancel it."""

    class Loop:
        def __init__(self):
            self.asked = []

        def call_soon_threadsafe(self, callback):
            self.asked.append(callback)

    noted, loop, call = [], Loop(), Inbound()
    outgoing = Outgoing(noted)
    call.adopt(outgoing, loop)

    call.leave()

    assert [] == noted
    loop.asked[0]()
    assert [outgoing] == noted


def test_a_call_that_fails_to_cancel_keeps_nobody():
    """A closed loop, say, does not save the others."""

    class Broken:
        def cancel(self):
            raise RuntimeError

    noted, call = [], Inbound()
    broken, other = Broken(), Outgoing(noted)
    call.adopt(broken)
    call.adopt(other)

    call.leave()

    assert [other] == noted


def test_a_call_that_he_left_in_between_is_cancelled():
    """He waited when it was begun, and was gone when it was adopted."""
    noted, call = [], Inbound()
    outgoing = Outgoing(noted)
    with serving(call):
        waiting = waiting_caller()
        call.leave()

        waiting.adopt(outgoing)

    assert [outgoing] == noted


def test_cleaning_up_afterwards_is_let_be():
    """What is begun after the caller has left is the handler's own."""
    call = Inbound()
    with serving(call):
        call.leave()

        assert waiting_caller() is None

    assert waiting_caller() is None


def test_a_call_that_has_ended_cancels_nothing():
    """A future that outlives the handler goes on, as it would without us."""
    noted, call = [], Inbound()
    outgoing = Outgoing(noted)
    call.adopt(outgoing)
    call.end()

    call.leave()

    assert not call.has_left
    assert [] == noted


def test_calls_are_held_weakly():
    """A call that nobody holds is kept by nobody."""
    noted, call = [], Inbound()
    call.adopt(Outgoing(noted))
    gc.collect()

    call.leave()

    assert [] == noted


def test_a_wait_ends_when_the_caller_leaves():
    """It would have lasted a minute."""
    call = Inbound()
    ended = []
    waiter = threading.Thread(target=lambda: ended.append(call.pause(60)))
    waiter.start()

    call.leave()

    waiter.join(10)
    assert [True] == ended
    assert call.pause(60)


def test_the_level_is_the_callers_or_the_work_has_one_of_its_own():
    """Drawn once, from the random id: the same for all calls made on its behalf."""
    made = Inbound(call_id="80000000ffffffff")

    assert (0.5, False) == (made.level, made.passes_level)
    assert (0.25, True) == ((told := Inbound(level=0.25)).level, told.passes_level)
    assert Inbound().level is None
    assert Inbound(call_id="by hand").level is None


def test_a_mark_is_spent_once_for_each_scope():
    """And for no more than sixteen of them, and not after the end."""
    made = Inbound(is_probe=True)

    assert [True, False, True] == [made.probes(scope) for scope in ("a", "a", "b")]
    assert 14 == sum(made.probes(str(number)) for number in range(100))

    ended = Inbound(is_probe=True)
    ended.end()
    assert not ended.probes("a")
    assert not Inbound().probes("a")
