"""The context goes where it is sent, and no further."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

import resilience
from resilience.context import ambient_criticality, deadline_at
from resilience.propagation import propagate


value = ContextVar("value", default=0)


def test_a_thread_spends_the_callers_deadline():
    """What was in force where the function was carried is in force where it runs."""
    with (
        ThreadPoolExecutor(1) as pool,
        resilience.deadline(60),
        resilience.criticality("sheddable"),
    ):
        here = deadline_at.get()

        bare = pool.submit(deadline_at.get).result()
        carried = pool.submit(
            propagate(lambda: (deadline_at.get(), ambient_criticality.get()))
        ).result()

    assert bare is None
    assert (here, "sheddable") == carried


def test_each_call_has_a_copy_of_its_own():
    """What one call changes is seen by no other, nor outside."""

    def change(to):
        before = value.get()
        value.set(to)
        return before

    carried = propagate(change)

    assert [0, 0] == [carried(1), carried(2)]
    assert 0 == value.get()


def test_a_function_keeps_its_name_and_arguments():
    """It is the same function to those who look at it."""

    def add(a, *, b=1):
        """Sum."""
        return a + b

    carried = propagate(add)

    assert 5 == carried(2, b=3)
    assert ("add", "Sum.") == (carried.__name__, carried.__doc__)


async def test_a_coroutine_function_is_carried_in_all_its_steps():
    """After each wait it is in the same context, and its caller is in his own."""
    seen = []

    async def steps():
        for _ in range(3):
            seen.append(deadline_at.get())
            value.set(value.get() + 1)
            await asyncio.sleep(0)
        return value.get()

    with resilience.deadline(60):
        here = deadline_at.get()
        carried = propagate(steps)

    assert asyncio.iscoroutinefunction(carried)
    assert 3 == await carried()
    assert [here] * 3 == seen
    assert (None, 0) == (deadline_at.get(), value.get())


async def test_cancellation_reaches_a_carried_coroutine():
    """No task is made: a timeout around it works as ever."""
    ended = []

    async def hang():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(deadline_at.get() is not None)

    with resilience.deadline(60):
        carried = propagate(hang)
    running = asyncio.ensure_future(carried())
    await asyncio.sleep(0)

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert [True] == ended


async def test_an_error_passes_through():
    """What the function raises, its caller gets."""

    async def fail():
        await asyncio.sleep(0)
        raise KeyError(1)

    with pytest.raises(KeyError):
        await propagate(fail)()
