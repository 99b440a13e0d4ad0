"""The time of one request on asyncio, and errors that are botocore's.

An attempt is cancelled when its limit comes, whatever is awaited: a name, a connection,
a handshake, an upload, headers, the whole answer but for a streaming body. What escapes
natively (errors while an error's body is read) is said in botocore's words. aiohttp
repeats idempotent methods by itself, unseen, when a connection that was used before
breaks; it does not where the engine owns the repeats.
"""

import asyncio
from asyncio import current_task
from collections.abc import Coroutine, Mapping
from types import FunctionType
from typing import Any

from botocore import exceptions

from resilience.botocore.connections import EXPECT_S, bound
from resilience.botocore.flight import current

from . import native
from .flight import AioFlight


OPENS = "_get_session"


def install(client: Any) -> bool:  # noqa: C901 - flat: each frame costs every call
    """Have the requests of *client* keep to limits; False: its shape is not known."""
    endpoint: Any = getattr(client, "_endpoint", None)
    http = getattr(endpoint, "http_session", None)
    if http is None or not hasattr(type(endpoint), "_send"):
        return False
    if "_send" in vars(endpoint):
        return True

    async def send(request: Any, *more: Any, **named: Any) -> Any:
        # Asked for each time: tests put something in its place, before and after us.
        now: Any = type(endpoint)._send
        if more or named or type(now) is not FunctionType:
            # An aiobotocore of another shape, or a mock.
            return await bound(now, endpoint)(request, *more, **named)
        flight = current.get()
        if not isinstance(flight, AioFlight) or not flight.acts:
            return await now(endpoint, request)
        cuts, limit = flight.cuts, flight.limit
        at = limit.at
        left = None if at is None else at - limit.now()
        if left is not None and left < EXPECT_S and "Expect" in request.headers:
            del request.headers["Expect"]
        flight.transport = None
        flight.has_connection = OPENS not in vars(endpoint.http_session)
        if left is None or cuts is None or current_task(cuts.loop) is not flight.task:
            return await _send(flight, now, endpoint, request, left)
        # As `_send` does, without a timer of its own.
        flight.bound_attempt(cuts, left)
        try:
            response = await now(endpoint, request)
            if request.stream_output and response.status_code >= 300:
                await _read_error(request, response)
        except BaseException as error:
            if flight.unbound_attempt(cuts, error):
                passed = TimeoutError()
                raise flight.timed_out(request.url, passed) from error
            raise
        flight.unbound_attempt(cuts, None)
        return response

    vars(endpoint)["_send"] = send
    _follow(http)
    return True


def uninstall(client: Any) -> None:
    """Undo `install`."""
    endpoint = getattr(client, "_endpoint", None)
    if endpoint is not None:
        vars(endpoint).pop("_send", None)
        _unfollow(endpoint.http_session)


def _acting() -> AioFlight | None:
    flight = current.get()
    return flight if isinstance(flight, AioFlight) and flight.acts else None


async def _send(
    flight: AioFlight, bare: Any, endpoint: Any, request: Any, left: float | None
) -> Any:
    """Send *request* within *left* seconds; None: it is not bounded.

    Raises:
        ReadTimeoutError: they passed while the request was under way.
        ConnectTimeoutError: they passed before there was a connection.
    """
    cut = asyncio.timeout(left)
    try:
        async with cut:
            response = await bare(endpoint, request)
            if request.stream_output and response.status_code >= 300:
                await _read_error(request, response)
    except TimeoutError as error:
        if not cut.expired():
            raise
        raise flight.timed_out(request.url, error) from error
    return response


async def _read_error(request: Any, response: Any) -> None:
    """Read the error that answers a streaming request.

    aiobotocore reads it where nobody translates what may go wrong.

    Raises:
        ReadTimeoutError: it was silent for too long.
        ConnectionClosedError: it was cut short.
    """
    url = request.url
    try:
        await response.content
    except native.TOO_LATE as error:
        raise exceptions.ReadTimeoutError(endpoint_url=url, error=error) from error
    except native.BROKEN as error:
        raise exceptions.ConnectionClosedError(
            error=error, request=request, endpoint_url=url
        ) from error


