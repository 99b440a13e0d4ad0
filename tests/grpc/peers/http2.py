"""An HTTP/2 server that follows a script, down to frames that no library would send.

A script is a function of the stream's number; it returns what to write and what to do
then. Written by hand because libraries refuse to break the rules, and breaking them is
the point. Header blocks are literals without indexing (RFC 7541 §6.2.2).
"""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Self


DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
PREFACE_BYTES = 24


class Then(Enum):
    """What the peer does when it has written everything."""

    CLOSE = "close"
    """FIN: the connection ends in good order."""
    RESET = "reset"
    """TCP RST: the connection breaks off."""
    MUTE = "mute"
    """It stays open, and nothing answers any more: not even pings."""


Script = Callable[[int], Sequence[bytes | Then]]


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame (RFC 9113 §4.1)."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


def _literal(text: str) -> bytes:
    """A string literal without Huffman coding (RFC 7541 §5.2)."""
    raw = text.encode()
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    rest, size = len(raw) - 127, b"\x7f"
    while rest >= 128:
        size += bytes([rest % 128 + 128])
        rest //= 128
    return size + bytes([rest]) + raw


def headers(stream: int, *pairs: tuple[str, str], ends: bool = False) -> bytes:
    """A HEADERS frame; *ends*: it ends the stream, as trailers do."""
    block = b"".join(b"\0" + _literal(name) + _literal(value) for name, value in pairs)
    return frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream, block)


def grpc_headers(stream: int, *more: tuple[str, str]) -> bytes:
    """The headers that a gRPC answer begins with."""
    content = ("content-type", "application/grpc")
    return headers(stream, (":status", "200"), content, *more)


def trailers(stream: int, status: int, message: str = "") -> bytes:
    """The trailers that a gRPC answer ends with."""
    pairs = [("grpc-status", str(status))]
    pairs += [("grpc-message", message)] if message else []
    return headers(stream, *pairs, ends=True)


def http_status(stream: int, status: int, *more: tuple[str, str]) -> bytes:
    """A whole answer of a web server that knows no gRPC."""
    return headers(stream, (":status", str(status)), *more, ends=True)


def message(stream: int, payload: bytes, *, packed: bool = False) -> bytes:
    """A DATA frame with one gRPC message; *packed*: it is marked as compressed."""
    prefix = bytes([packed]) + len(payload).to_bytes(4, "big")
    return data(stream, prefix + payload)


def data(stream: int, payload: bytes, *, ends: bool = False) -> bytes:
    """A DATA frame."""
    return frame(DATA, END_STREAM if ends else 0, stream, payload)


def rst(stream: int, code: int) -> bytes:
    """RST_STREAM with an error *code* (RFC 9113 §7)."""
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def goaway(last: int, code: int = 0, text: bytes = b"") -> bytes:
    """GOAWAY: streams above *last* were not processed."""
    payload = last.to_bytes(4, "big") + code.to_bytes(4, "big") + text
    return frame(GOAWAY, 0, 0, payload)


class Peer:
    """Listens on loopback and plays *script* for each request that is complete."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.requests = 0
        """Requests that arrived whole."""
        self._script = script
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                threading.Thread(
                    target=self._serve, args=(connection,), daemon=True
                ).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection.makefile("rb") as stream, connection:
                stream.read(PREFACE_BYTES)
                connection.sendall(frame(SETTINGS, 0, 0, b""))
                self._read(connection, stream)

    def _read(self, connection, stream) -> None:
        is_mute = False
        while head := stream.read(9):
            size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            payload = stream.read(size)
            if is_mute:
                continue
            if kind in (SETTINGS, PING) and not flags & ACK:
                answer = payload if kind == PING else b""
                connection.sendall(frame(kind, ACK, 0, answer))
            elif kind in (DATA, HEADERS) and flags & END_STREAM:
                self.requests += 1
                steps = self._script(int.from_bytes(head[5:9], "big"))
                written = [step for step in steps if isinstance(step, bytes)]
                connection.sendall(b"".join(written))
                if Then.RESET in steps:
                    linger = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    return
                if Then.CLOSE in steps:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                is_mute = Then.MUTE in steps
