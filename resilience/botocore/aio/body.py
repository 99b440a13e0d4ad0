"""The body of an awaited answer, guarded by deadline and progress, resumed after a cut.

The body object stays aiobotocore's: its class gets one that looks on between what
counts and checks (checksum, lines, chunks, length) and what reads from the connection.
So all ways of reading one are the native ones, and what a resumed body brings runs
through the same checksum. Whoever reads from `raw_stream` itself reads unguarded.
"""

import io
from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

from botocore.eventstream import EventStream
from botocore.exceptions import ReadTimeoutError, ResponseStreamingError
from botocore.response import StreamingBody

from resilience.botocore.resume import source_of

from . import native
from .body_watch import CUTS, Watch
from .flight import AioFlight
from .proxied import CHECKED, PROXIED
from .resume import AioResume, Native


_set_class = vars(object)["__class__"].__set__
"""Proxies would hand it on to what they stand for."""
PIECE = 1 << 20
"""What is asked for in one step where all is wanted; what has come is never lost."""


class Watched:
    """What is put between a body and its connection."""

    _resilience_watch: Watch | None
    _raw_stream: Any

    async def read(self, amt: int | None = None) -> bytes:
        """As aiobotocore's own."""
        watch = self._resilience_watch
        if watch is None or amt == 0:
            return await super().read(amt)  # type: ignore[misc,no-any-return]  # the base's
        if amt is not None and amt > 0:
            return await self._read_step(watch, amt)
        # A buffer whose memory becomes the result: no second copy of it.
        whole = io.BytesIO()
        while piece := await self._read_step(watch, PIECE, is_whole=amt is None):
            whole.write(piece)
        return whole.getvalue()

    async def readinto(self, b: bytearray) -> int:
        """As aiobotocore's own."""
        watch = self._resilience_watch
        if watch is None or not len(b):
            return await super().readinto(b)  # type: ignore[misc,no-any-return]  # the base's
        while True:
            try:
                async with watch.step() as step:
                    step.came = await super().readinto(b)  # type: ignore[misc]  # the base's
            except CUTS as error:
                await watch.goes_on(self, error)
            else:
                return int(step.came)

    async def _read_step(
        self, watch: Watch, amt: int, *, is_whole: bool = True
    ) -> bytes:
        """Read something; nothing comes at the end only.

        Raises:
            BotoCoreError: *is_whole*, and it ended before it was.
        """
        while True:
            try:
                async with watch.step() as step:
                    data: bytes = await super().read(amt)  # type: ignore[misc]  # the base's
                    step.came = len(data)
            except CUTS as error:
                if not is_whole and watch.is_short(error):
                    return b""  # natively nobody counts what came here
                await watch.goes_on(self, error)
            else:
                return data

    def close(self) -> Any:
        """As aiobotocore's own; nothing is read any more."""
        self._resilience_watch = None
        return super().close()  # type: ignore[misc]  # the base's

    async def aclose(self) -> None:
        """As aiobotocore's own; nothing is read any more."""
        self._resilience_watch = None
        await super().aclose()  # type: ignore[misc]  # the base's


def has_come(body: Any) -> bool:
    """Is all of *body* in this process already, so that nothing can cut it?

    aiohttp knows; a small one comes with its headers.
    """
    raw: Any = getattr(body, "_raw_stream", None)
    if type(raw) is not native.aiohttp.ClientResponse or not isinstance(
        body, StreamingBody
    ):
        return False
    content = raw.content
    return bool(content.is_eof() and content.exception() is None)


def protect(
    flight: AioFlight,
    body: Any,
    answer: Mapping[str, Any],
    *,
    asked: Mapping[str, Any],
    native: Native,
) -> None:
    """Guard *body*, which is in the *answer* of *flight*.

    Bodies that aiohttp or httpx did not make (mocks, stubs) are left alone.

    Args:
        flight: not yet at its end.
        body: a streaming body, or an event stream, of which only the time is guarded.
        answer: as botocore parsed it.
        asked: the parameters of the call, before botocore's handlers changed them.
        native: what makes such a call.

    Raises:
        TypeError: aiobotocore made it in a shape that is not known.
    """
    kind = _front(body)
    is_events = isinstance(body, EventStream)
    body = cast("Any", body)
    if kind is None and not is_events:
        if type(body).__module__.startswith("aiobotocore."):
            msg = f"aiobotocore's {type(body).__qualname__} is of another shape"
            raise TypeError(msg)
        return
    policy, name = flight._bound.binding.policy, flight._operation.model.name
    resume = None
    if name == "GetObject" and flight.owns_retries and policy.retry is not None:
        source = source_of(answer)
        if source is not None and body.tell() == 0:
            resume = AioResume(
                flight.guard,
                name,
                asked,
                native,
                source=source,
                max_attempts=policy.retry.max_attempts,
            )
    # Whoever waits for events may wait for long, and is told nothing about silence.
    silence_s = None if kind is None else policy.idle_timeout_s
    watch = Watch(flight, answer.get("ContentLength"), resume, silence_s)
    if kind is None:
        body._event_generator = _events(body._event_generator, watch, body)
        return
    _set_class(body, kind)
    body._resilience_watch = watch


async def _events(events: Any, watch: Watch, body: Any) -> AsyncGenerator[Any]:
    """The *events* of a stream; errors are botocore's, natively aiohttp's escape."""
    url = getattr(body._raw_stream, "url", "")
    try:
        while True:
            try:
                async with watch.step() as step:
                    event = await anext(events)
                    step.came = 1
            except StopAsyncIteration:
                return
            yield event
    except native.TOO_LATE as error:
        await native.close(body._raw_stream)
        raise ReadTimeoutError(endpoint_url=url, error=error) from error
    except native.BROKEN as error:
        raise ResponseStreamingError(error=error) from error


def _front(body: Any) -> type | None:
    """The class of *body* with ours in it; None: it is no body that is known."""
    kind = type(body)
    if kind in _classes:
        return _classes[kind]
    made = None
    names = ("AioStreamingBody", "AioHttpxStreamingBody", "StreamingBody")
    known = (getattr(native.bodies, name, None) for name in names)
    inner = next((k for k in known if k is not None and issubclass(kind, k)), None)
    if inner is not None:
        more = PROXIED if not issubclass(inner, StreamingBody) else {}
        named = {"__module__": __name__, **more}
        between = type("Watched" + inner.__name__, (Watched, inner), named)
        # Two bases, so that ours comes after the checksum and right before what reads.
        bases = (between,) if kind is inner else (kind, between)
        named = {"__module__": kind.__module__}
        if more and kind is not inner:
            named |= CHECKED
        made = type(kind.__name__, bases, named)
    _classes[kind] = made
    return made


_classes: dict[type, type | None] = {}
