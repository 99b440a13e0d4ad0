"""Asyncio unary calls with several attempts under way at once.

Each attempt has a task that reads it; whoever awaits the call waits for its end, and
reads the attempt that counts. An attempt that lost is cancelled on the server, too.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from resilience.core.outcome import OK
from resilience.drivers.callback import CallbackDriver
from resilience.grpc.extract import EMPTY

from .call import NO_ANSWER, UNREADABLE, UnaryUnaryCall
from .ends import is_over
from .outer import CLOSED


if TYPE_CHECKING:
    from resilience.core.call import Call
    from resilience.core.command import Finish, StartAttempt
    from resilience.core.outcome import Outcome
    from resilience.grpc.sending import Sending

    from .calls import Calls


class HedgedUnaryUnaryCall(UnaryUnaryCall):
    """A protected call with rivals. Owned by one event loop."""

    _is_driven = True

    def __init__(self, call: Call, sending: Sending, calls: Calls) -> None:
        super().__init__(call, sending, calls)
        self._natives: dict[int, Any] = {}
        self._errors: dict[int, Exception] = {}
        self._responses: dict[int, Any] = {}
        self._readers: dict[int, asyncio.Task[None]] = {}

    # -- the driver's side -------------------------------------------------------

    def _drive(self) -> CallbackDriver:
        if self._driver is None:
            self._driver = CallbackDriver(
                self._call,
                self._start,
                self._cancel_native,
                self._finish,
                self._calls.waits,
                watches=True,
            )
        return self._driver

    def _start(self, start: StartAttempt) -> None:
        number, sending = start.number, self._sending
        self.number = number
        began = monotonic()
        try:
            native = sending.launch(start)
        except Exception as error:  # noqa: BLE001 - classified; raised again at the end
            self._failed(number, error, sending.limit, began)
            return
        work = self._carry(number, native, sending.limit, began)
        if not isinstance(native, CoroutineType):
            self._natives[number] = native
        self._readers[number] = self._calls.loop.create_task(work)

    async def _carry(
        self, number: int, native: Any, limit: float | None, began: float
    ) -> None:
        try:
            if isinstance(native, CoroutineType):  # an interceptor's continuation
                native = self._natives[number] = await native
                if self._ended:
                    native.cancel()
            response = await native
        except asyncio.CancelledError:
            self._over(number, CLOSED)
        except Exception as error:  # noqa: BLE001 - classified; raised again at the end
            self._failed(number, error, limit, began)
        else:
            self._responses[number] = response
            outcome = OK
            if response is None or response is NO_ANSWER:
                outcome = UNREADABLE if response is None else EMPTY
            self._over(number, outcome)

    def _failed(
        self, number: int, error: Exception, limit: float | None, began: float
    ) -> None:
        self._errors[number] = error
        elapsed_s = monotonic() - began
        self._over(number, self._sending.outcome_within(limit, error, elapsed_s))

    def _over(self, number: int, outcome: Outcome) -> None:
        self._readers.pop(number, None)
        if not self._ended:
            self._drive().done(number, outcome)

    def _cancel_native(self, number: int) -> None:
        native, reader = self._natives.get(number), self._readers.get(number)
        if native is not None and is_over(native):
            return  # it ended by itself; nobody asks any more
        self._stopped = number
        if native is not None:
            native.cancel()
        elif reader is not None:
            reader.cancel()

    def _finish(self, finish: Finish) -> None:
        if not self._ended:
            self.number = number = finish.number
            self.native = self._natives.get(number)
            self.error = self._errors.get(number)
            self._response = self._responses.get(number)
        super()._finish(finish)
        self._natives, self._errors, self._responses = {}, {}, {}

    def is_waiting(self) -> bool:
        """Is it between two attempts?"""
        return not self._ended and all(map(is_over, self._natives.values()))

    def time_remaining(self) -> float | None:
        """Seconds to the call's deadline, not the attempt's; None: it has none."""
        if self._call.deadline_at is None and self._natives and not self._ended:
            left: float | None = next(iter(self._natives.values())).time_remaining()
            return left
        return super().time_remaining()
