"""Requests that a later attempt may need again, kept as they were when handed over.

grpcio serialises a request at once, so the caller may change the message right after.
A repeat must send what was meant then: on a plain channel the bytes are kept, and where
others stand in between, who must see real messages, a copy of the message.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import grpc.aio._channel
from grpc._channel import Channel as _Channel


if TYPE_CHECKING:
    from collections.abc import Callable


class Held:
    """One request, serialised at its first sending. Owned by one call."""

    __slots__ = ("data", "message")

    def __init__(self, message: Any) -> None:
        self.message: Any = message
        """Dropped once it is serialised."""
        self.data: Any = None


def is_plain(channel: Any) -> bool:
    """Is it grpcio's own channel, with nothing between it and the wire?"""
    if type(channel) is _Channel:
        return True
    if type(channel) is not grpc.aio._channel.Channel:
        return False
    kinds = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
    return not any(
        getattr(channel, f"_{kind}_interceptors", "unknown") for kind in kinds
    )


def serializer(given: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    """*given*, taking `Held` requests too, each of which it serialises once.

    What *given* raises goes through, so grpcio says of it what it always says.
    """

    def serialize(message: Any) -> Any:
        if type(message) is not Held:
            return message if given is None else given(message)
        if message.data is None:
            plain = message.message
            message.data = plain if given is None else given(plain)
            message.message = None
        return message.data

    return serialize


def snapshot(message: Any) -> Any:
    """A copy of a protobuf *message*; anything else as it is."""
    copy_from = getattr(message, "CopyFrom", None)
    if copy_from is None:
        return message
    try:
        made = type(message)()
        made.CopyFrom(message)
    except Exception:  # noqa: BLE001 - it only looks like protobuf
        return message
    return made


def size_of(message: Any) -> int:
    """Bytes that *message*, held or a snapshot, takes in a buffer; below 0: a guess."""
    if type(message) is bytes:
        return len(message)
    if type(message) is Held:
        message = message.message if message.data is None else message.data
    try:
        if isinstance(message, (bytearray, str)):
            return len(message)
        return int(message.ByteSize())
    except Exception:  # noqa: BLE001 - no protobuf
        return -sys.getsizeof(message)


class Holding:
    """How the requests of one channel's calls are kept. Safe to share."""

    __slots__ = ("hold", "is_plain")

    def __init__(self, channel: Any) -> None:
        self.is_plain = is_plain(channel)
        self.hold: Callable[[Any], Any] = Held if self.is_plain else snapshot
        """Makes of a message what attempts are given in its place."""

    def serializer(
        self, given: Callable[[Any], Any] | None
    ) -> Callable[[Any], Any] | None:
        """What to make multicallables with in place of *given*."""
        return serializer(given) if self.is_plain else given


SNAPSHOTS = Holding(None)
"""For interceptors, which know nothing of the channel."""
