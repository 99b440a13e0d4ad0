"""The hand-made messages are what etcd's protobuf definitions say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.etcd import wire


def test_put_request_bytes():
    """PutRequest has the key in field 1 and the value in field 2."""
    assert wire.put_request(b"k", b"vv") == b"\x0a\x01k\x12\x02vv"


def test_long_values_have_long_lengths():
    """A length above 127 takes more than one byte."""
    message = wire.put_request(b"k", b"x" * 300)

    assert message[3:6] == b"\x12\xac\x02"
    assert len(message) == 306


def test_range_response_is_read():
    """Values are found behind the header, numbers and unknown fields."""
    key_value = b"\x0a\x01k" + b"\x10\x96\x01" + b"\x2a\x05value"
    header = b"\x0a\x02\x08\x01"
    unknown = b"\x7d\x00\x00\x00\x00"
    counted = b"\x20\x01"
    response = header + b"\x12" + bytes([len(key_value)]) + key_value + unknown

    assert wire.range_values(response + counted) == [b"value"]


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(message):
    """Bytes that are no message are a ValueError, never a hang or another error."""
    try:
        values = wire.range_values(message)
    except ValueError:
        return

    assert all(isinstance(value, bytes) for value in values)


def test_cut_message_is_refused():
    """A field that claims more bytes than there are is an error."""
    with pytest.raises(ValueError, match="does not fit"):
        wire.range_values(b"\x12\x09abc")
