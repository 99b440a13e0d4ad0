"""Whatever a peer sends, the doctor ends and says something."""

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


h2 = pytest.importorskip("h2.connection")
pytest.importorskip("grpc_health")

from h2.config import H2Configuration

from resilience.lab.doctor.http2 import judge_http2
from resilience.lab.doctor.speaking import speak, speak_http1


SETTINGS = b"\0\0\0\4\0\0\0\0\0"
LEVELS = {"problem", "advice", "fact"}


def heard(data):
    """What is heard of a peer that sends *data* and hangs up."""
    here, there = socket.socketpair()
    with here, there:
        there.sendall(data)
        there.shutdown(socket.SHUT_WR)
        return speak(here, "shop:1", 5)


def frames(kinds):
    """A frame of HTTP/2 with an honest length and any content."""
    parts = st.tuples(
        kinds,
        st.integers(0, 255),
        st.sampled_from([0, 1, 3, 5, 7]),
        st.binary(max_size=60),
    )
    return parts.map(
        lambda part: (
            len(part[3]).to_bytes(3, "big")
            + bytes(part[:2])
            + part[2].to_bytes(4, "big")
            + part[3]
        )
    )


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(data):
    """Noise is no HTTP/2, and is said so."""
    found = list(judge_http2(heard(data)))

    assert {finding.level for finding in found} <= LEVELS
    assert [finding for finding in found if finding.level == "problem"]


@settings(max_examples=100, deadline=None)
@given(st.lists(frames(st.integers(0, 12)), max_size=6))
def test_any_frames(sent):
    """Frames of any kind in any order raise nothing."""
    found = list(judge_http2(heard(SETTINGS + b"".join(sent))))

    assert all(finding.what.isprintable() for finding in found)
    assert all(finding.evidence.isprintable() for finding in found)


NAMES = st.sampled_from([":status", "content-type", "grpc-status", "server", "x"])
TEXTS = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF), max_size=20)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(NAMES, TEXTS), max_size=6),
    st.binary(max_size=50),
    st.lists(st.tuples(NAMES, TEXTS), min_size=1, max_size=4),
)
def test_any_headers(headers, body, trailers):
    """Headers and trailers of any text are judged, and shown on one line."""
    config = H2Configuration(
        client_side=False,
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
        validate_inbound_headers=False,
    )
    client = h2.H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    request = [(":method", "POST"), (":scheme", "http"), (":path", "/")]
    client.send_headers(1, [*request, (":authority", "x")], end_stream=True)
    server = h2.H2Connection(config)
    server.initiate_connection()
    server.receive_data(client.data_to_send())
    plain = [pair for pair in trailers if not pair[0].startswith(":")]
    server.send_headers(1, [(":status", "200"), *headers])
    server.send_data(1, body, end_stream=not plain)
    if plain:
        server.send_headers(1, plain, end_stream=True)
    found = list(judge_http2(heard(server.data_to_send())))

    assert found
    assert all(finding.evidence.isprintable() for finding in found)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=100))
def test_any_answer_to_http1(data):
    """What comes for a plain request is text or nothing."""
    here, there = socket.socketpair()
    with here, there:
        there.sendall(data)
        there.shutdown(socket.SHUT_WR)
        said = speak_http1(here, "shop:1", 5)

    assert said == "" or data.startswith(b"HTTP/1")
