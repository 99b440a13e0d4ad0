"""One awaited call under way: the blocking flight, whose waits suspend the task.

Everything that decides is inherited; this file awaits what the other blocks on, and
says what is known when the deadline comes while something else is awaited. Owned by
one task.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from resilience.botocore.emitter import Handler
from resilience.botocore.flight import Flight
from resilience.botocore.response import is_hop
from resilience.botocore.verify import Finding, Steps, arun
from resilience.botocore.worker import GRACE_S
from resilience.core.outcome import Outcome
from resilience.drivers.waiting import pause

from .cuts import NEVER, Cuts
from .outcomes import corrected, readable


class AioFlight(Flight):
    """One call from its arrival to its end. Owned by one task."""

    # Most calls never set these: a default costs them nothing.
    has_connection = True
    """Has the request a connection, so that some of it may have been sent?"""
    transport: Any = None
    """Of that connection, where it is known."""
    cuts: Cuts | None = None
    """What cuts it in time; None: whoever awaits something for it does."""
    is_cut = False
    """Was its task cancelled because its own time, not an attempt's, has passed?"""
    is_attempt_cut = False
    """Was its task cancelled because the time of the attempt under way has passed?"""
    task: asyncio.Task[Any] | None = None
    """That is cancelled then."""
    _ends_at = NEVER
    _has_limit = False
    _asked_before = 0

    # -- cut in time -----------------------------------------------------------------

    def bound(self, cuts: Cuts, task: asyncio.Task[Any]) -> None:
        """From here on *cuts* may cancel *task*, which makes the call."""
        self.cuts, self.task = cuts, task
        self._asked_before = task.cancelling()
        end, deadline = NEVER, self._call.deadline_at
        if deadline is not None:
            left = deadline - self.limit.now()
            self._ends_at = end = cuts.loop.time() + max(0.0, left) + GRACE_S
            if end < cuts.rings_at:
                cuts.ring_at(end)
        cuts.ends[self] = end

    def bound_attempt(self, cuts: Cuts, left: float) -> None:
        """An attempt begins that is to end in *left* seconds."""
        self._has_limit = True
        cuts.ends[self] = end = cuts.loop.time() + left
        if end < cuts.rings_at:
            cuts.ring_at(end)

    def unbound_attempt(self, cuts: Cuts, error: BaseException | None) -> bool:
        """It has ended in *error*; is that its cancellation, for its time was over?"""
        self._has_limit = False
        cuts.ends[self] = end = self._ends_at
        if end < cuts.rings_at:
            cuts.ring_at(end)
        if not self.is_attempt_cut:
            return False
        self.is_attempt_cut = False
        return self._is_ours(error)

    def cut(self) -> float:
        """Cancel the task, for the time has come; when to ask again."""
        task, end = self.task, NEVER
        if self._has_limit and not self.is_attempt_cut:
            self.is_attempt_cut, end = True, self._ends_at
        elif self.is_cut:
            return end
        else:
            self.is_cut = True
        if task is not None:
            task.cancel()
        return end

    def is_ended_by_cut(self, error: BaseException | None) -> bool:
        """Is *error*, which ended the call, its cancellation, for its time was over?"""
        if not self.is_cut:
            return False
        self.is_cut = False
        return self._is_ours(error)

    def _is_ours(self, error: BaseException | None) -> bool:
        """Take a cancellation back; has nobody else asked for one?"""
        task = self.task
        is_alone = task is None or task.uncancel() <= self._asked_before
        # Some code turns one into an error of its own.
        is_cancelled = isinstance(error, asyncio.CancelledError) and is_alone
        return is_cancelled or isinstance(error, TimeoutError)

    # -- from aiobotocore's events ---------------------------------------------------

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
