"""A thread for what the garbage collector must not do itself: end dropped calls.

A finaliser runs wherever its thread happens to be: inside a transport or one of our own
locked sections, too. To end a call takes their locks, so it only leaves a note here.
The queue is made for that (`SimpleQueue.put` is reentrant and takes no Python lock).
"""

import os
import queue
import threading
from collections.abc import Callable


class Reaper:
    """Runs functions one after the other. Safe to share between threads."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Forget the thread, its lock and what was left, after a fork."""
        self._lock = threading.Lock()
        self._left: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._is_running = False

    def start(self) -> None:
        """Make sure that the thread runs. Never to be called by a finaliser."""
        if self._is_running:
            return
        with self._lock:
            if self._is_running:
                return
            thread = threading.Thread(
                target=self._run, args=(self._left,), name="resilience-reaper"
            )
            thread.daemon = True
            try:
                thread.start()
            except RuntimeError:  # the interpreter is shutting down: none can be made
                return
            self._is_running = True

    def leave(self, fn: Callable[[], object]) -> None:
        """Have *fn*, which must not raise or block for long, called soon.

        Takes no lock: finalisers may call it anywhere.
        """
        self._left.put(fn)

    @staticmethod
    def _run(left: "queue.SimpleQueue[Callable[[], object]]") -> None:
        while True:
            fn = left.get()
            fn()
            del fn  # while it waits, what that holds is nobody's


REAPER = Reaper()
"""Of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=REAPER.renew)
