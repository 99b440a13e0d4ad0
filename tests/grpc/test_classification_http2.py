# ruff: noqa: E501 - one end of an RPC, one line
"""Ends made by a peer that follows a script, frame by frame: what they mean to us.

Each row is produced for real, by a blocking call and by an asyncio one. What C-core
makes of some frames differs by release; only the meaning is compared, never the text.
"""

from typing import NamedTuple

import grpc
import pytest

import resilience.grpc
from resilience.grpc.extract import Attempt, outcome_of
from tests.grpc.peers.calling import AIO_WAYS, METHOD, WAYS, end, meaning
from tests.grpc.peers.http2 import (
    Peer,
    Then,
    data,
    goaway,
    grpc_headers,
    headers,
    http_status,
    message,
    rst,
    trailers,
)


class Row(NamedTuple):
    name: str
    script: object
    code: str
    kind: str
    reached: str
    flags: str = ""
    """Of `unprocessed`, `ours`, `throttled`."""


def only(status, *more):
    """A script: one answer of headers alone."""
    return lambda stream: [http_status(stream, status, *more)]


GRPC = ("content-type", "application/grpc")
ROWS = [
    Row("FIN", lambda s: [Then.CLOSE], "UNAVAILABLE", "transport", "maybe"),
    Row("TCP RST", lambda s: [Then.RESET], "UNAVAILABLE", "transport", "maybe"),
    Row("FIN after headers", lambda s: [grpc_headers(s), Then.CLOSE], "UNAVAILABLE", "transport", "maybe"),
    Row("GOAWAY, not processed", lambda s: [goaway(0), Then.CLOSE], "UNAVAILABLE", "transport", "no", "unprocessed"),
    Row("GOAWAY, calm, not processed", lambda s: [goaway(0, 11, b"too_many_pings"), Then.CLOSE], "UNAVAILABLE", "transport", "no", "unprocessed"),
    Row("GOAWAY, accepted, then closed", lambda s: [goaway(s), Then.CLOSE], "UNAVAILABLE", "transport", "maybe"),
    Row("GOAWAY, accepted, then reset", lambda s: [goaway(s), rst(s, 2)], "INTERNAL", "transport", "maybe"),
    *(Row(f"RST_STREAM {code}", lambda s, code=code: [rst(s, code)], "INTERNAL", "transport", "maybe") for code in (0, 1, 2, 3, 4, 5, 6, 9, 10, 13, 14)),
    Row("RST_STREAM 7", lambda s: [rst(s, 7)], "UNAVAILABLE", "transport", "no", "unprocessed"),
    Row("RST_STREAM 8", lambda s: [rst(s, 8)], "CANCELLED", "transport", "maybe"),
    Row("RST_STREAM 11", lambda s: [rst(s, 11)], "RESOURCE_EXHAUSTED", "overload", "maybe", "throttled"),
    Row("RST_STREAM 12", lambda s: [rst(s, 12)], "PERMISSION_DENIED", "permanent", "maybe"),
    Row("RST_STREAM 2 after headers", lambda s: [grpc_headers(s), rst(s, 2)], "INTERNAL", "transport", "maybe"),
    Row("RST_STREAM 7 after headers", lambda s: [grpc_headers(s, ("x", "y")), rst(s, 7)], "UNAVAILABLE", "transport", "maybe"),
    Row("HTTP 400", only(400), "INTERNAL", "permanent", "maybe"),
    Row("HTTP 401", only(401), "UNAUTHENTICATED", "permanent", "maybe"),
    Row("HTTP 403", only(403), "PERMISSION_DENIED", "permanent", "maybe"),
    Row("HTTP 404", only(404), "UNIMPLEMENTED", "permanent", "maybe"),
    Row("HTTP 413", only(413), "UNKNOWN", "permanent", "maybe"),
    Row("HTTP 431", only(431), "UNKNOWN", "permanent", "maybe"),
    Row("HTTP 429", only(429), "UNAVAILABLE", "overload", "no", "throttled"),
    Row("HTTP 503", only(503), "UNAVAILABLE", "overload", "no"),
    Row("HTTP 502", only(502), "UNAVAILABLE", "transport", "maybe"),
    Row("HTTP 504", only(504), "UNAVAILABLE", "transport", "maybe"),
    *(Row(f"HTTP {status}", only(status), "UNKNOWN", "transport", "maybe") for status in (302, 405, 408, 415, 500, 501, 505)),
    Row("a web page", lambda s: [headers(s, (":status", "200"), ("content-type", "text/html")), data(s, b"<p>", ends=True)], "UNKNOWN", "transport", "maybe"),
    Row("END_STREAM on DATA", lambda s: [grpc_headers(s), data(s, b"\0\0\0\0\1a", ends=True)], "UNKNOWN", "transport", "maybe"),
    Row("no status", lambda s: [grpc_headers(s), message(s, b"a"), headers(s, ("x", "y"), ends=True)], "UNKNOWN", "transport", "maybe"),
    Row("a status that is no number", lambda s: [headers(s, (":status", "200"), GRPC, ("grpc-status", "x"), ends=True)], "INTERNAL", "transport", "maybe"),
    Row("unknown encoding", lambda s: [grpc_headers(s, ("grpc-encoding", "snappy")), message(s, b"a", packed=True), trailers(s, 0)], "INTERNAL", "permanent", "maybe"),
    Row("compressed, no encoding", lambda s: [grpc_headers(s), message(s, b"a", packed=True), trailers(s, 0)], "INTERNAL", "permanent", "maybe"),
    Row("no gzip although it says so", lambda s: [grpc_headers(s, ("grpc-encoding", "gzip")), message(s, b"a", packed=True), trailers(s, 0)], "INTERNAL", "transport", "maybe"),
    Row("garbage after headers", lambda s: [grpc_headers(s), b"\xff" * 64], "UNKNOWN", "transport", "maybe"),
    Row("metadata too large", lambda s: [grpc_headers(s, *((f"k{n}", "v" * 1000) for n in range(20))), message(s, b"a"), trailers(s, 0)], "RESOURCE_EXHAUSTED", "permanent", "maybe"),
    Row("an answer", lambda s: [grpc_headers(s), trailers(s, 5, "no such cart")], "NOT_FOUND", "application", "yes"),
    Row("an answer in one frame", lambda s: [headers(s, (":status", "200"), GRPC, ("grpc-status", "9"), ends=True)], "FAILED_PRECONDITION", "application", "yes"),
    Row("UNAVAILABLE without a word", lambda s: [grpc_headers(s), trailers(s, 14)], "UNAVAILABLE", "transport", "maybe"),
]  # fmt: skip  # a table: one row, one line
OLDER = {
    # It misses a reset now and then, and waits for the deadline.
    "TCP RST": ("DEADLINE_EXCEEDED", "transport", "maybe", ""),
    "a status that is no number": ("UNKNOWN", "transport", "maybe", ""),
    "unknown encoding": ("UNKNOWN", "transport", "maybe", ""),
    "compressed, no encoding": ("OK", "ok", "yes", ""),
}
"""What grpcio 1.71, the oldest that we admit, makes of the same frames."""


