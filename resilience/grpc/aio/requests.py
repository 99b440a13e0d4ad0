"""The writing side of asyncio calls with streamed requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc.aio


if TYPE_CHECKING:
    from .feed import Feed

_STYLES = "The iterator and read/write APIs may not be mixed on a single RPC."


class StreamRequests:
    """What writes of a call with streamed requests do. Owned by one event loop."""

    _feed: Feed | None

    def _written(self) -> Feed:
        feed = self._feed
        if feed is None or feed.source is not None:
            raise grpc.aio.UsageError(_STYLES)
        return feed

    async def write(self, request: Any) -> None:
        """Send *request*; it may be sent again until the call is committed.

        Raises:
            grpc.aio.UsageError: the call was given an iterator.
            asyncio.InvalidStateError: it has ended, or `done_writing` was called.
        """
        await self._written().write(request)

    async def done_writing(self) -> None:
        """Say that there will be no more messages."""
        await self._written().done_writing()

    @property
    def _done_writing_flag(self) -> bool:
        # grpcio's own interceptors look at it.
        return self._feed is not None and self._feed.has_ended
