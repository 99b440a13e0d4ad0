"""The virtual clock: exact waits that take no time."""

import asyncio
import time

import pytest

import resilience
from resilience import context
from resilience.testing import VirtualClock


def test_sleeping_moves_it():
    """Time passes by sleeping or advancing, and in no other way."""
    clock = VirtualClock(start_s=10.0)
    clock.sleep(2.5)
    clock.advance(1.0)

    assert clock.now() == 13.5
    assert clock.sleeps == [2.5]


def test_time_never_goes_back():
    """A negative length is refused."""
    with pytest.raises(ValueError, match=r"seconds >= 0, got -1"):
        VirtualClock().advance(-1)


async def test_tasks_sleep_side_by_side():
    """Tasks wake in the order of their moments; time is that of the longest."""
    clock, woken = VirtualClock(0.0), []

    async def sleeper(seconds):
        await clock.asleep(seconds)
        woken.append((seconds, clock.now()))

    await asyncio.gather(*[sleeper(seconds) for seconds in (3.0, 1.0, 2.0, 0.0)])

    assert woken == [(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]


async def test_steps_of_a_task_keep_their_order():
    """Two short sleeps in a row end before a long one."""
    clock, woken = VirtualClock(0.0), []

    async def twice():
        for _ in range(2):
            await clock.asleep(1.0)
            woken.append(clock.now())

    async def once():
        await clock.asleep(2.5)
        woken.append(clock.now())

    await asyncio.gather(once(), twice())

    assert woken == [1.0, 2.0, 2.5]


async def test_cancelled_sleep_passes_no_time():
    """Time does not pass for a sleep that is cancelled."""
    clock = VirtualClock(0.0)
    task = asyncio.create_task(clock.asleep(60.0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await clock.asleep(1.0)

    assert clock.now() == 1.0


def test_deadlines_count_in_virtual_time():
    """As a context manager it counts for `resilience.deadline`, and gives it back."""
    with VirtualClock(100.0), resilience.deadline(2.0):
        assert context.deadline_at.get() == 102.0

    assert context.monotonic is time.monotonic
