"""The buffer of streamed requests: nothing lost or doubled, one reader at a time."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.grpc.replay import Replay


def replay_of(source, *, max_bytes=1 << 20, max_messages=1000, overflowed=None):
    made = Replay(
        iter(source),
        hold=lambda message: message,
        size_of=len,
        max_bytes=max_bytes,
        max_messages=max_messages,
    )
    if overflowed is not None:
        made.overflowed = overflowed
    return made


def take(requests, count):
    found = []
    for _ in range(count):
        try:
            found.append(next(requests))
        except StopIteration:
            break
    return found


MESSAGES = st.lists(st.binary(max_size=8), max_size=20)


@given(MESSAGES, st.lists(st.integers(0, 25), max_size=6))
def test_each_attempt_sends_the_stream_from_its_first_message(messages, reads):
    """However much an attempt read, the next sends all from the start, in order."""
    replay = replay_of(messages)
    for number, count in enumerate(reads, 1):
        assert take(replay.attempt(number), count) == messages[:count]
    assert list(replay.attempt(99)) == messages


@given(MESSAGES, st.integers(0, 30), st.integers(0, 5), st.integers(0, 20))
def test_an_attempt_sends_all_whatever_the_bounds(messages, max_bytes, most, first):
    """A full buffer never costs the attempt under way a message."""
    replay = replay_of(messages, max_bytes=max_bytes, max_messages=most)
    take(replay.attempt(1), first)
    if replay.overflow:
        return  # the call knows that there is no second attempt
    assert list(replay.attempt(2)) == messages


@given(MESSAGES, st.integers(0, 30), st.integers(0, 5))
def test_the_buffer_is_bounded(messages, max_bytes, most):
    """At most one message is held beyond the bounds, and none once it overflowed."""
    replay = replay_of(messages, max_bytes=max_bytes, max_messages=most)
    for _ in replay.attempt(1):
        if replay.overflow:
            assert not replay._buffer._kept
        assert len(replay._buffer._kept) <= most
        assert sum(map(len, replay._buffer._kept)) <= max_bytes


def test_an_overflow_that_came_too_late_drops_nothing():
    """An attempt that has ended cannot become the last: the next gets everything."""
    asked = []
    replay = replay_of(
        [b"a", b"b", b"c"],
        max_messages=1,
        overflowed=lambda n: asked.append(n) or n > 1,
    )
    assert take(replay.attempt(1), 3) == [b"a", b"b", b"c"]
    assert replay.overflow == 0
    assert list(replay.attempt(2)) == [b"a", b"b", b"c"]
    assert (asked[0], asked[-1], replay.overflow) == (1, 2, 2)


def test_nothing_is_kept_after_the_release():
    """After the commit a message is dropped as it is sent."""
    replay = replay_of([b"a", b"b", b"c"])
    requests = replay.attempt(1)
    next(requests)
    replay.release()
    assert [*requests] == [b"b", b"c"]
    assert not replay._buffer._kept


def test_the_end_of_the_call_keeps_nothing():
    """A handle that lives on after the end holds no requests."""
    replay = replay_of([b"a", b"b"])
    requests = replay.attempt(1)
    next(requests)
    replay.end()
    assert not replay._buffer._kept
    assert list(requests) == []


def test_what_the_iterator_raises_reaches_the_attempt_and_each_after():
    """The application's own error comes after the messages before it."""

    def source():
        yield b"a"
        msg = "mine"
        raise ValueError(msg)

    replay = replay_of(source())
    for number in (1, 2):
        requests = replay.attempt(number)
        assert next(requests) == b"a"
        with pytest.raises(ValueError, match="mine"):
            next(requests)


def test_a_thing_that_is_no_iterator_fails_when_it_is_read():
    """Nothing is asked of the application's object before an attempt reads."""
    replay = Replay(5, hold=str, size_of=len, max_bytes=1, max_messages=1)
    requests = replay.attempt(1)
    with pytest.raises(TypeError):
        next(requests)


class Source:
    """An iterator that waits in `next`, and knows how many are in it."""

    def __init__(self, messages):
        self._messages = list(messages)
        self.entered = threading.Event()
        self.allowed = threading.Semaphore(0)
        self.inside = self.most = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.entered.set()
        assert self.allowed.acquire(timeout=10)
        self.inside -= 1
        if not self._messages:
            raise StopIteration
        return self._messages.pop(0)


def reading(requests):
    """A thread that reads *requests* to the end, and what it found."""
    found = []
    thread = threading.Thread(target=lambda: found.extend(requests), daemon=True)
    thread.start()
    return thread, found


def test_a_message_read_for_a_dead_attempt_goes_to_the_next():
    """The thread of a dead attempt swallows nothing; two never read at once."""
    source = Source([b"a", b"b"])
    replay = replay_of(source)
    old, nothing = reading(replay.attempt(1))
    assert source.entered.wait(10)
    new, found = reading(replay.attempt(2))
    for _ in range(3):
        source.allowed.release()
    for thread in (old, new):
        thread.join(10)
        assert not thread.is_alive()
    assert (nothing, found, source.most) == ([], [b"a", b"b"], 1)


def test_an_attempt_that_waits_for_the_reader_is_let_go_at_its_end():
    """Only the thread inside the application's iterator stays there."""
    source = Source([])
    replay = replay_of(source)
    old, _ = reading(replay.attempt(1))
    assert source.entered.wait(10)
    new, found = reading(replay.attempt(2))
    replay.stop(2)
    new.join(10)
    assert not new.is_alive()
    assert (found, old.is_alive()) == ([], True)
    source.allowed.release()
    old.join(10)


def test_a_buffer_that_fills_between_attempts_makes_the_next_the_last():
    """A message that comes while nothing is under way counts, too."""
    source = Source([b"aa", b"bb"])
    replay = replay_of(source, max_bytes=1)
    old, _ = reading(replay.attempt(1))
    assert source.entered.wait(10)
    replay.stop(1)
    source.allowed.release()
    old.join(10)
    assert replay.overflow == 0
    replay.attempt(2)
    assert replay.overflow == 2
