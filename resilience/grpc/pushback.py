"""When the server says we may come back: gRFC A6 pushback, RetryInfo, Retry-After.

Everything here comes from outside. Whatever cannot be read is either "do not try again"
(A6, where the header is meant for us) or no hint at all; nothing escapes as an error.
"""

import re
from collections.abc import Iterator
from typing import Any

from resilience.core.outcome import PushbackForm

from .metadata import pairs


PUSHBACK = "grpc-retry-pushback-ms"
STATUS_DETAILS = "grpc-status-details-bin"
_RETRY_INFO = b"type.googleapis.com/google.rpc.RetryInfo"
_INT32 = 2**31
_LONGEST_HINT_S = 86_400.0
_MILLISECONDS = re.compile(r"-?[0-9]{1,10}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,6}", re.ASCII)


def pushback(metadata: Any) -> tuple[float, PushbackForm] | None:
    """The wait that trailing *metadata* asks for, in seconds; negative: never again.

    None: it says nothing. gRPC's own header goes before RetryInfo, and that before
    `retry-after`.
    """
    header: list[Any] = []
    details = retry_after = None
    for name, value in pairs(metadata):
        if name == PUSHBACK:
            header.append(value)
        elif name == STATUS_DETAILS:
            details = value
        elif name == "retry-after":
            retry_after = value
    if header:
        return _milliseconds(header), "exact"
    if isinstance(details, bytes):
        wait = retry_info(details)
        if wait is not None:
            return wait, "hint"
    if isinstance(retry_after, str) and _SECONDS.fullmatch(retry_after):
        return min(float(retry_after), _LONGEST_HINT_S), "hint"
    return None


def _milliseconds(header: list[Any]) -> float:
    """A6: an ASCII int32; anything else, or more than one, forbids a retry."""
    value = header[0]
    if len(header) != 1 or not isinstance(value, str):
        return -1.0
    if not _MILLISECONDS.fullmatch(value):
        return -1.0
    number = int(value)
    return number / 1000 if 0 <= number < _INT32 else -1.0


def retry_info(status: bytes) -> float | None:
    """The delay of the `google.rpc.RetryInfo` in a serialized `google.rpc.Status`.

    Read by hand: grpcio-status raises where message or code disagree, and protobuf
    need not be installed. None: there is none, or the bytes are not what they claim.
    """
    try:
        for number, detail in _fields(status):
            if number == 3 and isinstance(detail, bytes):
                delay = _delay(dict(_fields(detail)))
                if delay is not None:
                    return delay
    except (ValueError, IndexError):
        pass
    return None


def _delay(any_message: dict[int, int | bytes]) -> float | None:
    if any_message.get(1) != _RETRY_INFO:
        return None
    value = any_message.get(2, b"")
    duration = dict(_fields(value if isinstance(value, bytes) else b"")).get(1, b"")
    parts = dict(_fields(duration if isinstance(duration, bytes) else b""))
    seconds, nanos = parts.get(1, 0), parts.get(2, 0)
    if not isinstance(seconds, int) or not isinstance(nanos, int):
        return None
    delay = _signed(seconds) + _signed(nanos) / 1e9
    return min(delay, _LONGEST_HINT_S) if delay >= 0 else None


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protobuf message (its wire format)."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            msg = f"wire type {kind}"
            raise ValueError(msg)
        if at + size > len(data):
            msg = "cut short"
            raise ValueError(msg)
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
    msg = "varint too long"
    raise ValueError(msg)
