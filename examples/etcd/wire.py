"""Just enough of etcd's protobuf messages to put one key and to read it back.

PutRequest and RangeRequest have the key in field 1, PutRequest the value in field 2;
RangeResponse has KeyValue messages in field 2, whose value is field 5 (rpc.proto and
kv.proto of etcd 3.4). Every field used here is length-delimited.
"""

from collections.abc import Iterator


PUT = "/etcdserverpb.KV/Put"
RANGE = "/etcdserverpb.KV/Range"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def put_request(key: bytes, value: bytes) -> bytes:
    """A PutRequest."""
    return _field(1, key) + _field(2, value)


def range_request(key: bytes) -> bytes:
    """A RangeRequest for one key."""
    return _field(1, key)


def range_values(response: bytes) -> list[bytes]:
    """The values in a RangeResponse.

    Raises:
        ValueError: the bytes are no protobuf message.
    """
    key_values = [content for number, content in _fields(response) if number == 2]
    return [
        content for kv in key_values for number, content in _fields(kv) if number == 5
    ]


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        number, form = tag >> 3, tag & 7
        if form == _VARINT:
            _, at = _read_varint(message, at)
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(form, -1)
        if form == _BYTES:
            size, at = _read_varint(message, at)
        if size < 0 or at + size > len(message):
            msg = f"field {number} with wire type {form} does not fit"
            raise ValueError(msg)
        if form == _BYTES:
            yield number, message[at : at + size]
        at += size


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message):
            msg = "the message ends inside a number"
            raise ValueError(msg)
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
