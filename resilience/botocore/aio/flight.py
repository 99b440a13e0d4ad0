"""One awaited call under way: the blocking flight, whose waits suspend the task.

Everything that decides is inherited; this file awaits what the other blocks on, and
says what is known when the deadline comes while something else is awaited. Owned by
one task.
"""

import asyncio
from collections.abc import Mapping, MutableMapping
from typing import Any

from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from resilience.botocore.emitter import Handler
from resilience.botocore.flight import Flight
from resilience.botocore.response import is_hop
from resilience.botocore.verify import Finding, Steps, arun
from resilience.core.outcome import Outcome
from resilience.drivers.waiting import pause

from .outcomes import CHECKSUM, corrected, readable


class AioFlight(Flight):
    """One call from its arrival to its end. Owned by one task."""

    __slots__ = ("_on_wire", "has_connection", "transport")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._on_wire = False
        self.has_connection = True
        """Has the request a connection, so that some of it may have been sent?"""
        self.transport: Any = None
        """Of that connection, where it is known."""
        super().__init__(*args, **kwargs)

    async def arrived(self) -> None:
        """Ask for the first attempt.

        Raises:
            BotocoreRejected: refused; nothing was sent.
        """
        await self._arrive(self._loop.arrive())

    def before_send(self, context: MutableMapping[str, Any]) -> None:
        """As a blocking flight does."""
        super().before_send(context)
        self._on_wire = True

    def is_well(self, event: Mapping[str, Any]) -> bool:
        """Is it an answer that asks for nothing, seen without waiting?"""
        response = event.get("response")
        if response is None or not self.owns_retries:
            return False
        try:
            http = response[0]
            if http.status_code >= 300 or CHECKSUM in http.headers:
                return False
            is_well = super()._outcome_of(event) is None
        except (AttributeError, LookupError, TypeError):  # of another shape
            return False
        self._on_wire = not is_well
        return is_well

    async def asked(self, native: Handler | None, event: dict[str, Any]) -> Any:
        """Answer `needs-retry`: a number to try again, None to leave it to others."""
        self._on_wire = False
        seen: Any = await readable(event)
        if self.owns_retries:
            outcome = self._outcome_of(seen)
            if outcome is None or is_hop(event):
                return None
            return await self._decide(outcome, seen)
        answer = await answer_of(native, event)
        if self.lookout is None and (answer is None or answer is False):
            return answer
        return await self._weigh(answer, seen)

    def timed_out(self, url: str, error: Exception) -> Exception:
        """The error of a request to *url* whose time passed while it was under way."""
        self.limit.cut = True
        if self.transport is not None:
            # Closing it would wait for a peer that does not read.
            self.transport.abort()
        kind = ReadTimeoutError if self.has_connection else ConnectTimeoutError
        made: Exception = kind(endpoint_url=url, error=error)
        return made

    def late(self) -> Exception:
        """The error of a call whose deadline passed while something was awaited.

        It is the last real one, when the call was about to try again.
        """
        if self._on_wire:
            passed = TimeoutError("the deadline passed")
            return self.timed_out(self.guard.endpoint_url, passed)
        return self.last_error() or self.refused(
            "the deadline passed while the request was made ready (credentials, "
            "signing, handlers)"
        )

    def _outcome_of(self, event: Mapping[str, Any]) -> Outcome | None:
        found = super()._outcome_of(event)
        error = event["caught_exception"]
        return None if found is None else corrected(found, error)

    def _outcome_from(self, error: Exception) -> Outcome:
        return corrected(super()._outcome_from(error), error)

    async def _look(self, steps: Steps) -> Finding:
        deadline = self._call.deadline_at
        guard: Any = self.guard

        async def read(name: str, params: dict[str, Any]) -> Any:
            return await guard.aread(name, params, deadline)

        return await arun(steps, read)

    async def _pause(self, seconds: float) -> None:
        engine, waiter = self._bound.engine, self._call.waiter
        if waiter is None:
            await engine.asleep(seconds)
        else:
            await pause(waiter, seconds, engine)

    async def _host_pause(self, seconds: float, event: dict[str, Any]) -> None:
        sleep = getattr(event["endpoint"], "_sleep", asyncio.sleep)
        await sleep(seconds)


async def answer_of(native: Handler | None, event: Mapping[str, Any]) -> Any:
    """What a native handler answers, which may be a coroutine's."""
    found: Any = None if native is None else native(**event)
    return await found if hasattr(found, "__await__") else found
