"""What looks on while an awaited body is read: time, progress, where it goes on.

Only waiting is timed, a slow reader never counts. Within a window of waiting some
bytes must come, or the connection counts as stalled and the rest is asked for on
another one; where that could not be repeated, only silence and deadline end it.
"""

import asyncio
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import (
    BotoCoreError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from resilience.botocore.body_watch import LEAST_PIECE, WINDOW
from resilience.botocore.resume import cut_of
from resilience.context import ambient_deadline, inbound

from . import native
from .flight import AioFlight
from .proxied import raw_of
from .resume import AioResume


CUTS: tuple[type[Exception], ...] = (
    ReadTimeoutError,
    ResponseStreamingError,
    IncompleteReadError,
    *native.TOO_LATE,
    *native.BROKEN,
)
"""How a body ends before it is whole, as it is raised by whoever reads it."""


class Step:
    """One wait for bytes. Bounded, and counted when it ends."""

    __slots__ = ("_began", "_cut", "_watch", "came")

    def __init__(self, watch: "Watch") -> None:
        self.came = 0
        """Bytes that it brought."""
        self._watch = watch
        self._cut: asyncio.Timeout | None = None
        self._began = 0.0

    async def __aenter__(self) -> Self:
        watch = self._watch
        self._began = now = watch.now()
        left = watch.left(now)
        if left is not None:
            self._cut = asyncio.timeout(max(0.0, left))
            await self._cut.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        watch = self._watch
        watch.waited(watch.now() - self._began, self.came)
        if self._cut is not None:
            await self._cut.__aexit__(kind, error, trace)


class Watch:
    """What looks on while one body is read. Owned by its reader."""

    __slots__ = (
        "_brought",
        "_deadline_at",
        "_quiet_s",
        "_resume",
        "_served",
        "_silence_s",
        "_size",
        "_waited_s",
        "_window_s",
        "now",
    )

    def __init__(
        self,
        flight: AioFlight,
        size: int | None,
        resume: AioResume | None,
        silence_s: float | None,
    ) -> None:
        """Begin with nothing read.

        Args:
            flight: whose answer the body is in.
            size: of the body in bytes; None: it was not announced.
            resume: asks for the rest; None: the body ends with its connection.
            silence_s: how long nothing may come by the policy; None: as the client
                is configured.
        """
        self.now = flight.limit.now
        """The engine's clock, monotonic seconds."""
        self._resume = resume
        self._size = size
        self._deadline_at = flight.deadline_at
        served = inbound.get()
        if served is not None and served.deadline_at != self._deadline_at:
            served = None
        self._served = served
        self._silence_s = silence_s
        self._quiet_s = flight.guard.read_timeout_s if silence_s is None else silence_s
        self._window_s: float | None = None
        self._begin()

    def _begin(self) -> None:
        """A connection begins to bring bytes."""
        self._waited_s, self._brought = 0.0, 0
        resume, silence_s = self._resume, self._quiet_s
        self._window_s = None
        if resume is not None and silence_s and not resume.is_last:
            self._window_s = silence_s * WINDOW

    def step(self) -> Step:
        """One wait for bytes, within what is left of the window and of all time."""
        return Step(self)

    def left(self, now: float) -> float | None:
        """Seconds that the next wait may take; None: it is not bounded."""
        end = self._end()
        left = None if end is None else end - now
        for bound in (self._window_left(), self._silence_s):
            if bound is not None:
                left = bound if left is None else min(left, bound)
        return left

    def _window_left(self) -> float | None:
        return None if self._window_s is None else self._window_s - self._waited_s

    def waited(self, seconds: float, came: int) -> None:
        """A wait of *seconds* brought *came* bytes."""
        self._waited_s += seconds
        self._brought += came
        if self._brought >= LEAST_PIECE:
            self._waited_s, self._brought = 0.0, 0

    def _end(self) -> float | None:
        """By when all of the body must have come."""
        end, ambient = self._deadline_at, ambient_deadline()
        if self._served is not None and self._served.has_ended:
            end = None  # what a handler left behind is bound no more
        return ambient if end is None or (ambient and ambient < end) else end

    def is_short(self, error: Exception) -> bool:
        """Did it end early without any error of the connection?"""
        return self._resume is None and isinstance(error, IncompleteReadError)

    async def goes_on(self, body: Any, error: Exception) -> None:
        """Reading *body* ended in *error*: have it go on where it was cut.

        Raises:
            BotoCoreError: it does not: the error, in botocore's words.
            ObjectChanged: the object is not the same any more.
        """
        raw = body._raw_stream
        said = self._said(raw, error)
        resume, size = self._resume, self._size
        await native.close(raw)
        if resume is None or size is None or size <= body.tell():
            raise said
        position = body.tell()
        cut = cut_of(
            position,
            size,
            timed_out=isinstance(said, ReadTimeoutError),
            code=type(error).__name__,
            elapsed_s=self._waited_s,
        )
        found = await resume.go_on(position, cut, self._end(), said)
        if found is None:
            self._resume = None
            if resume.error is not None:
                said.__cause__ = resume.error
            raise said
        other = found[0]["Body"]
        _move(other, body)
        self._begin()

    def _said(self, raw: Any, error: Exception) -> Exception:
        """*error* as botocore would have it."""
        url = str(getattr(raw, "url", ""))
        made: Exception = error
        if isinstance(error, BotoCoreError):
            return made
        if isinstance(error, native.TOO_LATE):
            made = native.ReadTimeout(endpoint_url=url, error=error)
        else:
            made = ResponseStreamingError(error=error)
        made.__cause__ = error
        return made


def _move(source: Any, target: Any) -> None:
    """Give *target* the connection of *source*, which is not read any more."""
    target._raw_stream = raw_of(source)
    for name, fresh in (
        ("_buffer", b""),
        ("_stream_iter", None),
        ("_stream_exhausted", False),
    ):
        if hasattr(target, name):
            setattr(target, name, fresh)
