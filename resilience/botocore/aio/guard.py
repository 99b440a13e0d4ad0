"""What stands around one aiobotocore client; only what awaits differs from `Guard`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from resilience.botocore.emitter import Handler
from resilience.botocore.flight import Flight, current
from resilience.botocore.guard import Guard
from resilience.botocore.transfer import ABORT, CREATE, _payload, tell_lost
from resilience.botocore.verify import parts_of
from resilience.botocore.worker import GRACE_S
from resilience.context import deadline_at

from .body import protect
from .flight import AioFlight, answer_of
from .native import awsrequest
from .sending import install, uninstall
from .uploads import abort_later


Native = Callable[[str, Mapping[str, Any]], Awaitable[Any]]


class AioGuard(Guard):
    """One client's protection. Used by the tasks of one event loop."""

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

    async def acall(
        self,
        name: str,
        params: Mapping[str, Any],
        native: Native,
        flown: list[Flight] | None = None,
    ) -> Any:
        """Make one call of operation *name* by way of *native*; *flown*: as `call`."""
        engine = self.registration.engine
        if engine is None or self.takeover is None or not self._is_at_home():
            return await self._abare(name, params, native)
        engine.look()
        operation = self._operations.get(name) or self._operation(name)
        if operation is None:
            return await self._abare(name, params, native)
        bound = operation.bind(engine, params)
        if bound.binding.mode == "bypass":
            return await self._abare(name, params, native)
        recourse = bound.recourse
        if recourse is not None and flown is None and not self.is_sibling:
            fly = partial(self.acall, name, params, native)
            return await recourse.awaited.acall(self, name, params, fly)
        applied = None
        if bound.binding.mode == "enforce":
            applied = operation.apply(bound, params)
        facts = operation.facts(bound, params)
        if applied is not None:
            params = applied.params
            facts = facts._replace(keyed_means=applied.means)
        flight = AioFlight(
            self,
            operation,
            bound,
            params,
            facts=facts,
            applied=applied,
        )
        if flown is not None:
            flown.append(flight)
        return await self._fly(flight, name, params, native)

    async def _fly(
        self, flight: AioFlight, name: str, params: Mapping[str, Any], native: Native
    ) -> Any:
        payload = self.payloads.get(name)
        if payload is None:
            payload = self.payloads[name] = _payload(self, name)
        # botocore's handlers write into the original.
        asked = dict(params) if payload or self.is_s3 else params
        token = current.set(flight)
        try:
            await flight.arrived()
            answer = await in_time(flight, native, name, params)
            if payload and flight.acts:
                self._watch(flight, answer, payload, asked, native)
        except Exception as error:
            flight.failed(error)
            if self.is_s3 and name == ABORT and flight.acts:
                abort_later(self, asked, native, error)
            raise
        else:
            flight.succeeded(answer)
            return answer
        finally:
            flight.gone()
            if self.is_s3 and name == CREATE:
                tell_lost(self, asked, flight)
            _reset(token)

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
            protect(flight, body, answer, asked=asked, native=native)
        except (AttributeError, LookupError, TypeError) as error:
            self.say("body-unwatched", f"{error!r}; bodies stay bare")

    def _is_at_home(self) -> bool:
        """Does asyncio run this task? aiobotocore with httpx knows other loops, too."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.say("not-asyncio", "no asyncio loop runs here: calls stay bare")
            return False
        return True

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
        flight = self._mine()
        if isinstance(flight, AioFlight) and flight.is_well(event):
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
    """Make the call of *flight*, and be back by its deadline whatever is awaited.

    Attempts end by themselves in time; this ends what is around them: credentials,
    endpoints, handlers.

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
