"""What callers hold of an asyncio call with a streamed answer.

It is an object of its own: as with native calls, dropping it cancels the call.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from .flight import EOF, StreamFlight


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_STYLES = "The iterator and read/write APIs may not be mixed on a single RPC."
"""grpcio's own words."""


async def _read(native: Any) -> Any:
    return await native.read()


async def _next(native: Any) -> Any:
    return await anext(aiter(native), EOF)


class StreamResponse:
    """The handle of a call with a streamed answer. Owned by one event loop."""

    _messages: AsyncIterator[Any] | None = None
    _reads = False
    _channel: Any = None
    """As for other calls of ours: see `OuterCall`."""

    def __init__(self, flight: StreamFlight) -> None:
        self._flight = flight
        flight.holder = weakref.ref(self)

    def __del__(self) -> None:
        flight = self._flight
        if not flight.done():
            flight.abandon()

    async def entered(self) -> None:
        """Wait until the first attempt's interceptors have let it go."""
        await self._flight.entered()

    # -- messages ------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[Any]:
        """The messages; always the same iterator.

        Raises:
            grpc.aio.UsageError: `read` was called.
        """
        if self._reads:
            raise grpc.aio.UsageError(_STYLES)
        if self._messages is None:
            self._messages = self._iterate()
        return self._messages

    async def _iterate(self) -> AsyncIterator[Any]:
        flight = self._flight
        message = await flight.first(_next)
        if message is EOF:
            return
        yield message
        task = asyncio.current_task()
        cancels = 0 if task is None else task.cancelling()
        try:
            if flight.watch is None:
                async for message in flight.stream:
                    yield message
                return
            while (message := await self._watched(_next)) is not EOF:
                yield message
        except (grpc.RpcError, asyncio.CancelledError):
            await flight.read_ended(cancels)
            raise

    async def read(self) -> Any:
        """Wait for the next message; `grpc.aio.EOF`: there is none any more.

        Raises:
            grpc.aio.AioRpcError: how the call ended, or `AioGrpcRejected`.
            asyncio.CancelledError: it was cancelled.
            grpc.aio.UsageError: the call is iterated over.
        """
        flight = self._flight
        if flight.done():
            flight.raise_end()
        elif self._messages is not None:
            raise grpc.aio.UsageError(_STYLES)
        else:
            self._reads = True
        if flight.stream is None:
            return await flight.first(_read)
        task = asyncio.current_task()
        cancels = 0 if task is None else task.cancelling()
        try:
            if flight.watch is not None:
                return await self._watched(_read)
            return await flight.stream.read()
        except (grpc.RpcError, asyncio.CancelledError):
            await flight.read_ended(cancels)
            raise

    async def _watched(self, take: Callable[[Any], Any]) -> Any:
        watch = self._flight.watch
        assert watch is not None  # noqa: S101 - told to the type checker
        watch.begin()
        try:
            return await take(self._flight.stream)
        finally:
            watch.end()

    # -- the call ------------------------------------------------------------------

    def cancel(self) -> bool:
        """Cancel the call, in an attempt or between two; False: it had ended."""
        return self._flight.cancel()

    def cancelled(self) -> bool:
        """Was it cancelled on this side?"""
        return self._flight.cancelled()

    def done(self) -> bool:
        """Has it ended?"""
        return self._flight.done()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Have *callback* called with this object at the end; now, if that passed."""
        self._flight.add_done_callback(lambda _: callback(self))

    def time_remaining(self) -> float | None:
        """Seconds to the call's deadline, not the attempt's; None: it has none."""
        return self._flight.time_remaining()

    async def initial_metadata(self) -> Any:
        """Wait for the server's headers; some that are there commit the call."""
        return await self._flight.initial_metadata()

    async def trailing_metadata(self) -> Any:
        """Wait for the trailing metadata."""
        return await self._flight.trailing_metadata()

    async def code(self) -> grpc.StatusCode:
        """Wait for the status code."""
        return await self._flight.code()

    async def details(self) -> str:
        """Wait for the status details."""
        return await self._flight.details()

    async def debug_error_string(self) -> str | None:
        """Wait for C-core's text about the status; None: there is none."""
        return await self._flight.debug_error_string()

    async def wait_for_connection(self) -> None:
        """Wait until an attempt is on its way, or raise as the call does."""
        await self._flight.wait_for_connection()

    def __repr__(self) -> str:
        return repr(self._flight)


class UnaryStreamCall(StreamResponse, grpc.aio.UnaryStreamCall):
    """A protected call with one request, as grpcio's own in every method."""


class StreamStreamCall(StreamResponse, grpc.aio.StreamStreamCall):
    """The same with streamed requests."""

    async def write(self, request: Any) -> None:
        """Send *request*; it may be sent again until the call is committed.

        Raises:
            grpc.aio.UsageError: the call was given an iterator.
            asyncio.InvalidStateError: it has ended, or `done_writing` was called.
        """
        await self._flight.write(request)

    async def done_writing(self) -> None:
        """Say that there will be no more messages."""
        await self._flight.done_writing()

    @property
    def _done_writing_flag(self) -> bool:
        return self._flight._done_writing_flag
