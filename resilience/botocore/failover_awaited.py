"""Failover of clients whose calls are awaited; only what awaits differs.

Their siblings are closed with them. A client whose session is gone has none, for
aiobotocore finds credentials by way of a session only.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from resilience.core.policy import FailoverRegion
from resilience.core.record import CallEnded
from resilience.fallback import FailedCall

from .failover_calls import Recourse, elsewhere_of
from .failover_clients import (
    RETRY_S,
    Key,
    NoSibling,
    adopt,
    arguments,
    client_of,
    follow,
)
from .flight import Flight


if TYPE_CHECKING:
    from .guard import Guard

Fly = Callable[[list[Flight]], Awaitable[Any]]


class AioRecourse(Recourse):
    """Who else may answer the calls of one operation. Safe to share between tasks."""

    async def acall(
        self, guard: "Guard", name: str, params: Mapping[str, Any], fly: Fly
    ) -> Any:
        """Make one call by way of *fly*, and ask elsewhere when it was not answered.

        *fly* puts the call's flight into the list that it is given.

        Raises:
            Exception: nobody answered; the last real error.
        """
        asked = self.asked(name, params)
        policy = self._failover
        if policy is not None and guard.elsewhere is not None:
            place = self.begun_at(guard, policy, asked)
            if place is not None:
                return await self.go_on(guard, place, asked)
        flown: list[Flight] = []
        try:
            answer = await fly(flown)
        except Exception as error:
            if not self.is_open(guard, flown, asked):
                raise
            return await self.instead(guard, flown[0], error, asked)
        self.pin(guard, asked, self._region)
        return answer

    async def _client(
        self, guard: "Guard", place: FailoverRegion, left_s: float | None
    ) -> Any:
        kept = elsewhere_of(guard)
        if kept.awaited is None:
            kept.awaited = AioSiblings()
        try:
            async with asyncio.timeout(left_s):
                return await kept.awaited.of(guard, place, self._engine.now())
        except TimeoutError:
            msg = "its client is still being made"
            raise NoSibling(msg) from None

    async def _reach(self, client: Any, name: str, params: Mapping[str, Any]) -> Any:
        return await client._make_api_call(name, params)

    async def _fall_back(self, failed: FailedCall, ended: CallEnded) -> Any:
        fallbacks = self._engine.fallback
        return await fallbacks.aanswer(self._fallback, failed, ended)


class AioSiblings:
    """The siblings of one client. Used by the tasks of one event loop."""

    def __init__(self) -> None:
        self._clients: dict[Key, Any] = {}
        self._failed: dict[Key, tuple[float, str]] = {}
        self._contexts: list[Any] = []
        self._lock = asyncio.Lock()

    async def of(self, guard: "Guard", place: FailoverRegion, now: float) -> Any:
        """The client for *place*.

        Raises:
            NoSibling: there is none.
        """
        key = (place.region, place.endpoint_url)
        async with self._lock:
            found = self._clients.get(key)
            if found is None:
                until, text = self._failed.get(key, (now, ""))
                if now < until:
                    raise NoSibling(text)
                found = self._clients[key] = await self._made(guard, place, now)
            return follow(guard, found)

    async def _made(self, guard: "Guard", place: FailoverRegion, now: float) -> Any:
        try:
            return await self._make(guard, place)
        except NoSibling as error:
            text = str(error)
        except Exception as error:  # noqa: BLE001 - the call's own error is raised
            text = f"no client could be made: {type(error).__name__}: {error}"
        self._failed[place.region, place.endpoint_url] = (now + RETRY_S, text)
        raise NoSibling(text)

    async def _make(self, guard: "Guard", place: FailoverRegion) -> Any:
        from .aio.clients import ProtectedAioClient
        from .aio.guard import AioGuard
        from .guard import guard_of  # they import what imports this

        client = client_of(guard, place)
        session, more = await _session_of(client)
        context = session.create_client(**arguments(client, place), **more)
        made = await context.__aenter__()
        try:
            adopt(
                guard,
                made,
                ProtectedAioClient,
                lambda one, registration: guard_of(one, registration, AioGuard),
            )
        except NoSibling:
            await context.__aexit__(None, None, None)
            raise
        self._contexts.append(context)
        return made

    async def close(self) -> None:
        """Close them all."""
        contexts, self._contexts, self._clients = self._contexts, [], {}
        for context in contexts:
            await context.__aexit__(None, None, None)


async def close(guard: Any) -> None:
    """Close the siblings of the client that *guard* stands around."""
    kept = None if guard is None else guard.elsewhere
    if kept is not None and kept.awaited is not None:
        await kept.awaited.close()


async def _session_of(client: Any) -> tuple[Any, dict[str, Any]]:
    """The session that made *client*, and what else it must be told."""
    registration = getattr(type(client), "_resilience_registration", None)
    alive = getattr(registration, "session", None)
    session = None if alive is None else alive()
    if session is None:
        msg = "its session is not registered, or gone"
        raise NoSibling(msg)
    credentials = client._get_credentials()
    if credentials is None or credentials is await session.get_credentials():
        return session, {}
    if type(credentials).__name__ not in {"AioCredentials", "Credentials"}:
        msg = "its credentials are not its session's"
        raise NoSibling(msg)
    return session, {
        "aws_access_key_id": credentials.access_key,
        "aws_secret_access_key": credentials.secret_key,
        "aws_session_token": credentials.token,
    }
