"""One call's streamed requests: read once from the application, sent by any attempt.

There is one reader at a time. What it reads goes into the buffer first and to an
attempt then, so a message that was read for an attempt that has died is not lost. The
buffer is bounded; when it overflows, the attempt under way is the last, and nothing is
dropped before that is settled. Knows nothing of gRPC.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from .buffer import Buffer


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _is_last(_: int) -> bool:
    return True


class Replay:
    """The requests of one call. Safe to share between threads."""

    def __init__(
        self,
        source: Iterator[Any],
        *,
        hold: Callable[[Any], Any],
        size_of: Callable[[Any], int],
        max_bytes: int,
        max_messages: int,
    ) -> None:
        """Make the buffer; nothing is read yet.

        Args:
            source: the application's iterator. It is never asked for anything but its
                next message, and only when an attempt wants one.
            hold: makes of a message what is kept and sent.
            size_of: its bytes.
            max_bytes: what is kept at most; the message that passes it is the last.
            max_messages: the same in messages.
        """
        self._source = source
        self._hold = hold
        self.overflowed: Callable[[int], bool] = _is_last
        """Asked, without the lock, whether the attempt of that number becomes the last;
        False: it is over, and another may need what is kept."""
        self._changed = threading.Condition()
        self._buffer = Buffer(size_of, max_bytes, max_messages)
        self.overflow = 0
        """The attempt that the overflow made the last; 0: none did."""
        self._reading = False
        self._waiting = 0
        self._ended = False
        self._error: BaseException | None = None
        self._live: Requests | None = None

    def attempt(self, number: int) -> Requests:
        """The requests for attempt *number*, from the first; earlier attempts end."""
        with self._changed:
            self._stop_locked()
            self._live = made = Requests(self, number)
            is_full = self._buffer.retains and self._buffer.is_full
        if is_full:  # by what was read since the attempt before was over
            self._overflow(made)
        return made

    def stop(self, number: int) -> None:
        """Attempt *number* is over: whoever waits for its next message is let go."""
        with self._changed:
            if self._live is not None and self._live.number == number:
                self._stop_locked()

    def release(self) -> None:
        """There will be no other attempt: keep nothing that is sent."""
        with self._changed:
            self._buffer.retains = False
            self._trim_locked()

    def end(self) -> None:
        """The call is over: nobody waits, nothing is kept."""
        with self._changed:
            self._stop_locked()
            self._buffer.clear()
            self.overflowed = _is_last  # who made the call is held no longer

    def _stop_locked(self) -> None:
        if self._live is not None:
            self._live.is_over = True
            self._live = None
            self._notify_locked()

    def _trim_locked(self) -> None:
        live = self._live
        if live is not None:
            self._buffer.trim(live.position)

    def take(self, attempt: Requests) -> Any:
        """The next message for *attempt*; blocks while the application has none.

        Raises:
            StopIteration: there is none any more, or the attempt is over.
            BaseException: what the application's iterator raised.
        """
        with self._changed:
            while True:
                if attempt.is_over:
                    raise StopIteration
                if attempt.position < self._buffer.end:
                    found = self._buffer.at(attempt.position)
                    attempt.position += 1
                    if not self._buffer.retains:
                        self._trim_locked()
                    return found
                if self._error is not None:
                    raise self._error
                if self._ended:
                    raise StopIteration
                if not self._reading:
                    self._reading = True
                    break
                self._waiting += 1
                self._changed.wait()
                self._waiting -= 1
        return self._read(attempt)

    def _read(self, attempt: Requests) -> Any:
        """Ask the application, without the lock: it may take for ever."""
        try:
            message = next(self._source)
            if type(message) is not bytes:  # which do not change
                message = self._hold(message)
        except StopIteration:
            self._stopped(None)
            raise
        except BaseException as error:
            self._stopped(error)
            raise
        with self._changed:
            self._reading = False
            if not self._buffer.retains and not attempt.is_over:
                # Nobody will ask for it again.
                self._buffer.skip()
                attempt.position += 1
                self._notify_locked()
                return message
            self._buffer.append(message)
            self._notify_locked()
            is_over, live = attempt.is_over, self._live
            if not is_over:
                attempt.position += 1
            is_full = self._buffer.retains and self._buffer.is_full
        if is_full and live is not None:
            self._overflow(live)
        if is_over:
            raise StopIteration
        return message

    def _notify_locked(self) -> None:
        if self._waiting:
            self._changed.notify_all()

    def _overflow(self, attempt: Requests) -> None:
        if not self.overflowed(attempt.number):
            return
        with self._changed:
            if not attempt.is_over:
                self.overflow = attempt.number
                self._buffer.retains = False
                self._trim_locked()

    def _stopped(self, error: BaseException | None) -> None:
        with self._changed:
            self._reading = False
            self._ended, self._error = True, error
            self._notify_locked()


class Requests:
    """The requests of one attempt, as an iterator. Read by one thread at a time."""

    __slots__ = ("_replay", "is_over", "number", "position")

    def __init__(self, replay: Replay, number: int) -> None:
        self._replay = replay
        self.number = number
        self.position = 0
        """Of the message that is handed out next."""
        self.is_over = False

    def __iter__(self) -> Requests:
        return self

    def __next__(self) -> Any:
        return self._replay.take(self)
