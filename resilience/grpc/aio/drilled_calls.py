"""Asyncio attempts that a fault hits, as call objects of the native kind.

A task takes the attempt through its fault; whoever awaits the attempt, reads it or
writes to it waits for what that task lets through. Owned by one event loop.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from resilience.drilling.driving import adrive
from resilience.drilling.seam import answered
from resilience.grpc.drilled_calls import CUT_S
from resilience.grpc.drilled_status import CANCELLED, Status, status_of


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator

    from resilience.core.target import Target
    from resilience.drilling.flow import End, Send
    from resilience.drilling.model import Fault
    from resilience.drilling.seam import Seam

EOF: Any = getattr(grpc.aio, "EOF", None)
_LOGGER = logging.getLogger("resilience.drill")
_FINISHED = "RPC already finished."
"""grpcio's own words."""


class DrilledCall:
    """One attempt that a fault hits. Owned by one event loop."""

    streams = False
    _channel: Any = None
    """Older grpcio channels, when closed, ask each call in a task's frame whether it is
    theirs."""

    def __init__(
        self,
        seam: Seam,
        target: Target,
        fault: Fault,
        timeout: float | None,
        start: Callable[[float | None], Any],
    ) -> None:
        """Begin it.

        Args:
            seam: the drill.
            target: where the attempt goes.
            fault: what hits it.
            timeout: the attempt's own, in seconds.
            start: starts the native call, with what is left of it.
        """
        self._seam = seam
        self._target = target
        self._fault = fault
        self._start = start
        self._native: Any = None
        self._error: Exception | None = None
        self._status: Status | None = None
        self._is_cancelled = False
        self._over = asyncio.Event()
        self._begun = asyncio.Event()
        """Is there a native call, or will there be none?"""
        self._callbacks: list[Callable[[Any], None]] = []
        loop = asyncio.get_running_loop()
        self._ends_at = None if timeout is None else loop.time() + timeout
        self._work = loop.create_task(self._run(timeout))
        self._work.add_done_callback(self._worked)

    # -- the fault -----------------------------------------------------------------

    async def _run(self, timeout: float | None) -> None:  # noqa: ASYNC109 - the call's
        flow = self._seam.flow(self._fault, timeout, streams=self.streams)
        try:
            end = await adrive(self._seam, flow, self._send)
        except asyncio.CancelledError:
            end = "native"
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            self._error, end = error, "native"
        self._settle(end)

    def _worked(self, work: asyncio.Task[None]) -> None:
        if work.cancelled():  # before it took a step
            self._settle("native")

    def _settle(self, end: End) -> None:
        if self._is_cancelled or (self._native is None and end == "native"):
            self._status = CANCELLED if self._error is None else None
            self._is_cancelled = self._error is None
        elif end != "native":
            self._status = status_of(self._seam, self._fault, end)
        self._open()
        self._finish()

    def _open(self) -> None:
        """Whoever reads may go on: the end is known."""

    async def _send(self, command: Send) -> bool:
        native = await self._begin(command)
        if command.is_cut:
            await asyncio.sleep(CUT_S)
            native.cancel()
        return await self._is_well(native)

    async def _begin(self, command: Send) -> Any:
        native = self._start(command.timeout_s)
        if inspect.iscoroutine(native):  # an interceptor's continuation
            native = await native
        self._native = native
        self._begun.set()
        return native

    async def _is_well(self, native: Any) -> bool:
        try:
            well = await native.code() is grpc.StatusCode.OK
        except asyncio.CancelledError:
            native.cancel()
            raise
        if well:
            answered(self._target)
        return bool(well)

    def _finish(self) -> None:
        if self._over.is_set():
            return
        self._over.set()
        self._begun.set()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback(self)
            except Exception:  # a callback must not end the task
                _LOGGER.exception("a done callback of a call raised")

    # -- what grpc.aio's call objects have -----------------------------------------

    def cancel(self) -> bool:
        """Cancel the attempt, or its wait; False: it had ended."""
        if self._over.is_set() or self._is_cancelled:
            return False
        self._is_cancelled = True
        if self._native is not None:
            self._native.cancel()
        self._work.cancel()
        return True

    def cancelled(self) -> bool:
        """Was it cancelled on this side?"""
        return self._is_cancelled

    def done(self) -> bool:
        """Has it ended?"""
        return self._over.is_set()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Have *callback* called with this object at the end; now, if that passed."""
        if self._over.is_set():
            callback(self)
        else:
            self._callbacks.append(callback)

    def time_remaining(self) -> float | None:
        """Seconds to its deadline; None: it has none."""
        if self._ends_at is None:
            return None
        return max(0.0, self._ends_at - asyncio.get_running_loop().time())

    async def initial_metadata(self) -> Any:
        """Wait for the server's headers; empty where none came."""
        return await self._tell("initial_metadata", grpc.aio.Metadata())

    async def trailing_metadata(self) -> Any:
        """Wait for the trailing metadata."""
        await self._over.wait()
        given = () if self._status is None else self._status.trailing
        return await self._tell("trailing_metadata", grpc.aio.Metadata(*given))

    async def code(self) -> Any:
        """Wait for the status code."""
        await self._over.wait()
        status = self._status
        otherwise = grpc.StatusCode.INTERNAL if status is None else status.code
        return await self._tell("code", otherwise)

    async def details(self) -> Any:
        """Wait for the status details."""
        await self._over.wait()
        status = self._status
        otherwise = str(self._error) if status is None else status.details
        return await self._tell("details", otherwise)

    async def debug_error_string(self) -> Any:
        """Wait for C-core's text about the status."""
        await self._over.wait()
        status = self._status
        text = None if status is None or status is CANCELLED else status.debug_text
        return await self._tell("debug_error_string", text)

    async def wait_for_connection(self) -> None:
        """Wait until the attempt is on its way, or raise as it does."""
        await self._begun.wait()
        if self._native is None:
            self._raise()
        else:
            await self._native.wait_for_connection()

    async def write(self, request: Any) -> None:
        """Send *request*, once the fault has let the attempt go.

        Raises:
            asyncio.InvalidStateError: it has ended.
        """
        await self._begun.wait()
        if self._native is None or self._over.is_set():
            raise asyncio.InvalidStateError(_FINISHED)
        await self._native.write(request)

    async def done_writing(self) -> None:
        """Say that there will be no more messages."""
        await self._begun.wait()
        if self._native is not None and not self._over.is_set():
            await self._native.done_writing()

    @property
    def _done_writing_flag(self) -> bool:
        return bool(getattr(self._native, "_done_writing_flag", False))

    async def _tell(self, name: str, otherwise: Any) -> Any:
        await self._over.wait()
        if self._status is not None or self._native is None:
            return otherwise
        return await getattr(self._native, name)()

    def _raise(self) -> None:
        """Raise what the attempt ended with, if it is not the native end."""
        if self._error is not None:
            raise self._error
        status = self._status
        if status is CANCELLED:
            raise asyncio.CancelledError
        if status is not None:
            raise grpc.aio.AioRpcError(
                status.code,
                grpc.aio.Metadata(),
                grpc.aio.Metadata(*status.trailing),
                status.details,
                status.debug_text,
            )


