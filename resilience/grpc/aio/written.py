"""Attempts that are written to, on plain channels: a message goes straight in.

Whoever has a message writes it into the attempt that had all before it, in the same
task, as with native calls. A later attempt is written what was kept first.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import grpc

from .feed import KeptFeed


_LOGGER = logging.getLogger(__name__)


class Written(KeptFeed):
    """The requests of one call on a plain channel. Owned by one event loop."""

    _direct: Any = None
    """The native call that was written everything up to now; None: none was."""
    _replayer: asyncio.Task[None] | None = None

    def attempt(self, number: int) -> Any:
        """Begin anew; the attempt has no iterator."""
        self._direct = None
        return super().attempt(number)

    def attend(self, native: Any, number: int) -> None:
        """Write what was kept, before anything else."""
        replay = self._replay(native, number)
        self._replayer = asyncio.get_running_loop().create_task(replay)
        self._start_pump()

    def attempt_over(self, number: int) -> None:
        """Attempt *number* has ended: nothing is written into it any more."""
        if number == self._number:
            self._leave()
        super().attempt_over(number)

    def end(self, *, cancelled: bool) -> None:
        """The call is over."""
        self._leave()
        super().end(cancelled=cancelled)

    def _leave(self) -> None:
        self._direct = None
        replayer, self._replayer = self._replayer, None
        if replayer is not None:
            replayer.cancel()

    async def _send(self, message: Any) -> None:
        native, buffer = self._direct, self._buffer
        if not buffer.retains and native is not None:
            await native.write(message)
            return
        if type(message) is not bytes:  # which do not change
            message = self._hold(message)
        position = self._keep(message)
        native, number = self._direct, self._number
        if native is not None:
            try:
                await native.write(message)
            except BaseException as error:
                if not self._is_repeated(error, number, position):
                    raise
            else:
                if self._number == number:
                    self._sent = position + 1
                    if not buffer.retains:
                        buffer.trim(self._sent)
                return
        await self._until_sent(position)
        if self.call.done():
            self.call.raise_end()

    def _is_repeated(self, error: BaseException, number: int, position: int) -> bool:
        """A write into attempt *number* raised: will another attempt take it?"""
        if isinstance(error, (grpc.RpcError, asyncio.InvalidStateError)):
            return self._buffer.retains
        if isinstance(error, asyncio.CancelledError):
            # Of the attempt, by us; or of whoever writes.
            task = asyncio.current_task()
            return self._number != number and not (task and task.cancelling())
        if self._buffer.end == position + 1:  # no message of this method
            self._buffer.take_back()
        return False

    async def done_writing(self) -> None:
        """Half-close the attempt, and each that follows."""
        if self.call.done() or self._ended:
            return
        self._ended = True
        native = self._direct
        if native is not None:
            try:
                await native.done_writing()
            except Exception:  # what fails there is the attempt, which says so itself
                if not self._buffer.retains:
                    raise

    async def _replay(self, native: Any, number: int) -> None:
        """Write what was kept into attempt *number*, until it has everything.

        First of all it waits for the connection: a write into a native call that is
        cancelled before that would wait for ever.
        """
        buffer = self._buffer
        try:
            await native.wait_for_connection()
            while self._number == number:
                if self._sent < buffer.end:
                    await self._write_again(native, number)
                    continue
                self._direct = native
                self._signal.wake()
                if self._ended:
                    await native.done_writing()
                return
        except asyncio.CancelledError:
            return
        except Exception:
            # The attempt takes no more: its end is heard of elsewhere.
            _LOGGER.debug("attempt %d was cut off", number, exc_info=True)

    async def _write_again(self, native: Any, number: int) -> None:
        buffer, position = self._buffer, self._sent
        try:
            await native.write(buffer.at(position))
        except (grpc.RpcError, asyncio.InvalidStateError):
            raise
        except Exception as error:
            if self._number != number or buffer.end != position + 1:
                raise
            buffer.take_back()  # no message of this method: whoever wrote it hears
            self._refused = (position, error)
            self._signal.wake()
            return
        if self._number == number:
            self._sent += 1
            if not buffer.retains:
                buffer.trim(self._sent)
            self._signal.wake()
