"""Threads for what the application wants to be told: its callbacks may block.

They run neither on a transport's thread nor on the timer, where one that sleeps would
delay every other call. A thread is made when all are busy and goes when it is idle, so
healthy programs have one or none.
"""

import os
import queue
import threading
from collections.abc import Callable


IDLE_S = 2.0
"""A thread with nothing to do ends after this."""


class CallbackThreads:
    """Runs functions at once, each on a thread of its own. Safe to share."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Forget threads and lock, after a fork."""
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle = 0

    def run(self, fn: Callable[[], None]) -> None:
        """Call *fn*, which must not raise, soon and on another thread."""
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
                self._waiting.put(fn)
                return
        try:
            # In a list, or the thread would hold its first function to its end.
            threading.Thread(
                target=self._work,
                args=([fn],),
                name="resilience-callbacks",
                daemon=True,
            ).start()
        except RuntimeError:  # the interpreter is shutting down: none can be made
            fn()

    def _work(self, first: list[Callable[[], None]]) -> None:
        fn = first.pop()
        while True:
            fn()
            del fn  # while it waits, what that holds is nobody's
            with self._lock:
                self._idle += 1
            try:
                fn = self._waiting.get(timeout=IDLE_S)
            except queue.Empty:
                with self._lock:
                    if self._waiting.empty():
                        self._idle -= 1
                        return
                fn = self._waiting.get()


CALLBACKS = CallbackThreads()
"""Of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CALLBACKS.renew)