class DrilledUnaryUnary(DrilledCall, grpc.aio.UnaryUnaryCall):
    """One with a single answer."""

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the answer.

        Raises:
            grpc.aio.AioRpcError: the native error, or the fault's.
            asyncio.CancelledError: it was cancelled.
        """
        try:
            yield from self._over.wait().__await__()
        except asyncio.CancelledError:
            self.cancel()
            raise
        self._raise()
        return (yield from self._native.__await__())


class DrilledStreamUnary(DrilledUnaryUnary, grpc.aio.StreamUnaryCall):
    """The same with streamed requests."""


class DrilledUnaryStream(DrilledCall, grpc.aio.UnaryStreamCall):
    """One with a streamed answer: kept back, ended, or cut midway."""

    streams = True
    _seen = 0
    _is_cut = False
    _messages: AsyncIterator[Any] | None = None

    def __init__(self, *args: Any) -> None:
        self._opened = asyncio.Event()
        """May the native stream be read, or is it over?"""
        super().__init__(*args)

    async def _send(self, command: Send) -> bool:
        native = await self._begin(command)
        if self._fault.kind in ("cut", "delay"):
            return True
        try:
            while await native.read() is not EOF:
                pass  # the server executes all of it, and nobody reads
        except grpc.RpcError:
            return False
        return await self._is_well(native)

    def _settle(self, end: End) -> None:
        native: Any = self._native
        is_over = self._is_cancelled or self._error is not None
        if native is not None and end in ("native", "cut") and not is_over:
            self._is_cut = end == "cut"
            native.add_done_callback(self._native_over)
        else:
            super()._settle(end)
        self._open()

    def _open(self) -> None:
        self._opened.set()

    def _native_over(self, native: Any) -> None:
        self._watch = asyncio.get_running_loop().create_task(self._close(native))

    async def _close(self, native: Any) -> None:
        well = await native.code() is grpc.StatusCode.OK
        if well and self._is_cut:
            return  # it came whole before it was read: the reader cuts it
        if well:
            answered(self._target)
        self._finish()

    async def read(self) -> Any:
        """Wait for the next message; `grpc.aio.EOF`: there is none any more.

        Raises:
            grpc.aio.AioRpcError: how the attempt ended.
            asyncio.CancelledError: it was cancelled.
        """
        await self._opened.wait()
        if self._status is not None or self._error is not None:
            self._raise()
        if self._is_cut and self._seen >= self._fault.messages:
            self._status = status_of(self._seam, self._fault, "cut")
            self._finish()
            self._native.cancel()
            self._raise()
        message = await self._native.read()
        if message is EOF:
            self._is_cut = False
            await self._close(self._native)
        else:
            self._seen += 1
        return message

    def __aiter__(self) -> AsyncIterator[Any]:
        """The messages; always the same iterator."""
        if self._messages is None:
            self._messages = self._iterate()
        return self._messages

    async def _iterate(self) -> AsyncIterator[Any]:
        while (message := await self.read()) is not EOF:
            yield message


class DrilledStreamStream(DrilledUnaryStream, grpc.aio.StreamStreamCall):
    """The same with streamed requests."""
