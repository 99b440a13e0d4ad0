"""HTTP/2 by hand (with h2), to hear what grpcio hides: headers, trailers, GOAWAY.

Three calls on one connection: a method that does not exist, health, and the list of
services. None changes anything at the server. Nothing is judged here.
"""

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings


UNKNOWN: Final = "/resilience.doctor.Probe/NoSuchMethod"
HEALTH: Final = "/grpc.health.v1.Health/Check"
REFLECTION: Final = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

_BODIES: Final = {
    UNKNOWN: b"\0\0\0\0\0",
    HEALTH: b"\0\0\0\0\0",
    # ServerReflectionRequest(list_services=""): field 7, a string of no characters.
    REFLECTION: b"\0\0\0\0\2\x3a\x00",
}
_SETTINGS: Final = 4
_GOAWAY: Final = 7
_MAX_FRAME: Final = 16_384
_REFUSED_STREAM: Final = 7
_KEPT_BYTES: Final = 4096

Headers = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Answer:
    """What came back for one call. Owned by one thread."""

    headers: Headers = ()
    trailers: Headers = ()
    body: bytes = b""
    """The first bytes of the answer's data."""
    has_ended: bool = False
    reset: int | None = None
    """The error code of RST_STREAM."""

    def value(self, key: str) -> str:
        """The first value of *key* in trailers or headers; empty: there is none."""
        pairs = (*self.trailers, *self.headers)
        return next((value for name, value in pairs if name == key), "")


@dataclass(slots=True)
class Heard:
    """What came back on one connection. Owned by one thread."""

    first_bytes: bytes = b""
    has_settings: bool = False
    max_concurrent_streams: int | None = None
    answers: dict[str, Answer] = field(default_factory=dict)
    goaway: int | None = None
    goaway_text: str = ""
    end: str = ""
    """How the connection ended early: `closed`, `timed out`, or an error's words."""
    http1: str = ""
    """What an HTTP/1.1 request got: status line and `server`."""


def speak(
    connection: socket.socket | ssl.SSLSocket, authority: str, within_s: float
) -> Heard:
    """Make the three calls on *connection*, and hear for at most *within_s* seconds."""
    conversation = _Conversation(connection, authority, within_s)
    heard = conversation.heard
    try:
        conversation.ask()
        conversation.listen()
    except h2.exceptions.ProtocolError as error:
        heard.end = str(error) or "broken HTTP/2"
    except TimeoutError:
        heard.end = "timed out"
    except ssl.SSLError as error:
        heard.end = error.reason or str(error)
    except (OSError, ValueError) as error:
        heard.end = getattr(error, "strerror", "") or str(error)
    return heard


class _Conversation:
    """One connection on which HTTP/2 is spoken. Owned by one thread."""

    def __init__(
        self, connection: socket.socket, authority: str, within_s: float
    ) -> None:
        self.heard = Heard()
        self._connection = connection
        self._authority = authority
        self._give_up = time.monotonic() + within_s
        self._buffer = bytearray()
        self._streams: dict[int, str] = {}
        self._wire = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=True, header_encoding=None, validate_inbound_headers=False
            )
        )

    def ask(self) -> None:
        """Send the preface and all calls, without waiting for an answer."""
        self._wire.initiate_connection()
        secure = isinstance(self._connection, ssl.SSLSocket)
        scheme = "https" if secure else "http"
        self._streams = _ask(self._wire, self._authority, scheme)
        self.heard.answers = {path: Answer() for path in self._streams.values()}
        self._send()

    def listen(self) -> None:
        """Hear until all calls have ended, the peer is done, or time is over."""
        heard = self.heard
        while not all(answer.has_ended for answer in heard.answers.values()):
            self._connection.settimeout(self._left())
            data = self._connection.recv(65536)
            if not data:
                heard.end = "closed"
                return
            heard.first_bytes = (heard.first_bytes + data)[:_KEPT_BYTES]
            # RFC 9113 §3.4: a server begins with SETTINGS. h2 would wait for the rest
            # of the long frame that another protocol's greeting looks like.
            if len(heard.first_bytes) >= 9 and heard.first_bytes[3] != _SETTINGS:
                heard.end = "the first frame is not SETTINGS"
                return
            self._hear(data)
            self._send()

    def _hear(self, data: bytes) -> None:
        self._buffer += data
        for frame in _whole_frames(self._buffer):
            # After GOAWAY h2 hears nothing more, and the answers that are under way
            # still come: it is kept from h2.
            if frame[3] == _GOAWAY:
                _note_goaway(self.heard, self._streams, frame[9:])
                continue
            events = self._wire.receive_data(frame)
            _note(self.heard, self._streams, events)
            _make_room(self._wire, events)

    def _send(self) -> None:
        self._connection.settimeout(self._left())
        self._connection.sendall(self._wire.data_to_send())

    def _left(self) -> float:
        left = self._give_up - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def speak_http1(connection: socket.socket, host: str, within_s: float) -> str:
    """What `HEAD /` by HTTP/1.1 gets: status and server; empty: no HTTP/1 there."""
    give_up = time.monotonic() + within_s
    request = f"HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    head = b""
    try:
        connection.settimeout(within_s)
        connection.sendall(request.encode())
        while b"\r\n\r\n" not in head and len(head) < _KEPT_BYTES:
            # For each piece anew: a peer that drips has no more time than another.
            connection.settimeout(max(0.001, give_up - time.monotonic()))
            data = connection.recv(_KEPT_BYTES)
            if not data:
                break
            head += data
    except (OSError, ValueError):
        pass
    lines = head.decode("latin-1").split("\r\n")
    if not lines[0].startswith("HTTP/1"):
        return ""
    servers = (line[7:].strip() for line in lines if line.lower().startswith("server:"))
    server = next(servers, "")
    return f"{lines[0]}, server: {server}" if server else lines[0]


