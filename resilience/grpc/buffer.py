"""What was sent of a stream and may be needed again: bounded, in order, no clock.

Positions count from the stream's first message, so they stay what they are when what
stood before them is dropped. Whoever owns it guards it: nothing here locks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Callable


class Buffer:
    """The messages kept for one call. Not safe to share: its owner guards it."""

    __slots__ = (
        "_bytes",
        "_dropped",
        "_kept",
        "_max_bytes",
        "_max_messages",
        "_newest",
        "_size_of",
        "is_full",
        "retains",
    )

    def __init__(
        self, size_of: Callable[[Any], int], max_bytes: int, max_messages: int
    ) -> None:
        """Make an empty buffer.

        Args:
            size_of: the bytes of a message; below 0: a guess.
            max_bytes: what is kept at most; the message that passes it is the last.
            max_messages: the same in messages.
        """
        self._size_of = size_of
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._kept: list[Any] = []
        self._dropped = 0
        """Messages that stood before the first that is kept."""
        self._bytes = 0
        self._newest = 0
        """What the newest message weighs; below 0: it was guessed."""
        self.is_full = False
        """Did more go in than the bounds allow?"""
        self.retains = True
        """Will anybody start from the first message again?"""

    @property
    def end(self) -> int:
        """The position after the newest message."""
        return self._dropped + len(self._kept)

    def at(self, position: int) -> Any:
        """The message at *position*, which is kept."""
        return self._kept[position - self._dropped]

    def append(self, message: Any) -> int:
        """Keep *message* as the newest; returns its position."""
        kept = self._kept
        if self._newest < 0:
            # Guessed, of a kind that cannot tell its size; serialised by now.
            self._bytes += self._newest + abs(self._size_of(kept[-1]))
        kept.append(message)
        if self.retains:
            self._newest = size = self._size_of(message)
            self._bytes += abs(size)
            if self._bytes > self._max_bytes or len(kept) > self._max_messages:
                self.is_full = True
        return self._dropped + len(kept) - 1

    def take_back(self) -> None:
        """Forget the newest message: it turned out to be none."""
        self._kept.pop()
        self._bytes -= abs(self._newest)
        self._newest = 0

    def skip(self) -> None:
        """Count one message that is not kept."""
        self._dropped += 1

    def trim(self, position: int) -> None:
        """Drop what stands before *position*."""
        if position > self._dropped:
            del self._kept[: position - self._dropped]
            self._newest = 0
            self._dropped = position

    def clear(self) -> None:
        """Keep nothing any more."""
        self.retains = False
        self._newest = 0
        self._kept.clear()
