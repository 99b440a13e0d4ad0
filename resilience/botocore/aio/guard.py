"""What stands around one aiobotocore client; only what awaits differs from `Guard`."""

import asyncio
from asyncio import CancelledError, current_task, get_running_loop
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from resilience.botocore.emitter import Handler
from resilience.botocore.flight import Flight, current
from resilience.botocore.guard import Guard
from resilience.botocore.transfer import ABORT, CREATE, _payload, tell_lost
from resilience.botocore.verify import parts_of
from resilience.botocore.worker import GRACE_S
from resilience.context import ambient_key, deadline_at

from .body import has_come, protect
from .cuts import Cuts
from .flight import AioFlight, answer_of
from .native import awsrequest
from .sending import install, uninstall
from .uploads import abort_later


Native = Callable[[str, Mapping[str, Any]], Awaitable[Any]]


class AioGuard(Guard):
    """One client's protection. Used by the tasks of one event loop."""

    _cuts: Cuts | None = None

    def _harden(self, client: Any) -> None:
        try:
            self.is_hard = install(client)
        except (AttributeError, TypeError):  # an aiobotocore of another shape
            self.is_hard = False
        if not self.is_hard:
            text = "its endpoint is not aiobotocore's own: attempts are not cut in time"
            self.say("soft-deadlines", text)

    def remove(self) -> None:
        """Give the client back as aiobotocore made it."""
        client = self._client()
        if client is not None and self.is_hard:
            uninstall(client)
        super().remove()

    # -- calls -------------------------------------------------------------------

    async def acall(  # noqa: C901, PLR0912, PLR0915 - flat: each frame costs every call
        self,
        name: str,
        params: Mapping[str, Any],
        native: Native,
        flown: list[Flight] | None = None,
    ) -> Any:
        """Make one call of operation *name* by way of *native*; *flown*: as `call`."""
        engine = self.registration.engine
        if engine is None or self.takeover is None:
            return await self._abare(name, params, native)
        try:
            loop = get_running_loop()
        except RuntimeError:  # aiobotocore with httpx knows other loops, too
            self.say("not-asyncio", "no asyncio loop runs here: calls stay bare")
            return await self._abare(name, params, native)
        if engine.is_controlled:
            engine.look()
        operation = self._operations.get(name) or self._operation(name)
        if operation is None:
            return await self._abare(name, params, native)
        bound = operation.bind(engine, params)
        acts = bound.acts
        if not acts and bound.binding.mode == "bypass":
            return await self._abare(name, params, native)
        recourse = bound.recourse
        if recourse is not None and flown is None and not self.is_sibling:
            fly = partial(self.acall, name, params, native)
            return await recourse.awaited.acall(self, name, params, fly)
        applied = None
        if acts and (bound.is_keyed or ambient_key.get() is not None):
            applied = operation.apply(bound, params)
            if applied is not None and applied.write is not None:
                self._follow(name)
        facts = operation.facts(bound, params)
        if applied is not None:
            params = applied.params
            facts = facts._replace(keyed_means=applied.means)
        flight = AioFlight(self, operation, bound, params, facts=facts, applied=applied)
        if flown is not None:
            flown.append(flight)
        payload = self.payloads.get(name)
        if payload is None:
            payload = self.payloads[name] = _payload(self, name)
        # botocore's handlers write into the original.
        asked = dict(params) if payload or self.is_s3 else params
        token, cuts = current.set(flight), None
        try:
            answer = flight._loop.arrive()
            if answer.start is None or flight.lookout is not None:
                await flight._arrive(answer)
            else:
                flight._start = answer.start
            task = current_task(loop) if acts else None
            if isinstance(task, asyncio.Task):
                cuts = self._cuts
                if cuts is None or cuts.loop is not loop:
                    cuts = self._cuts = Cuts(loop)
                flight.bound(cuts, task)
            try:
                answer = await native(name, params)
            except (CancelledError, TimeoutError) as error:
                # Attempts end by themselves in time; this ends what is around them:
                # credentials, endpoints, handlers.
                if not flight.is_ended_by_cut(error):
                    raise
                raise flight.late() from None
            if payload and acts:
                self._watch(flight, answer, payload, asked, native)
        except Exception as error:
            flight.failed(error)
            if self.is_s3 and name == ABORT and acts:
                abort_later(self, asked, native, error)
            raise
        else:
            flight.succeeded(answer)
            return answer
        finally:
            if cuts is not None:
                cuts.ends.pop(flight, None)
                if flight.is_cut:
                    flight.is_ended_by_cut(None)
                flight.task = None
            flight.gone()
            if self.is_s3 and name == CREATE:
                tell_lost(self, asked, flight)
            try:  # noqa: SIM105 - as above
                current.reset(token)
            except ValueError:
                pass  # a task that was thrown away is closed from elsewhere

    def _will_follow(self, name: str) -> None:
        """Nothing: handlers that nobody needs cost each call, and can be added later.

        No other thread remembers those there are while some are added.
        """

    def _watch(
        self,
        flight: AioFlight,
        answer: Mapping[str, Any],
        payload: str,
        asked: Mapping[str, Any],
        native: Native,
    ) -> None:
        body = answer.get(payload)
        if body is None:
            return
        try:
            if not has_come(body):
                protect(flight, body, answer, asked=asked, native=native)
        except (AttributeError, LookupError, TypeError) as error:
            self.say("body-unwatched", f"{error!r}; bodies stay bare")

    async def aread(
        self, name: str, params: dict[str, Any], ends_at: float | None
    ) -> Any:
        """Make a call of our own, which is over by *ends_at* (monotonic)."""
        client: Any = self._client()
        token = deadline_at.set(ends_at)
        try:
            return await client._make_api_call(name, params)
        finally:
            deadline_at.reset(token)

    async def _abare(self, name: str, params: Mapping[str, Any], native: Native) -> Any:
        if current.get() is None:
            return await native(name, params)
        token = current.set(None)
        try:
            return await native(name, params)
        finally:
            _reset(token)

    # -- aiobotocore's events ----------------------------------------------------

    def _needs_retry(self, native: Handler | None, event: dict[str, Any]) -> Any:
        flight = current.get()  # as _mine does, but for its frame
        if (
            isinstance(flight, AioFlight)
            and flight.guard is self
            and flight.is_well(event)
        ):
            return None
        return self._asked(native, event)

    async def _asked(self, native: Handler | None, event: dict[str, Any]) -> Any:
        flight = self._mine()
        if not isinstance(flight, AioFlight):
            return await answer_of(native, event)
        if flight.trace is not None:
            flight.trace.answered(event["response"])
        try:
            return await flight.asked(native, event)
        except (AttributeError, LookupError, TypeError) as error:
            if error is event.get("caught_exception"):
                raise
            self.say("unknown-event", f"{error!r} in needs-retry; botocore decides")
        return await answer_of(native, event)

    def _before_send(self, request: Any, **_: Any) -> Any:
        flight = self._mine()
        lookout = None if flight is None else flight.lookout
        answer = None if lookout is None else lookout.take()
        if answer is None:
            return None
        status, headers, content = parts_of(answer, request.url)
        made = awsrequest.AioAWSResponse(request.url, status, headers, None)
        made._content = content
        return made


async def in_time(
    flight: AioFlight, native: Native, name: str, params: Mapping[str, Any]
) -> Any:
    """Ask for the rest of a body by *flight*, and be back by its deadline.

    Raises:
        Exception: what the call raised; when it was cut, what is known of it.
    """
    ends_at = flight.deadline_at
    if ends_at is None or not flight.acts:
        return await native(name, params)
    left = ends_at - flight.limit.now()
    cut = asyncio.timeout(max(0.0, left) + GRACE_S)
    try:
        async with cut:
            return await native(name, params)
    except TimeoutError:
        if not cut.expired():
            raise
    raise flight.late()


def _reset(token: Any) -> None:
    """Put back what was under way before."""
    try:
        current.reset(token)
    except ValueError:
        return  # a task that was thrown away is closed from elsewhere
