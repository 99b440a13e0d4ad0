"""Who waits for a place: the critical first, whoever came first among equals.

Bounded in length and in time. A waiter learns of its place from whoever gives one up:
nobody polls, no thread belongs to a queue. All changes happen under the limiter's lock;
what a waiter's driver is told is told outside it.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress


RANKS = 4
"""Classes of criticality."""


Place = int
"""One attempt among those in flight: its number at the limiter, from 1."""


class Waiter:
    """A place that is waited for, by one driver. Safe to share between threads."""

    place: Place = 0
    """The place that it has; 0: none yet."""
    is_decided = False
    """Is there nothing to wait for any more: placed, or refused?"""
    _wake: Callable[[], object] | None = None

    def __init__(self, lock: threading.Lock, rank: int, until: float) -> None:
        self._lock = lock
        self.rank = rank
        """0: shed first."""
        self.until = until
        """The moment from which it waits no more, monotonic."""

    def watch(self, wake: Callable[[], object]) -> None:
        """Have *wake* called once it is decided; at once, if it is.

        It is called by whoever gives up a place, on that thread: it must neither block
        nor carry the call on, only wake the one who does. What it raises is dropped,
        for a driver that is gone has nobody to wake.
        """
        with self._lock:
            if not self.is_decided:
                self._wake = wake
                return
        wake()

    def wake(self) -> None:
        """Tell its driver, if that listens already. Call it outside the lock."""
        wake, self._wake = self._wake, None
        if wake is not None:
            with suppress(Exception):  # a closed loop: the lease ends what it holds
                wake()


class Queue:
    """The waiters of one limiter. Under that limiter's lock."""

    __slots__ = ("_lanes", "length")

    def __init__(self) -> None:
        # Made when somebody waits: there may be ten thousand limiters.
        self._lanes: tuple[deque[Waiter], ...] = ()
        self.length = 0
        """How many wait."""

    def ahead_of(self, rank: int) -> int:
        """How many go before one of *rank* that comes now."""
        return sum(map(len, self._lanes[rank:]))

    def add(self, waiter: Waiter) -> None:
        """The last of its rank."""
        if not self._lanes:
            self._lanes = tuple(deque() for _ in range(RANKS))
        self._lanes[waiter.rank].append(waiter)
        self.length += 1

    def remove(self, waiter: Waiter) -> None:
        """It waits no more."""
        self._lanes[waiter.rank].remove(waiter)
        self.length -= 1

    def first(self) -> Waiter | None:
        """Take out who is next; None: nobody waits."""
        for lane in reversed(self._lanes):
            if lane:
                self.length -= 1
                return lane.popleft()
        return None

    def least(self, below: int) -> Waiter | None:
        """Take out the newest of the least critical below rank *below*; None: none."""
        for lane in self._lanes[:below]:
            if lane:
                self.length -= 1
                return lane.pop()
        return None
