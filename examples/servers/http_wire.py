"""As much of HTTP/1.1 as a proxy on loopback needs: whole requests, whole answers.

Heads are kept byte for byte, because a signature covers them. Nothing here decides
anything.
"""

import asyncio
from typing import NamedTuple


MAX_HEAD_BYTES = 64 * 1024


class Request(NamedTuple):
    """One request as it came."""

    verb: str
    path: str
    """Path and query."""
    head: bytes
    """Request line and headers, with the empty line."""
    body: bytes
    """As sent: chunked bodies keep their framing."""

    def header(self, name: str) -> str:
        """The first header called *name*; empty when there is none."""
        return _header(self.head, name)


async def read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    """The next request of a connection; None when the client closed it.

    Raises:
        asyncio.IncompleteReadError: the client went away inside a request.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    if _header(head, "expect").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
    if _header(head, "transfer-encoding").lower() == "chunked":
        body = await _chunked(reader)
    else:
        body = await reader.readexactly(int(_header(head, "content-length") or 0))
    verb, path, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    return Request(verb, path, head, body)


async def forward(request: Request, host: str, port: int) -> bytes:
    """The answer of the server at *host*:*port*, ready for a connection kept open.

    Raises:
        OSError: the server cannot be reached.
    """
    reader, writer = await asyncio.open_connection(host, port)
    try:
        # The hop is closed after one answer: its end is then the end of the stream.
        head = _without(request.head, (b"connection:", b"expect:"))
        writer.write(head[:-2] + b"Connection: close\r\n\r\n" + request.body)
        await writer.drain()
        answer = await reader.read()
    finally:
        writer.close()
    head, separator, body = answer.partition(b"\r\n\r\n")
    return _without(head + separator, (b"connection:",)) + body


def answer(status: str, headers: dict[str, str], body: bytes) -> bytes:
    """An answer of our own, framed by its length."""
    lines = [f"HTTP/1.1 {status}", *(f"{k}: {v}" for k, v in headers.items())]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    return head.encode() + body


def _header(head: bytes, name: str) -> str:
    start = name.encode() + b":"
    for line in head.split(b"\r\n")[1:]:
        if line[: len(start)].lower() == start:
            return line[len(start) :].strip().decode("latin-1")
    return ""


def _without(head: bytes, names: tuple[bytes, ...]) -> bytes:
    first, *rest = head.split(b"\r\n")
    kept = (line for line in rest if not line.lower().startswith(names))
    return b"\r\n".join([first, *kept])


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        parts.append(line)
        if size == 0:
            break
        parts.append(await reader.readexactly(size + 2))
    while True:  # trailers, up to the empty line
        line = await reader.readuntil(b"\r\n")
        parts.append(line)
        if line == b"\r\n":
            return b"".join(parts)
