"""One daemon thread that runs short functions at given moments.

All pending waits of `.future()` calls share it: a heap entry each, no thread each.
Functions must not block; what they raise is reported and swallowed.
"""

import heapq
import itertools
import threading
from collections.abc import Callable


SWEEP_FROM = 256
"""Cancelled entries from which on it is worth while to look for them."""


class Handle:
    """A function that is due. Safe to share between threads."""

    __slots__ = ("_cancelled", "dropped", "fn")

    def __init__(
        self,
        fn: Callable[[], None],
        dropped: Callable[[], None] | None = None,
        cancelled: Callable[[], None] | None = None,
    ) -> None:
        self.fn: Callable[[], None] | None = fn
        self.dropped: Callable[[], None] | None = dropped
        self._cancelled = cancelled

    def cancel(self) -> None:
        """Do not run it; harmless when it has run."""
        if self.fn is not None:
            # The heap keeps the entry until it is due; what it would do, it need not.
            self.fn = self.dropped = None
            if self._cancelled is not None:
                self._cancelled()


class Timer:
    """A heap of due functions and the thread that runs them.

    Safe to share between threads. The thread starts with the first entry.
    """

    def __init__(
        self, now: Callable[[], float], on_error: Callable[[Exception], None]
    ) -> None:
        self._now = now
        self._on_error = on_error
        self.renew()

    def renew(self) -> None:
        """Forget entries, lock and thread, after a fork."""
        self._heap: list[tuple[float, int, Handle]] = []
        self._order = itertools.count()
        self.cancelled = 0
        """Entries that were cancelled since the last sweep, about."""
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def at(
        self,
        when: float,
        fn: Callable[[], None],
        dropped: Callable[[], None] | None = None,
    ) -> Handle:
        """Run *fn* on the timer's thread at *when* (monotonic seconds), not earlier.

        *dropped* is called instead if the timer is closed before, by who closes it.
        """
        handle = Handle(fn, dropped, self._note_cancelled)
        with self._changed:
            if self.cancelled > SWEEP_FROM and self.cancelled * 2 > len(self._heap):
                self._sweep_locked()
            heapq.heappush(self._heap, (when, next(self._order), handle))
            if self._thread is None:
                self._closed = False
                self._thread = threading.Thread(
                    target=self._run, name="resilience-timer", daemon=True
                )
                self._thread.start()
            if self._heap[0][2] is handle:
                self._changed.notify()
        return handle

    def soon(self, fn: Callable[[], None]) -> None:
        """Run *fn* on the timer's thread, as soon as it can."""
        self.at(self._now(), fn)

    def _note_cancelled(self) -> None:
        self.cancelled += 1  # a lost count only puts the sweep off

    def _sweep_locked(self) -> None:
        """Forget what was cancelled long before it is due."""
        self.cancelled = 0
        self._heap = [entry for entry in self._heap if entry[2].fn is not None]
        heapq.heapify(self._heap)

    def close(self) -> None:
        """Stop the thread; entries that are left do not run, but hear of it."""
        with self._changed:
            self._closed = True
            left = [handle for _, _, handle in sorted(self._heap, key=_moment)]
            self._heap.clear()
            self._changed.notify()
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=1.0)
        for handle in left:
            dropped = handle.dropped
            if handle.fn is not None and dropped is not None:
                self._call(dropped)

    def __len__(self) -> int:
        return len(self._heap)

    def _run(self) -> None:
        while True:
            fn = self._next_due()
            if fn is None:
                return
            self._call(fn)
            del fn  # until the next is due, what it holds is nobody's

    def _call(self, fn: Callable[[], None]) -> None:
        try:
            fn()
        except Exception as error:  # noqa: BLE001 - it must not kill the others
            self._on_error(error)

    def _next_due(self) -> Callable[[], None] | None:
        """Wait for the next function; None: closed."""
        with self._changed:
            while not self._closed:
                while self._heap and self._heap[0][2].fn is None:
                    heapq.heappop(self._heap)
                wait = None
                if self._heap:
                    wait = self._heap[0][0] - self._now()
                    if wait <= 0:
                        fn = heapq.heappop(self._heap)[2].fn
                        if fn is not None:
                            return fn
                        continue
                self._changed.wait(wait)
            return None


def _moment(entry: tuple[float, int, Handle]) -> tuple[float, int]:
    return entry[:2]
