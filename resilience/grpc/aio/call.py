"""Asyncio calls with one answer: awaited once, read from the attempt that counts."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from resilience.core.event import AttemptDone
from resilience.core.outcome import OK, Outcome
from resilience.grpc.extract import EMPTY
from resilience.grpc.fallback import aanswer

from .across import AcrossAttempts
from .outer import OuterCall
from .requests import StreamRequests


if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_END: Any = getattr(grpc.aio, "EOF", None)
"""What a native call's task yields in place of a response, when there is none."""
UNREADABLE = Outcome("INTERNAL", "local", "yes", message="OK without a message")
"""grpcio's asyncio calls swallow what a deserializer raises and answer None: this may
be the caller's own fault, so it is never repeated."""
NO_ANSWER: Any = object()
"""What `deserializer` makes of the message of a call that ended well without one."""


def deserializer(given: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    """*given*, which tells a message that is missing from one it cannot read."""

    def deserialize(data: Any) -> Any:
        if data is not None:
            return data if given is None else given(data)
        made = None
        if given is not None:
            with contextlib.suppress(Exception):
                made = given(None)
        return NO_ANSWER if made is None else made

    return deserialize


class UnaryResponse(OuterCall):
    """A call that is awaited for one answer. Owned by one event loop."""

    asked: Any = None
    """The request message, for a fallback; None: there is none, or it is streamed."""
    _response: Any = None
    _answering: asyncio.Task[Any] | None = None
    _reading: asyncio.Future[Any] | None = None

    def _attend(self, native: Any) -> None:
        response = getattr(native, "_call_response", None)
        if isinstance(response, asyncio.Future):
            # No task of ours for a healthy call, nor another turn of the loop: who
            # awaits the call waits for grpcio's task, and this callback runs before.
            response.add_done_callback(self._native_done)
            self._reading = response
        else:
            self._reader = self._calls.loop.create_task(self._read(native))

    async def _read(self, native: Any) -> None:
        try:
            response = await native
        except asyncio.CancelledError:
            self._attempt_closed()
        except Exception as error:  # noqa: BLE001 - classified; raised again at the end
            self._attempt_failed(error)
        else:
            self._attempt_answered(response)

    def _read_on(self, reading: asyncio.Future[Any]) -> None:
        """Whoever awaited it awaits no more, for whatever reason."""
        if reading.done():
            self._native_done(reading)
        else:
            self._reading = reading
            reading.add_done_callback(self._native_done)

    def _native_done(self, done: asyncio.Future[Any]) -> None:
        """The native call's task has ended, so it is read without waiting."""
        self._reading = None
        if not done.cancelled() and done.exception() is None:
            response = done.result()
            if response is not _END:
                self._attempt_answered(response)
                return
        reading = self.native.__await__()
        try:
            reading.send(None)
        except StopIteration as answer:
            self._attempt_answered(answer.value)
        except asyncio.CancelledError:
            self._attempt_closed()
        except Exception as error:  # noqa: BLE001 - classified; raised again at the end
            self._attempt_failed(error)
        else:
            reading.close()
            self._reader = self._calls.loop.create_task(self._read(self.native))

    def _attempt_answered(self, response: Any) -> None:
        if response is None or response is NO_ANSWER:
            self._done(UNREADABLE if response is None else EMPTY)
            return
        self._response = response
        if self._driver is not None or self._ended:
            self._done(OK)
            return
        engine = self._sending.route.engine
        step = self._call.advance(AttemptDone(1, OK), engine.now())
        if step.records:
            engine.emit(step.records)
        self._end()

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the response.

        Raises:
            grpc.aio.AioRpcError: the native error, or `AioGrpcRejected`.
            asyncio.CancelledError: the call was cancelled.
        """
        while not self._ended:
            reading, self._reading = self._reading, None
            waited: asyncio.Future[Any]
            if reading is None or reading.done():  # done: its callback is yet to run
                reading, waited = None, self._end_of_call()
            else:
                # Who awaits reads the native call too: no turn of the loop in between.
                reading.remove_done_callback(self._native_done)
                waited = reading
            try:
                yield from waited
            except asyncio.CancelledError:
                self.cancel()
                raise
            except Exception:  # noqa: BLE001, S110 - an attempt's: the driver has it
                pass
            finally:
                if reading is not None and not self._ended:
                    self._read_on(reading)
        if self._locally_cancelled:
            raise asyncio.CancelledError
        if self.error is not None:
            if not self._sending.binding.policy.fallback:
                raise self.error
            return (yield from self._fall_back(self.error).__await__())
        return self._response

    def _fall_back(self, error: Exception) -> asyncio.Task[Any]:
        """The fallback's answer: asked for once, however often the call is awaited."""
        if self._answering is None:
            work = aanswer(self._sending, self._call, error, self.asked)
            self._answering = self._calls.loop.create_task(work)
        return self._answering


class UnaryUnaryCall(UnaryResponse, grpc.aio.UnaryUnaryCall):
    """A protected call, as grpcio's own in every method. Owned by one event loop."""


class StreamUnaryCall(
    StreamRequests, AcrossAttempts, UnaryResponse, grpc.aio.StreamUnaryCall
):
    """The same with streamed requests."""

    def _attempt_failed(self, error: Exception) -> None:
        seen = self._seen
        if seen is not None and seen[0] == self.number:
            if seen[1].is_local:
                self._attempt_closed()
                return
            if seen[1].code is not grpc.StatusCode.OK:
                error = seen[1].error()
        super()._attempt_failed(error)
