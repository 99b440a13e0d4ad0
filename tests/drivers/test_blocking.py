"""Threads and asyncio: what leaves an attempt, and who hears of it."""

import asyncio

import pytest

from resilience.core.record import CallEnded
from resilience.drivers import aio, threads
from tests.core.policies import OK, RESET, bind, call, policy, retry


class StillHost:
    """A host whose clock stands; it remembers what was emitted and slept."""

    def __init__(self) -> None:
        self.records = []
        self.slept = []

    def now(self) -> float:
        return 5.0

    def emit(self, records) -> None:
        self.records += records

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def asleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def ends(host: StillHost) -> list[CallEnded]:
    return [record for record in host.records if isinstance(record, CallEnded)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_an_attempt_lets_through_is_raised_unchanged(error) -> None:
    """The engine hears first that the caller is gone: no permit is lost."""
    host, made = StillHost(), call()

    def attempt(_):
        raise error

    with pytest.raises(error):
        threads.run(made, attempt, host)

    assert [end.reason for end in ends(host)] == ["cancelled"]


@pytest.mark.parametrize("error", [asyncio.CancelledError, ValueError])
async def test_the_same_in_a_task(error) -> None:
    """Cancellation reaches the engine and goes on unchanged."""
    host, made = StillHost(), call()

    async def attempt(_):
        raise error

    with pytest.raises(error):
        await aio.run(made, attempt, host)

    assert [end.reason for end in ends(host)] == ["cancelled"]


async def test_cancelling_the_task_cancels_the_wait() -> None:
    """A task that waits for its retry ends at once, and so does its call."""
    host, made = StillHost(), call()
    host.asleep = asyncio.sleep

    async def attempt(_):
        return RESET

    task = asyncio.create_task(aio.run(made, attempt, host))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [end.outcome.code for end in ends(host)] == ["CANCELLED"]


def test_an_interrupt_before_the_arrival_is_not_hidden() -> None:
    """A signal that comes while the clock is read is what the caller sees."""
    host, made = StillHost(), call()
    moments = iter([KeyboardInterrupt, 1.0])

    def now():
        moment = next(moments)
        if moment is KeyboardInterrupt:
            raise moment
        return moment

    host.now = now
    with pytest.raises(KeyboardInterrupt):
        threads.run(made, lambda _: OK, host)

    assert ends(host) == []


def test_waits_are_slept() -> None:
    """The driver sleeps until the step's moment, then tries again."""
    host = StillHost()
    outcomes = iter([RESET, RESET, OK])
    binding = bind(policy(retry=retry()))
    finish = threads.run(call(binding), lambda _: next(outcomes), host)

    assert host.slept == [1.0, 2.0]
    assert finish.number == 3
