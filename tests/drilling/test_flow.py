"""Where in its way a fault meets an attempt: the server has the call, or has it not."""

import pytest

from resilience.drilling.flow import Send, Wait, flow
from tests.drilling.drills import Clock, fault


def play(line, *, timeout_s=None, answers=True, stopped=False, streams=False):
    """The steps of an attempt that meets the fault, and how it ends."""
    clock = Clock()
    steps = []
    going = flow(fault(line), timeout_s, clock.now, lambda: 7.0, streams=streams)
    try:
        command = next(going)
        while True:
            if isinstance(command, Wait):
                steps.append(("wait", round(command.seconds, 6)))
                clock.now_s += 0 if stopped else command.seconds
                command = going.send(not stopped)
            else:
                assert isinstance(command, Send)
                left = command.timeout_s
                steps.append(("send", left if left is None else round(left, 6)))
                clock.now_s += 0.1
                command = going.send(answers)
    except StopIteration as end:
        return steps, end.value


DELAY = "kind: delay, delay: 1s"
STATUS = "kind: status, code: UNAVAILABLE"


@pytest.mark.parametrize(
    ("line", "steps", "end"),
    [
        ("kind: refuse", [], "refused"),
        (STATUS, [], "status"),
        (f"{STATUS}, where: after", [("send", None)], "status"),
        (DELAY, [("wait", 1.0), ("send", None)], "native"),
        (f"{DELAY}, where: after", [("send", None), ("wait", 1.0)], "native"),
        ("kind: lost", [("send", None)], "reset"),
        ("kind: lost, answer: silence", [("send", None), ("wait", 7.0)], "reset"),
        ("kind: cut", [("send", None)], "reset"),
    ],
)
def test_steps(line, steps, end):
    """Each kind lets the server execute the call where it says, or not at all."""
    assert play(line) == (steps, end)


@pytest.mark.parametrize(
    ("line", "steps"),
    [
        (DELAY, [("wait", 0.5)]),
        (f"{DELAY}, where: after", [("send", 0.5), ("wait", 0.4)]),
        ("kind: lost, answer: silence", [("send", 0.5), ("wait", 0.4)]),
    ],
)
def test_a_wait_ends_with_the_attempt(line, steps):
    """No fault outlives the attempt's own timeout: it ends as late."""
    assert play(line, timeout_s=0.5) == (steps, "late")


def test_a_delay_takes_from_the_timeout():
    """What was waited before sending is missing from the native timeout."""
    steps, end = play(DELAY, timeout_s=3.0)

    assert (steps, end) == ([("wait", 1.0), ("send", 2.0)], "native")


@pytest.mark.parametrize("line", ["kind: lost", f"{STATUS}, where: after"])
def test_nothing_is_lost_where_nothing_came(line):
    """A call that failed by itself keeps its own end."""
    assert play(line, answers=False) == ([("send", None)], "native")


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_stopped_drill_lets_go(where):
    """Whoever waits when the drill is stopped goes on as if there were no fault."""
    _, end = play(f"{DELAY}, where: {where}", timeout_s=0.5, stopped=True)

    assert end == "native"


def test_a_stream_is_cut_by_its_reader():
    """A stream is sent whole; whoever reads it cuts it."""
    assert play("kind: cut", streams=True) == ([("send", None)], "cut")
