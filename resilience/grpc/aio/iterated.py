"""Attempts that iterate, where others stand between us and the wire.

Interceptors must see an iterator, so each attempt gets one of its own over what is
kept. It asks for a message only when its reader does; what grpcio's interceptors make
of `write` is asked for a message as soon as the one before was taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import Any

import grpc

from .feed import KeptFeed


_OF_WRITES = "_proxy_writes_as_request_iterator"
"""By that name grpcio's intercepted calls iterate over what is written to them. They
tell a writer that no more can be written only once that iterator was read to its end.
"""


class Iterated(KeptFeed):
    """The requests of one call on any channel. Owned by one event loop."""

    _error: BaseException | None = None
    _wanted = False
    """Does a reader wait for a message that nobody has given yet?"""

    def attempt(self, number: int) -> Any:
        """An iterator of its own for attempt *number*."""
        super().attempt(number)
        self._wanted = False
        # Not later: an interceptor below may wait for the attempt's end before it
        # lets us have the attempt.
        self._start_pump()
        return _Reading(self, number)

    async def _read(self) -> None:
        """Read the application's iterator, one message each time one is wanted."""
        is_async = isinstance(self.source, AsyncIterable)
        is_written = getattr(self.source, "__name__", "") == _OF_WRITES
        source = aiter(self.source) if is_async else iter(self.source)
        try:
            while True:
                while not self._wanted and (
                    not is_written or self._sent < self._buffer.end
                ):
                    if self.call.done():
                        return
                    await self._signal.wait()
                message = await anext(source) if is_async else next(source)
                if self.call.done():
                    return
                self._add(message)
        except (StopIteration, StopAsyncIteration):
            self._ended = True
        except asyncio.CancelledError:
            self.call.cancel()
        except BaseException as error:  # noqa: BLE001 - an attempt's reader raises it
            self._error = error
        finally:
            self._has_read = True
            self._stop_holding()
            self._signal.wake()

    def _add(self, message: Any) -> int:
        self._wanted = False
        position = self._keep(self._hold(message))
        self._signal.wake()
        return position

    async def _send(self, message: Any) -> None:
        await self._until_sent(self._add(message))
        if self.call.done():
            self._refuse()

    def _refuse(self) -> None:
        error = self.call.error
        if error is not None and not isinstance(error, grpc.RpcError):
            raise error  # an inner interceptor's own comes through, as natively
        super()._refuse()

    async def done_writing(self) -> None:
        """Readers come to their end."""
        self._ended = True
        self._signal.wake()

    async def take(self, number: int) -> Any:
        """The next message for attempt *number*.

        Raises:
            StopAsyncIteration: there is none any more, or the attempt is over.
            BaseException: what the application's iterator raised.
        """
        buffer = self._buffer
        while self._number == number:
            if self._sent < buffer.end:
                found = buffer.at(self._sent)
                self._sent += 1
                if not buffer.retains:
                    buffer.trim(self._sent)
                self._signal.wake()
                return found
            if self._error is not None:
                raise self._error
            if self._ended:
                break
            self._wanted = True
            self._signal.wake()
            await self._signal.wait()
        raise StopAsyncIteration


class _Reading:
    """One attempt's iterator. Read by one task at a time."""

    __slots__ = ("_feed", "_number")

    def __init__(self, feed: Iterated, number: int) -> None:
        self._feed = feed
        self._number = number

    def __aiter__(self) -> _Reading:
        return self

    async def __anext__(self) -> Any:
        return await self._feed.take(self._number)
