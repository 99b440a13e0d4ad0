"""How a fault looks to botocore: an error answer, or the exception of a broken wire.

Both are what botocore itself gets or makes, signed by the drill; everything above takes
them as it would take real ones.
"""

import json
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from botocore import exceptions

from resilience.drilling.flow import End
from resilience.drilling.model import Fault
from resilience.drilling.seam import Seam


REQUEST_ID = "drill"
"""Stands where a service names its request."""


def error_for(seam: Seam, end: End, request: Any) -> Exception:
    """The exception that stands for *end*, of an attempt to send *request*."""
    url = request.url
    if end == "refused":
        refused = ConnectionRefusedError(seam.words("[Errno 111] Connection refused"))
        made: Exception = exceptions.EndpointConnectionError(
            endpoint_url=url, error=refused
        )
    elif end == "late":
        late = TimeoutError(seam.words("timed out"))
        made = exceptions.ReadTimeoutError(endpoint_url=url, error=late)
    else:
        reset = ConnectionResetError(seam.words("[Errno 104] Connection reset by peer"))
        made = exceptions.ConnectionClosedError(
            error=reset, request=request, endpoint_url=url
        )
    return signed(seam, made)


def signed(seam: Seam, error: Exception) -> Exception:
    """*error* with the drill's name: botocore's words tell of the place only."""
    error.args = (seam.words(str(error)),)
    return error


def answer_for(
    seam: Seam, fault: Fault, model: Any
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the error answer that *fault* asks for.

    Args:
        seam: the drill.
        fault: of kind `status`.
        model: the service's model, whose protocol says how errors are written.
    """
    code, text = fault.code, seam.words(fault.message or "injected")
    headers = {"x-amzn-requestid": REQUEST_ID, "x-amz-request-id": REQUEST_ID}
    if fault.pushback is not None:
        headers["x-amz-retry-after"] = str(round(fault.pushback * 1000))
    protocol = str(
        model.resolved_protocol
        if hasattr(model, "resolved_protocol")
        else model.metadata.get("protocol", "")
    )
    if protocol in ("rest-xml", "query", "ec2"):
        headers["content-type"] = "text/xml"
        body = _xml(protocol, code, text).encode()
    elif "cbor" in protocol:
        headers["content-type"] = "application/cbor"
        headers["smithy-protocol"] = "rpc-v2-cbor"
        body = _cbor({"__type": code, "message": text})
    else:
        headers["content-type"] = "application/x-amz-json-1.0"
        headers["x-amzn-errortype"] = code
        body = json.dumps({"__type": code, "message": text}).encode()
    headers["content-length"] = str(len(body))
    return fault.http_status, headers, body


def _xml(protocol: str, code: str, text: str) -> str:
    inside = f"<Code>{escape(code)}</Code><Message>{escape(text)}</Message>"
    request = f"<RequestId>{REQUEST_ID}</RequestId>"
    if protocol == "rest-xml":
        found = f"<Error>{inside}{request}</Error>"
    elif protocol == "ec2":
        errors = f"<Errors><Error>{inside}</Error></Errors>"
        found = f"<Response>{errors}<RequestID>{REQUEST_ID}</RequestID></Response>"
    else:
        error = f"<Error><Type>Receiver</Type>{inside}</Error>"
        found = f"<ErrorResponse>{error}{request}</ErrorResponse>"
    return f'<?xml version="1.0" encoding="UTF-8"?>{found}'


def _cbor(members: Mapping[str, str]) -> bytes:
    """A map of texts (RFC 8949 §3): all that an error needs."""
    found = bytes([0xA0 + len(members)])
    for pair in members.items():
        for text in pair:
            data = text.encode()[:65_535]
            found += b"\x79" + len(data).to_bytes(2, "big") + data
    return found


class CutFile:
    """What an answer's body is read from, until it breaks. Owned by one thread.

    It stands below urllib3's response, in place of the socket's file: so whatever
    guards bodies meets the break where a real one is met.
    """

    def __init__(self, file: Any, left: int, words: str) -> None:
        self._file = file
        self._left = left
        self._words = words

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, amt: int | None = -1, /) -> bytes:
        """Up to *amt* bytes, while there are any left.

        Raises:
            ConnectionResetError: there are none.
        """
        wanted = self._wanted(-1 if amt is None else amt)
        return self._taken(self._file.read(wanted))

    def read1(self, amt: int = -1, /) -> bytes:
        """As `read`, by one read of the socket."""
        return self._taken(self._file.read1(self._wanted(amt)))

    def readline(self, limit: int = -1, /) -> bytes:
        """As `read`, to the end of a line (of chunked bodies)."""
        return self._taken(self._file.readline(self._wanted(limit)))

    def peek(self, amt: int = 0, /) -> bytes:
        """What has come and is not read, as far as it will get through."""
        return bytes(self._file.peek(amt)[: self._left])

    def readinto(self, buffer: Any, /) -> int:
        """As `read`, into *buffer*."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _wanted(self, amt: int) -> int:
        if not self._left:
            raise ConnectionResetError(104, self._words)
        return self._left if amt < 0 else min(amt, self._left)

    def _taken(self, data: bytes) -> bytes:
        self._left -= len(data)
        return data


def break_off(seam: Seam, fault: Fault, response: Any) -> bool:
    """Let the body of *response* break midway; False: there is no way to do it."""
    inner = getattr(response.raw, "_fp", None)
    file = getattr(inner, "fp", None)
    if inner is None or file is None:
        return False
    inner.fp = CutFile(file, fault.bytes, seam.words("Connection reset by peer"))
    return True