def found(row, how, **more):
    with Peer(row.script) as peer:
        return end(peer.address, how, **more)


@pytest.mark.parametrize("how", ["call", "future", "aio.call"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_end_on_the_wire_has_its_meaning(row, how):
    """Each way in which a peer can break a call off means what the table says."""
    assert found(row, how).meaning in (row[2:], OLDER.get(row.name))


IN_EACH_ARITY = {
    "FIN",
    "GOAWAY, not processed",
    "RST_STREAM 7",
    "RST_STREAM 2",
    "RST_STREAM 11",
    "HTTP 503",
    "HTTP 404",
    "no status",
    "an answer",
}
BY_ARITY = [row for row in ROWS if row.name in IN_EACH_ARITY]


@pytest.mark.parametrize("how", [*WAYS[2:], *AIO_WAYS[1:]])
@pytest.mark.parametrize("row", BY_ARITY, ids=lambda row: row.name)
def test_every_arity_has_the_same_meanings(row, how):
    """What an end means does not depend on who streams."""
    assert row[2:] == found(row, how).meaning


KEEPALIVE = (
    ("grpc.keepalive_time_ms", 100),
    ("grpc.keepalive_timeout_ms", 100),
    ("grpc.http2.ping_timeout_ms", 100),
)


@pytest.mark.parametrize("how", ["call", "aio.call"])
def test_a_peer_that_stops_answering_may_have_executed(how):
    """A keepalive ping without an answer breaks the connection, not the work."""
    with Peer(lambda stream: [Then.MUTE]) as peer:
        ended = end(peer.address, how, options=KEEPALIVE)

    assert ("UNAVAILABLE", "transport", "maybe", "") == ended.meaning
    assert "timeout" in ended.error.details()


NOTHING = {
    "headers, then OK": lambda s: [grpc_headers(s), trailers(s, 0)],
    "OK alone": lambda s: [
        headers(s, (":status", "200"), GRPC, ("grpc-status", "0"), ends=True)
    ],
    "half a message": lambda s: [
        grpc_headers(s),
        data(s, b"\0\0\0\0\5a"),
        trailers(s, 0),
    ],
}


def in_turn(scripts):
    """A script that plays another one for each request."""
    left = iter(scripts)

    def play(stream):
        return next(left)(stream)

    return play


@pytest.mark.parametrize("how", ["call", "future"])
@pytest.mark.parametrize("script", NOTHING.values(), ids=NOTHING)
def test_ok_without_a_message_is_no_answer(script, how, make_engine, records, policy):
    """OK with nothing behind it counts as INTERNAL, and is repeated where it may be."""
    scripts = [script, lambda s: [grpc_headers(s), message(s, b"a"), trailers(s, 0)]]
    with Peer(in_turn(scripts)) as peer:
        answer = _protected(peer.address, make_engine(policy), how)

    assert b"a" == answer
    first = records.of("AttemptEnded")[0].outcome
    assert ("INTERNAL", "transport", "maybe", "") == meaning(first)


def _protected(address, engine, how):
    with grpc.insecure_channel(address) as bare:
        channel = resilience.grpc.intercept_channel(bare, engine, target="x")
        method = channel.unary_unary("/shop.Cart/Get")
        return method.future(b"a").result() if how == "future" else method(b"a")


@pytest.mark.parametrize("how", ["unary_stream", "stream_stream", "aio.unary_stream"])
def test_a_stream_without_messages_is_an_answer(how):
    """A stream may be empty: OK with nothing in it is no failure there."""
    with Peer(NOTHING["headers, then OK"]) as peer:
        ended = end(peer.address, how)

    assert (None, []) == (ended.error, ended.answer)


@pytest.mark.parametrize("arity", ["unary_stream", "stream_stream"])
def test_a_cancelled_stream_is_read_without_waiting(arity):
    """A cancelled stream is not asked for its debug text: grpcio would wait for ever."""
    with (
        Peer(lambda stream: [grpc_headers(stream)]) as peer,
        grpc.insecure_channel(peer.address) as channel,
    ):
        request = b"a" if arity == "unary_stream" else iter([b"a"])
        native = getattr(channel, arity)(METHOD)(request, timeout=10)
        native.cancel()
        outcome = outcome_of(native, Attempt(None, 0.1, lambda: "", False))

    assert ("CANCELLED", "local") == outcome[:2]


@pytest.mark.parametrize("how", ["call", "aio.call"])
@pytest.mark.parametrize(
    ("script", "gone"),
    [
        (lambda s: [goaway(0), Then.CLOSE], "no"),
        (lambda s: [rst(s, 7)], "maybe"),
        (lambda s: [http_status(s, 503)], "maybe"),
        (lambda s: [Then.CLOSE], "maybe"),
    ],
    ids=["GOAWAY", "REFUSED_STREAM", "HTTP 503", "FIN"],
)
def test_the_channels_state_testifies(script, gone, how):
    """Without trust, unprocessed is only what came as the connection went away.

    The channel may hear of it a moment after the call has: then nothing is believed.
    """
    with Peer(script) as peer:
        ended = end(peer.address, how)

    assert (gone if ended.state == "IDLE" else "maybe") == ended.doubted.reached


@pytest.mark.slow
@pytest.mark.parametrize("how", ["call", "aio.call"])
def test_two_messages_for_one_call_run_into_the_deadline(how):
    """A second message where one belongs is never read: the call waits in vain."""
    with Peer(
        lambda s: [grpc_headers(s), message(s, b"a"), message(s, b"b"), trailers(s, 0)]
    ) as peer:
        ended = end(peer.address, how, timeout=0.2)

    assert ("DEADLINE_EXCEEDED", "transport", "maybe", "") == ended.meaning
    assert ended.outcome.timed_out
