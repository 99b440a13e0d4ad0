"""What servers say about coming back; garbage is never an error and never a retry."""

import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from resilience.grpc.pushback import pushback, retry_info


def status(delay_s, nanos=0):
    """A serialized google.rpc.Status with another detail before its RetryInfo."""
    delay = duration_pb2.Duration(seconds=delay_s, nanos=nanos)
    info = any_pb2.Any()
    info.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    other = any_pb2.Any()
    other.Pack(error_details_pb2.DebugInfo(detail="d"))
    return status_pb2.Status(
        code=8, message="slow", details=[other, info]
    ).SerializeToString()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["0"], 0.0),
        (["402"], 0.402),
        (["2147483647"], 2147483.647),
        (["2147483648"], -1.0),
        (["-1"], -1.0),
        (["abc"], -1.0),
        ([""], -1.0),
        ([" 5"], -1.0),
        (["+5"], -1.0),
        (["1_0"], -1.0),
        (["٣"], -1.0),
        (["5", "5"], -1.0),
        ([b"5"], -1.0),
    ],
)
def test_the_pushback_header_is_exact_or_forbids(values, expected):
    """A6: one ASCII int32 of milliseconds; anything else means "do not retry"."""
    metadata = [("grpc-retry-pushback-ms", value) for value in values]

    assert (expected, "exact") == pushback(metadata)


def test_no_word_is_no_pushback():
    """Without a header or a RetryInfo there is no hint."""
    assert pushback(None) is None
    assert pushback([("other", "1")]) is None


def test_retry_info_is_a_hint():
    """google.rpc.RetryInfo gives a delay that jitter may be added to."""
    metadata = [("grpc-status-details-bin", status(1, 500_000_000))]

    assert (1.5, "hint") == pushback(metadata)


def test_grpcs_own_header_goes_first():
    """Where a server sends both, the exact one counts."""
    metadata = [
        ("grpc-status-details-bin", status(9)),
        ("grpc-retry-pushback-ms", "10"),
    ]

    assert (0.01, "exact") == pushback(metadata)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\xff" * 40,
        status(-1),
        status(1)[:-3],
        b"not protobuf",
        b"\x1a\xff",
    ],
)
def test_details_that_cannot_be_read_are_no_hint(data):
    """Garbage in `grpc-status-details-bin` never escapes."""
    assert retry_info(data) is None


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(data):
    """Whatever bytes come, the answer is None or a delay that is not negative."""
    delay = retry_info(data)

    assert delay is None or delay >= 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [("3", (3.0, "hint")), ("Wed, 21 Oct 2026", None), ("-1", None)],
)
def test_retry_after_of_a_proxy_is_a_hint(value, expected):
    """A proxy's `retry-after` in seconds is used; a date is not."""
    assert expected == pushback([("retry-after", value)])
