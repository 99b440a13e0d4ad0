"""Coroutines that never suspend, driven on a thread."""

import asyncio

import pytest

from resilience.drivers.blocking import drive


async def answer(value):
    if isinstance(value, Exception):
        raise value
    return value


def test_what_is_returned():
    """Its value comes back, with a loop on this thread or without."""

    async def around():
        return drive(answer(2))

    assert 1 == drive(answer(1))
    assert 2 == asyncio.run(around())


def test_what_is_raised():
    """Its error comes out unchanged."""
    error = ValueError("no")
    with pytest.raises(ValueError, match="no") as caught:
        drive(answer(error))

    assert error is caught.value


def test_what_suspends():
    """Where nobody could wake it, that is a fault of this library, and is said."""
    with pytest.raises(RuntimeError, match="suspended"):
        drive(asyncio.sleep(0))
