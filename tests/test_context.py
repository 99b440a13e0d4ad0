"""What surrounds a call: deadline, key, criticality; how they nest and travel."""

import asyncio
import contextvars
import threading

import pytest

import resilience
from resilience import context
from resilience.testing import VirtualClock


@pytest.fixture
def clock():
    with VirtualClock(100.0) as made:
        yield made


def test_deadline_is_a_moment(clock):
    """A deadline is so many seconds from now, and is over with its block."""
    with resilience.deadline(2.0):
        assert context.deadline_at.get() == 102.0
        clock.advance(1.0)
        assert context.deadline_at.get() == 102.0

    assert context.deadline_at.get() is None


def test_nested_deadlines_only_shorten(clock):
    """An inner deadline can end earlier, never later; then the outer holds."""
    with resilience.deadline(2.0):
        with resilience.deadline(9.0):
            assert context.deadline_at.get() == 102.0
        with resilience.deadline(0.5):
            assert context.deadline_at.get() == 100.5
        assert context.deadline_at.get() == 102.0


@pytest.mark.parametrize("seconds", [1e9, 9.2e18, float("inf")])
def test_endless_is_none(clock, seconds):
    """A length that means "none" sets no deadline, and lifts no outer one."""
    with resilience.deadline(seconds):
        assert context.deadline_at.get() is None
    with resilience.deadline(1.0), resilience.deadline(seconds):
        assert context.deadline_at.get() == 101.0


def test_no_time_at_all(clock):
    """Zero seconds is a deadline: it has come."""
    with resilience.deadline(0):
        assert context.deadline_at.get() == 100.0


@pytest.mark.parametrize("seconds", [-1, -0.001, float("nan"), float("-inf")])
def test_wrong_lengths(seconds):
    """A negative length, or one that is no number, is refused."""
    with pytest.raises(ValueError, match=r"seconds >= 0"), resilience.deadline(seconds):
        pass


def test_an_error_ends_the_block(clock):
    """What is raised inside comes through, and the deadline is gone."""
    with pytest.raises(KeyError), resilience.deadline(1.0):
        raise KeyError

    assert context.deadline_at.get() is None


def test_detached(clock):
    """Detached work has no deadline of its caller's; a new one inside counts."""
    with resilience.deadline(1.0):
        with resilience.detached():
            assert context.deadline_at.get() is None
            with resilience.deadline(5.0):
                assert context.deadline_at.get() == 105.0
        assert context.deadline_at.get() == 101.0


def test_idempotency_key():
    """The innermost key names the intent, and ends with its block."""
    with resilience.idempotency_key("a"):
        with resilience.idempotency_key("b"):
            assert context.ambient_key.get() == "b"
        assert context.ambient_key.get() == "a"

    assert context.ambient_key.get() is None


@pytest.mark.parametrize("key", ["", "x" * 256, "line\nbreak", "h\u00e9", "\x00"])
def test_wrong_keys(key):
    """A key that cannot travel in a header is refused."""
    with (
        pytest.raises(ValueError, match="1-255 printable ASCII"),
        resilience.idempotency_key(key),
    ):
        pass


@pytest.mark.parametrize("level", context.CRITICALITIES)
def test_criticality(level):
    """Each of the four levels can be set, and ends with its block."""
    with resilience.criticality(level):
        assert context.ambient_criticality.get() == level

    assert context.ambient_criticality.get() is None


def test_wrong_criticality():
    """A level that is none is refused, and the four are named."""
    with (
        pytest.raises(ValueError, match=r"critical_plus, critical, sheddable_plus"),
        resilience.criticality("urgent"),
    ):
        pass


async def test_tasks_inherit(clock):
    """A task made inside has the deadline, also after the block has ended."""
    started = asyncio.Event()

    async def look():
        await started.wait()
        return context.deadline_at.get()

    with resilience.deadline(3.0):
        task = asyncio.create_task(look())
    started.set()

    assert await task == 103.0
    assert context.deadline_at.get() is None


async def test_a_tasks_own_deadline_stays_its_own(clock):
    """What one task sets, its siblings and its parent do not see."""

    async def shorten():
        with resilience.deadline(0.5):
            await asyncio.sleep(0)
            return context.deadline_at.get()

    async def look():
        await asyncio.sleep(0)
        return context.deadline_at.get()

    with resilience.deadline(3.0):
        assert await asyncio.gather(shorten(), look()) == [100.5, 103.0]


def test_threads_do_not_inherit(clock):
    """A plain thread begins without the deadline; a copied context carries it."""
    seen = []

    def look():
        seen.append(context.deadline_at.get())

    with resilience.deadline(3.0):
        copied = contextvars.copy_context()
        for target in (look, lambda: copied.run(look)):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()

    assert seen == [None, 103.0]