def _follow(http: Any) -> None:
    """Know when a request has a connection, and keep aiohttp from repeating it."""
    bare: Any = getattr(type(http), OPENS, None)
    if bare is None:
        return

    known, is_followed, repeats = None, False, False

    async def session(*args: Any, **kwargs: Any) -> Any:
        nonlocal known, is_followed, repeats
        flight = current.get()  # as _acting does, but for its frame
        if not isinstance(flight, AioFlight) or not flight.acts:
            flight = None
        opening = bare(http, *args, **kwargs)
        is_open = getattr(http, "_sessions", None) or getattr(http, "_session", None)
        made = await (opening if flight is None or is_open else _kept(opening))
        if made is not known:
            known, is_followed = made, _is_marked(made) or _is_traced(made)
            repeats = hasattr(made, "_retry_connection")
        if repeats:
            # Read by aiohttp before it awaits anything: one task's word at a time.
            made._retry_connection = flight is None or not (
                flight.owns_retries or flight.lookout is not None
            )
        if flight is not None:
            flight.has_connection = not is_followed
        return made

    vars(http)[OPENS] = session


def _unfollow(http: Any) -> None:
    """Undo `_follow`, for what is open already, too."""
    vars(http).pop(OPENS, None)
    opened = getattr(http, "_sessions", None)
    for made in opened.values() if isinstance(opened, dict) else ():
        if hasattr(made, "_retry_connection"):
            made._retry_connection = True
            vars(made.connector).pop("connect", None)


async def _kept(opening: Coroutine[Any, Any, Any]) -> Any:
    """What *opening* makes; it goes on when an attempt is cut meanwhile.

    Certificates are read when a session is first used: attempts that are shorter than
    that would never get any further.
    """
    task = asyncio.ensure_future(opening)
    task.add_done_callback(_seen)
    return await asyncio.shield(task)


def _seen(task: asyncio.Future[Any]) -> None:
    """Take note of an error that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def _is_marked(session: Any) -> bool:
    """Does aiohttp's *session* tell the flight of its connection?"""
    connector = getattr(session, "connector", None)
    bare: Any = getattr(type(connector), "connect", None)
    if bare is None:
        return False
    if "connect" in vars(connector):
        return True

    async def connect(*args: Any, **kwargs: Any) -> Any:
        made = await bare(connector, *args, **kwargs)
        flight = current.get()
        if isinstance(flight, AioFlight):
            flight.has_connection = True
            flight.transport = getattr(made, "transport", None)
        return made

    vars(connector)["connect"] = connect
    return True


def _is_traced(session: Any) -> bool:
    """Does httpx's *session* tell the flight of its connection?"""
    hooks = getattr(session, "event_hooks", None)
    if hooks is None:
        return False
    if _trace not in hooks["request"]:
        session.event_hooks = {**hooks, "request": [*hooks["request"], _trace]}
    return True


async def _trace(request: Any) -> None:
    """Tell the flight of a connection, and leave none behind in a handshake."""
    flight = _acting()
    if flight is None:
        return

    stream: Any = None

    async def seen(event: str, about: Mapping[str, Any]) -> None:
        nonlocal stream
        if event.endswith("send_request_headers.started"):
            flight.has_connection = True
        elif event.endswith("connect_tcp.complete"):
            stream = about.get("return_value")
        elif (
            event.endswith("start_tls.failed")
            and stream is not None
            and isinstance(about.get("exception"), asyncio.CancelledError)
        ):
            # httpx closes it after errors, but not where a handshake was cut.
            await stream.aclose()

    request.extensions = {**request.extensions, "trace": seen}