def _ask(
    wire: h2.connection.H2Connection, authority: str, scheme: str
) -> dict[int, str]:
    streams: dict[int, str] = {}
    for path, body in _BODIES.items():
        stream = wire.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", scheme),
            (":path", path),
            (":authority", authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("grpc-timeout", "5S"),
            ("user-agent", "resilience-doctor"),
        ]
        wire.send_headers(stream, headers)
        wire.send_data(stream, body, end_stream=True)
        streams[stream] = path
    return streams


def _make_room(
    wire: h2.connection.H2Connection, events: Sequence[h2.events.Event]
) -> None:
    """Let the peer go on after a window's worth of data."""
    for event in events:
        if isinstance(event, h2.events.DataReceived) and event.stream_id:
            size = event.flow_controlled_length or 0
            wire.acknowledge_received_data(size, event.stream_id)


def _note(
    heard: Heard, streams: dict[int, str], events: Sequence[h2.events.Event]
) -> None:
    for event in events:
        if isinstance(event, h2.events.RemoteSettingsChanged):
            heard.has_settings = True
            changed = event.changed_settings.get(
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
            )
            if changed is not None:
                heard.max_concurrent_streams = changed.new_value
        else:
            stream = getattr(event, "stream_id", None)
            path = streams.get(stream) if isinstance(stream, int) else None
            if path is not None:
                _note_answer(heard.answers[path], event)


def _whole_frames(buffer: bytearray) -> Iterator[bytes]:
    """The frames that *buffer* begins with, taken out of it."""
    while len(buffer) >= 9:
        size = 9 + int.from_bytes(buffer[:3], "big")
        if size > 9 + _MAX_FRAME:
            msg = "a frame is larger than agreed"
            raise h2.exceptions.FrameTooLargeError(msg)
        if len(buffer) < size:
            return
        yield bytes(buffer[:size])
        del buffer[:size]


def _note_goaway(heard: Heard, streams: dict[int, str], payload: bytes) -> None:
    last = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
    heard.goaway = int.from_bytes(payload[4:8], "big")
    heard.goaway_text = payload[8:].decode("utf-8", "replace")
    for stream, path in streams.items():
        answer = heard.answers[path]
        if stream > last and not answer.has_ended:
            answer.reset, answer.has_ended = _REFUSED_STREAM, True


def _note_answer(answer: Answer, event: h2.events.Event) -> None:
    if isinstance(event, h2.events.ResponseReceived):
        answer.headers = _text(event.headers)
    elif isinstance(event, h2.events.TrailersReceived):
        answer.trailers = _text(event.headers)
    elif isinstance(event, h2.events.DataReceived):
        answer.body = (answer.body + (event.data or b""))[:_KEPT_BYTES]
    elif isinstance(event, h2.events.StreamEnded):
        answer.has_ended = True
    elif isinstance(event, h2.events.StreamReset):
        answer.reset = int(event.error_code or 0)
        answer.has_ended = True


def _text(headers: Sequence[tuple[bytes | str, bytes | str]] | None) -> Headers:
    def decoded(value: bytes | str) -> str:
        return value if isinstance(value, str) else value.decode("utf-8", "replace")

    return tuple((decoded(key).lower(), decoded(value)) for key, value in headers or ())
