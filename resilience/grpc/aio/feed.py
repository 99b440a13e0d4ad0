"""Streamed requests on their way into asyncio attempts.

What the application gives goes into a bounded buffer first and to an attempt then, so
that a message taken for an attempt that has died is not lost. The application's own
iterator is read by one task from its first message to its last, whatever becomes of
attempts: what it holds open (timeouts, cancel scopes, responses) belongs to that task.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any

import grpc.aio

from resilience.grpc.buffer import Buffer
from resilience.grpc.held import size_of

from .changes import Signal


if TYPE_CHECKING:
    from collections.abc import Callable

    from resilience.core.policy import CallPolicy

    from .across import AcrossAttempts

_LOGGER = logging.getLogger(__name__)
FINISHED = "RPC already finished."
HALF_CLOSED = 'RPC is half closed after calling "done_writing".'
"""grpcio's own words, both."""


class Feed:
    """The requests of one call that cannot be repeated: attempts get what was given.

    Owned by one event loop.
    """

    def __init__(self, source: Any) -> None:
        """Make the feed of one call.

        Args:
            source: the application's iterator; None: it writes.
        """
        self.source = source
        self.call: AcrossAttempts
        """Whose requests these are; set by who makes both."""

    def attempt(self, number: int) -> Any:
        """What attempt *number* is given for its requests."""
        return self.source

    def attend(self, native: Any, number: int) -> None:
        """Attempt *number* is under way as *native*."""

    def attempt_over(self, number: int) -> None:
        """Attempt *number* has ended."""

    def release(self) -> None:
        """There will be no other attempt: keep nothing that is sent."""

    def end(self, *, cancelled: bool) -> None:
        """The call is over."""

    @property
    def has_ended(self) -> bool:
        """Will there be no more messages?"""
        return bool(getattr(self.call.native, "_done_writing_flag", False))

    async def write(self, message: Any) -> None:
        """Send *message*; as a native call's `write` in all else."""
        native = await self._native()
        await native.write(message)

    async def done_writing(self) -> None:
        """There will be no more messages."""
        if not self.call.done():
            await (await self._native()).done_writing()

    async def _native(self) -> Any:
        native = self.call.native
        if native is None:  # it waits for its first attempt
            native = await self.call.attempt_after(0)
        if native is None:
            raise asyncio.InvalidStateError(FINISHED)
        return native


class KeptFeed(Feed):
    """What both kinds of feeds share whose requests can be sent again."""

    def __init__(
        self, source: Any, policy: CallPolicy, hold: Callable[[Any], Any]
    ) -> None:
        super().__init__(source)
        self._hold = hold
        self._buffer = Buffer(
            size_of, policy.retry_buffer_bytes, policy.retry_buffer_messages
        )
        self._signal = Signal(asyncio.get_running_loop())
        self._number = 0
        """Of the attempt that is fed; 0: none is."""
        self._sent = 0
        """Up to which position that attempt was fed."""
        self._ended = False
        """Were all messages given?"""
        self._is_over = False
        """Is the call?"""
        self._refused: tuple[int, Exception] | None = None
        """A position, and why what stood there cannot be sent."""
        self._pump: asyncio.Task[None] | None = None
        self._has_read = False
        """Did it come to its end?"""
        self._handle: Any = None
        """What the application holds of the call, held for it."""

    @property
    def has_ended(self) -> bool:
        """Will there be no more messages?"""
        return self._ended

    def attempt(self, number: int) -> Any:
        """Begin anew, for attempt *number*."""
        self._number = number
        self._sent = 0
        if self._buffer.retains and self._buffer.is_full:
            # By what came since the attempt before was over: this is the last.
            self.call.committed(number)
            self._buffer.retains = False
        return None

    def attempt_over(self, number: int) -> None:
        """Attempt *number* has ended: nothing is sent into it any more."""
        if number == self._number:
            self._number = 0
            self._stop_holding()
            self._signal.wake()

    def release(self) -> None:
        """There will be no other attempt: keep nothing that is sent."""
        self._buffer.retains = False
        self._buffer.trim(self._sent)

    def end(self, *, cancelled: bool) -> None:
        """The call is over: nobody waits, nothing is kept."""
        self._number = 0
        self._stop_holding()
        self._is_over = True
        self._buffer.clear()
        if cancelled and self._pump is not None:
            self._pump.cancel()
        self._signal.wake()

    async def write(self, message: Any) -> None:
        """Send *message*; as a native call's `write` in all else.

        Returns when the attempt that counts has taken it; it may be sent again.
        """
        if self.call.done():
            self._refuse()
        if self._ended:
            raise asyncio.InvalidStateError(HALF_CLOSED)
        await self._send(message)

    def _refuse(self) -> None:
        raise asyncio.InvalidStateError(FINISHED)

    async def _send(self, message: Any) -> None:
        raise NotImplementedError

    async def done_writing(self) -> None:
        """There will be no more messages."""
        raise NotImplementedError

    def _keep(self, message: Any) -> int:
        """Keep *message*; returns its position."""
        buffer = self._buffer
        position = buffer.append(message)
        if buffer.is_full and buffer.retains:
            number = self._number
            if number and self.call.commit(number, answered=False):
                self.release()
        return position

    async def _until_sent(self, position: int) -> None:
        """Wait until an attempt has taken what stands at *position*, or the end.

        Raises:
            Exception: it is no message of this method; what the serializer raised.
        """
        try:
            while self._sent <= position or not self._number:
                if self._refused is not None and self._refused[0] == position:
                    error, self._refused = self._refused[1], None
                    raise error
                if self.call.done():
                    return
                await self._signal.wait()
        except asyncio.CancelledError:
            self.call.cancel()  # as native writes do
            raise

    def _start_pump(self) -> None:
        if self.source is None or self._has_read:
            return
        # As with native calls, who gives an iterator need not keep the call: it goes
        # on while its attempt is fed.
        self._handle = self.call.handle()
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._read())

    def _stop_holding(self) -> None:
        self._handle = None

    async def _read(self) -> None:
        """Read the application's iterator to its end, or the call's."""
        try:
            if isinstance(self.source, AsyncIterable):
                async for message in self.source:
                    if self._is_over:
                        return
                    await self._send(message)
            else:
                for message in self.source:
                    if self._is_over:
                        return
                    await self._send(message)
            await self.done_writing()
        except grpc.aio.AioRpcError:
            return  # the call has failed, and says so itself
        except BaseException:
            _LOGGER.debug("a request iterator raised", exc_info=True)
            self.call.cancel()
        finally:
            self._has_read = True
            self._stop_holding()
