"""Scripted far sides, on each of the drivers."""

import pytest

from resilience.core.outcome import OK, Outcome
from resilience.core.target import Target
from resilience.functions import Attempt
from resilience.testing import Script, ScriptEnded, VirtualClock, VirtualLoop, after


def test_entries_in_order():
    """Values are returned, exceptions raised, one entry for each attempt."""
    script = Script([ValueError("first"), "second"])
    with pytest.raises(ValueError, match="first"):
        script.run(Attempt(1, None))

    assert script.run(Attempt(2, None)) == "second"
    assert script.left == 0


def test_entries_take_time():
    """An entry passes its time on the script's clock."""
    clock = VirtualClock(0.0)
    script = Script([after(0.5, "a"), "b"], clock=clock)
    script.run(Attempt(1, None))
    script.run(Attempt(2, 3.0))

    assert script.started == [(1, None, 0.0), (2, 3.0, 0.5)]


def test_entries_keep_the_timeout():
    """An entry that takes longer than the attempt may ends as a timeout then."""
    clock = VirtualClock(0.0)
    script = Script([after(5.0, "late")], clock=clock)
    with pytest.raises(TimeoutError, match=r"timed out after 2s"):
        script.run(Attempt(1, 2.0))

    assert clock.now() == 2.0


async def test_in_a_task():
    """`arun` does the same in a task, with or without a clock."""
    clock = VirtualClock(0.0)
    script = Script([after(0.5, "a"), KeyError()], clock=clock)

    assert await script.arun(Attempt(1, None)) == "a"
    assert clock.now() == 0.5
    with pytest.raises(KeyError):
        await script.arun(Attempt(2, None))
    assert await Script(["b"]).arun(Attempt(1, None)) == "b"


def test_in_virtual_time(resilience_engine):
    """`transport` answers a virtual loop with outcomes, exceptions and values."""
    entries = [
        Outcome("X", "transport", "no"),
        after(0.2, ConnectionRefusedError()),
        after(0.3, "value"),
    ]
    target = Target(protocol="app", name="a", service="a", method="b")
    call = resilience_engine.new_call(resilience_engine.bind(target))
    loop, script = VirtualLoop(), Script(entries)
    virtual = loop.start(call, script.transport)
    loop.run()
    codes = [ended.outcome.code for ended in call.history]

    assert codes == ["X", "ConnectionRefusedError", "OK"]
    assert virtual.finish.outcome is OK
    assert [at for at, _ in virtual.starts] == [made.at for made in script.started]


def test_too_many_attempts():
    """An attempt without an entry fails, saying how many there were."""
    script = Script(["only"])
    script.run(Attempt(1, None))
    with pytest.raises(ScriptEnded, match="attempt 2, but the script has 1 entries"):
        script.run(Attempt(2, None))


def test_a_function_has_no_outcome():
    """An `Outcome` as the end of a function is a mistake of the test."""
    with pytest.raises(TypeError, match="script the exception"):
        Script([OK]).run(Attempt(1, None))
