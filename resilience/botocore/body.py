"""The body of an answer, guarded by its deadline and by progress, resumed after a cut.

The response object stays the one that urllib3 made and `StreamingBody` the one that
botocore made: their classes get a subclass in front that looks on. So all ways of
reading one (read, readinto, lines, chunks, the raw stream, checksums, length) are the
native ones, and what a resumed body brings runs through the same checksum.
"""

import io
from collections.abc import Generator, Mapping
from errno import EAGAIN
from http.client import IncompleteRead
from time import monotonic
from typing import TYPE_CHECKING, Any

from botocore.eventstream import EventStream
from botocore.exceptions import (
    BotoCoreError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.response import StreamingBody
from urllib3 import exceptions as urllib3_errors
from urllib3.response import HTTPResponse

from .body_watch import Watch
from .flight import Flight
from .resume import Native, Resume, source_of
from .sockets import Bounded
from .timeouts import Limit


if TYPE_CHECKING:
    from .transfer import Task

BUFFER = io.DEFAULT_BUFFER_SIZE
"""What a connection reads at once: no more than that can have come unasked."""
CUTS = (
    urllib3_errors.ReadTimeoutError,
    urllib3_errors.ProtocolError,
    urllib3_errors.SSLError,
)


class Watched:
    """What is put in front of urllib3's response class."""

    _resilience_watch: Watch | None
    length_remaining: int | None

    def read(
        self,
        amt: int | None = None,
        decode_content: bool | None = None,  # noqa: FBT001 - urllib3's
        cache_content: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> Any:
        """As urllib3's own; small steps of plain bytes on a shorter way."""
        watch = self._resilience_watch
        if (
            watch is not None
            and watch.is_plain
            and decode_content is None
            and not cache_content
        ):
            wanted = self.length_remaining if amt is None else amt
            if wanted and 0 < wanted <= watch.piece:
                return self._read_step(watch, wanted, amt)
        return super().read(amt, decode_content, cache_content)  # type: ignore[misc]  # the base's

    def _read_step(self, watch: Watch, wanted: int, amt: int | None) -> Any:
        one: Any = self
        watch.begin()
        try:
            data = one._fp.read(wanted)
        except Exception:  # noqa: BLE001 - it is made urllib3's
            try:
                with one._error_catcher():
                    raise
            except CUTS as cut:
                if not watch.goes_on(self, cut):
                    raise
            return self.read(amt)
        came = len(data)
        if came:
            one._fp_bytes_read += came
            one.length_remaining -= came
            if one.length_remaining:
                if amt is None:  # cut short: the rest is wanted, too
                    data += self._read_in_pieces(watch, None)
                return data
        with one._error_catcher():  # it gives the connection back
            if not came:
                one._fp.close()
        if not came and one.length_remaining and watch.goes_on(self, None):
            return self.read(amt)
        return data

    def _raw_read(self, amt: int | None = None, *, read1: bool = False) -> Any:
        watch = self._resilience_watch
        if watch is None or amt == 0:
            return super()._raw_read(amt, read1=read1)  # type: ignore[misc]  # the base's
        if self.length_remaining and not read1 and (amt is None or amt > watch.piece):
            return self._read_in_pieces(watch, amt)
        watch.begin()
        try:
            data = super()._raw_read(amt, read1=read1)  # type: ignore[misc]  # the base's
        except CUTS as error:
            if not watch.goes_on(self, error):
                raise
            return self._raw_read(amt, read1=read1)
        if data or not self.length_remaining or not watch.goes_on(self, None):
            return data
        return self._raw_read(amt, read1=read1)

    def _read_in_pieces(self, watch: Watch, amt: int | None) -> bytes:
        """Read much, without much to lose by a cut and without a second copy."""
        left: int = self.length_remaining or 0
        wanted = left if amt is None else min(amt, left)
        # A buffer whose memory becomes the result, and is not touched before.
        buffer = io.BytesIO(bytes(wanted))
        got = 0
        with buffer.getbuffer() as view:
            while got < wanted:
                with view[got : got + watch.piece] as part:
                    came = self._read_piece(watch, part)
                if came is None:
                    break
                got += came
        if got < wanted:
            if amt is None:
                ended = IncompleteRead(buffer.getvalue()[:got], wanted - got)
                msg = f"Connection broken: {ended!r}"
                raise urllib3_errors.ProtocolError(msg, ended)
            buffer.truncate(got)
        return buffer.getvalue()

    def _read_piece(self, watch: Watch, part: memoryview) -> int | None:
        """Read some; 0 when it goes on elsewhere, None when it is at an end."""
        one: Any = self
        watch.begin()
        try:
            with one._error_catcher():
                file = one._fp
                came = 0 if file is None or file.closed else file.readinto(part)
        except CUTS as error:
            if not watch.goes_on(self, error):
                raise
            return 0
        if came:
            one._fp_bytes_read += came
            one.length_remaining -= came
            watch.done()
            return int(came)
        return 0 if watch.goes_on(self, None) else None

    def drain_conn(self) -> None:
        """Throw away what comes on this connection, and ask for nothing more."""
        self._resilience_watch = None
        super().drain_conn()  # type: ignore[misc]  # the base's

    def close(self) -> None:
        """Close the connection; nothing is read any more."""
        self._resilience_watch = None
        super().close()  # type: ignore[misc]  # the base's


class Explained:
    """What is put in front of botocore's body classes: what went wrong is told."""

    _raw_stream: Any

    def read(self, amt: int | None = None) -> bytes:
        """As botocore's own."""
        try:
            return super().read(amt)  # type: ignore[misc,no-any-return]  # the base's
        except (BotoCoreError, urllib3_errors.HTTPError) as error:
            self._resilience_raise(error)
            raise

    def readinto(self, b: Any) -> int:
        """As botocore's own."""
        try:
            return super().readinto(b)  # type: ignore[misc,no-any-return]  # the base's
        except (BotoCoreError, urllib3_errors.HTTPError) as error:
            self._resilience_raise(error)
            raise

    def _resilience_raise(self, error: Exception) -> None:
        watch = getattr(self._raw_stream, "_resilience_watch", None)
        found = error if watch is None else watch.explain(error)
        if found is not error:
            raise found


class Named:
    """What is put in front of the response of an event stream: errors are botocore's.

    Natively urllib3's escape there.
    """

    def stream(self, *args: Any, **kwargs: Any) -> Generator[bytes]:
        """As urllib3's own."""
        try:
            yield from super().stream(*args, **kwargs)  # type: ignore[misc]  # the base's
        except urllib3_errors.ReadTimeoutError as error:
            raise ReadTimeoutError(endpoint_url=error.url, error=error) from error
        except urllib3_errors.ProtocolError as error:
            raise ResponseStreamingError(error=error) from error


def has_come(body: Any) -> bool:
    """Is all of *body* in this process already, so that nothing can cut it?

    Seen without waiting and without a system call: a small one comes with its headers.
    """
    if type(body) is not StreamingBody:
        return False
    try:
        raw = body._raw_stream
        file = raw._fp.fp
        sock: Any = file.raw._sock
        left: int | None = raw.length_remaining
    except AttributeError:
        return False
    if not left or left > BUFFER or not isinstance(sock, Bounded):
        return False
    limit = sock.limit
    sock.limit = NOTHING_YET
    try:
        found: bytes = file.peek()
        return len(found) >= left
    finally:
        sock.limit = limit


class _Come(Limit):
    """Under it a socket has nothing to read: only what has come is looked at."""

    @property
    def at(self) -> float | None:  # type: ignore[override]  # nobody sets it
        """Asked for by each step of a socket."""
        raise BlockingIOError(EAGAIN, "only what has come is looked at")


NOTHING_YET = _Come(monotonic)


def protect(
    flight: Flight,
    body: Any,
    answer: Mapping[str, Any],
    *,
    asked: Mapping[str, Any],
    native: Native,
    task: "Task | None",
) -> None:
    """Guard *body*, which is in the *answer* of *flight*.

    Bodies that urllib3 did not make (mocks, stubs) are left alone.

    Args:
        flight: not yet at its end.
        body: a `StreamingBody`, or an event stream, of which only the time is guarded.
        answer: as botocore parsed it.
        asked: the parameters of the call, before botocore's handlers changed them.
        native: what makes such a call.
        task: what of s3transfer reads it; None: nothing does.
    """
    raw: Any = getattr(body, "_raw_stream", None)
    flight.limit.kept = True
    flight.limit.at = flight.deadline_at
    if not isinstance(raw, HTTPResponse):
        if raw is None and isinstance(body, StreamingBody):
            raise AttributeError(_UNKNOWN.format(type(body).__name__, "_raw_stream"))
        return
    if isinstance(body, EventStream):
        _put_in_front(Named, raw)
    if not isinstance(body, StreamingBody) or raw.length_remaining == 0:
        return
    if not hasattr(raw, "_raw_read") and not hasattr(raw, "read1"):
        return  # urllib3 1: reads have no one place to look on
    for name in PARTS:
        if not hasattr(raw, name):
            raise AttributeError(_UNKNOWN.format(type(raw).__name__, name))
    policy, name = flight._bound.binding.policy, flight._operation.model.name
    resume = None
    if name == "GetObject" and flight.owns_retries and policy.retry is not None:
        source = source_of(answer)
        if source is not None and raw.length_remaining == answer["ContentLength"]:
            resume = Resume(
                flight.guard,
                name,
                asked,
                native,
                source=source,
                max_attempts=policy.retry.max_attempts,
            )
    watched: Any = raw
    watched._resilience_watch = Watch(flight, raw, resume, task, policy.idle_timeout_s)
    _put_in_front(Watched, raw)
    _put_in_front(Explained, body)


def _put_in_front(front: type, one: Any) -> None:
    """Make *one*'s class a subclass of it that has *front* first."""
    base = type(one)
    made = _classes.get((front, base))
    if made is None:
        made = type(base.__name__, (front, base), {"__module__": base.__module__})
        made = _classes.setdefault((front, base), made)
    one.__class__ = made


PARTS = ("_error_catcher", "_fp", "_fp_bytes_read", "_raw_read")
"""What is private in urllib3's response and used above."""
_UNKNOWN = "{} without {}"
_classes: dict[Any, Any] = {}
