"""Watches the silence between a stream's messages, at no cost for each message.

Only time in which somebody waits for a message counts: a slow reader is no silence. A
timer is armed once and, when it comes too early, arms itself again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Callable

    from .timer import Handle, Timer


class IdleWatch:
    """The watch over one stream. Begun and ended by its reader."""

    __slots__ = ("_expired", "_handle", "_limit_s", "_lock", "_now", "_since", "_timer")

    def __init__(
        self,
        limit_s: float,
        timer: Timer,
        now: Callable[[], float],
        expired: Callable[[], None],
    ) -> None:
        """Make a watch that runs from `begin` on.

        Args:
            limit_s: how long a reader may wait, in seconds.
            timer: the engine's, or a loop's.
            now: monotonic seconds.
            expired: called once, on the timer; must not block.
        """
        self._limit_s = limit_s
        self._timer = timer
        self._now = now
        self._expired = expired
        self._since: float | None = None
        self._handle: Handle | None = None
        self._lock = threading.Lock()

    def begin(self) -> None:
        """The reader waits for a message."""
        self._since = self._now()
        if self._handle is None:
            with self._lock:
                if self._handle is None:
                    self._arm_locked(self._since + self._limit_s)

    def end(self) -> None:
        """The message is there."""
        self._since = None

    def close(self) -> None:
        """The stream is over."""
        self._since = None
        handle = self._handle
        if handle is not None:
            handle.cancel()

    def _arm_locked(self, due: float) -> None:
        self._handle = self._timer.at(due, self._look)

    def _look(self) -> None:
        with self._lock:
            # In this order: a reader that comes meanwhile sees one of the two.
            self._handle = None
            since = self._since
            if since is None:
                return
            due = since + self._limit_s
            if self._now() < due:
                self._arm_locked(due)
                return
        self._expired()
