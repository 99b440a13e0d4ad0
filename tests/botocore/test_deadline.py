"""A call never outlives its deadline, whatever the server does."""

import socket
import time

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    ReadTimeoutError,
)

import resilience
from resilience.botocore.timeouts import Limit
from tests.botocore.stalling.modes import ERROR, MODES, _get, _list, accepts
from tests.botocore.stalling.server import Unreachable


DEADLINE_S = 0.2
LATE_S = 5.0
"""What a busy machine may add; the benchmark has the real figure, bare has minutes."""
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def timed(call):
    """Return (the error that *call* raised, seconds that it took)."""
    began = time.monotonic()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - told by the test
        call()
    return caught.value, time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tls"),
    [
        (name, tls)
        for name in MODES
        for tls in (False, True)
        if tls or not MODES[name].tls_only
    ],
)
def test_no_stall_outlives_the_deadline(name, tls, serve, dial):
    """However the server stalls, the call ends in time and in botocore's words."""
    mode = MODES[name]
    client = dial(serve(mode.script, tls=tls).url)

    with resilience.deadline(DEADLINE_S):
        error, took = timed(lambda: mode.call(client))

    assert isinstance(error, ReadTimeoutError)
    assert DEADLINE_S - 0.005 < took < DEADLINE_S + LATE_S
    assert "deadline" == resilience.report(error).reason


@pytest.mark.slow
def test_a_stall_in_connect_ends(dial):
    """A host that swallows connection requests costs the deadline."""
    unreachable = Unreachable()
    client = dial(unreachable.url)

    with resilience.deadline(DEADLINE_S):
        error, took = timed(lambda: _list(client))
    unreachable.close()

    assert isinstance(error, ConnectTimeoutError)
    assert not resilience.report(error).ambiguous
    assert took < DEADLINE_S + LATE_S


@pytest.mark.slow
def test_an_attempt_that_drips_is_tried_again(serve, dial, make_engine):
    """attempt_timeout ends an attempt that never falls silent, and the next may win."""

    def script(peer):
        while peer.request():
            if len(peer.server.seen) == 1:
                peer.send(b"HTTP/1.1 200 OK\r\nx-long: ")
                peer.drip(b"x" * 4000, 0.01)
            peer.send(OK)

    server = serve(script)
    client = dial(server.url, make_engine({"attempt_timeout": "60ms"}))

    client.head_object(Bucket="orders", Key="1")

    assert 2 == len(server.seen)
    assert 2 == server.connections


def test_a_cut_error_body_is_tried_again(serve, dial):
    """An error body that breaks off is botocore's error, and retried as such."""

    def script(peer):
        peer.request()
        if len(peer.server.seen) == 1:
            peer.send(b"HTTP/1.1 503 x\r\ntransfer-encoding: chunked\r\n\r\nff\r\nab")
            return
        peer.send(OK)

    server = serve(script)
    answer = _get(dial(server.url))
    answer["Body"].close()

    assert 2 == len(server.seen)


def test_a_cut_error_body_is_named(serve, dial, make_engine):
    """What comes out is never urllib3's own error."""

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 503 x\r\ntransfer-encoding: chunked\r\n\r\nff\r\nab")

    client = dial(serve(script).url, make_engine({"retry": "off"}))

    with pytest.raises(ConnectionClosedError):
        _get(client)


def test_an_error_body_that_comes_is_read(serve, dial, make_engine):
    """A whole error body says what it says."""

    def script(peer):
        peer.request()
        body = b"<Error><Code>NoSuchKey</Code></Error>"
        peer.send(ERROR.replace(b"4000", str(len(body)).encode()) + body)

    client = dial(serve(script).url, make_engine())

    with pytest.raises(ClientError, match="NoSuchKey"), resilience.deadline(5):
        _get(client)


@pytest.mark.parametrize(("seconds", "expected"), [(1.9, 0), (30, 1)])
def test_expect_is_dropped_when_time_is_short(seconds, expected, serve, dial):
    """Nobody waits a second for `100 Continue` who has not got it."""

    def script(peer):
        peer.request(body=False)
        peer.send(OK)

    server = serve(script)
    client = dial(server.url)

    with resilience.deadline(seconds):
        client.put_object(Bucket="orders", Key="1", Body=b"small")

    (lines,) = server.seen
    assert expected == sum(line.lower().startswith("expect:") for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["observe", "bypass"])
def test_only_enforce_acts(mode, serve, dial, make_engine):
    """Observing and bypassing leave sockets, timeouts and errors as they are."""

    def script(peer):
        peer.request(body=False)
        peer.rest(0.08)
        peer.send(OK)

    server = serve(script)
    client = dial(server.url, make_engine(mode=mode))

    with resilience.deadline(0.03):
        answer = client.put_object(Bucket="orders", Key="1", Body=b"small")

    (lines,) = server.seen
    assert any(line.lower().startswith("expect:") for line in lines)
    assert 200 == answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.slow
def test_a_body_is_not_bound_by_its_attempts_limit(serve, dial, make_engine):
    """What a call returns as a stream is read when the attempt's time is over, too."""

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
        peer.rest(0.22)
        peer.send(b"cd")

    operations = {"s3.GetObject": {"attempt_timeout": "200ms"}}
    engine = make_engine({"breaker": "off"}, operations=operations)
    client = dial(serve(script).url, engine)
    body = _get(client)["Body"]

    assert b"abcd" == body.read()


@pytest.mark.parametrize(("kept", "expected"), [(False, None), (True, 7.0)])
def test_a_limit_ends_with_its_call_unless_kept(kept, expected):
    """Who guards a body keeps the limit; else what the call left open is native."""
    limit = Limit(lambda: 0.0)
    limit.at, limit.kept = 7.0, kept
    limit.release()

    assert expected == limit.left()


@pytest.mark.slow
def test_a_name_that_is_not_resolved_in_time(dial, monkeypatch):
    """Name resolution is left behind with the deadline."""
    bare = socket.getaddrinfo
    held = []

    def slow(host, *args, **kwargs):
        if host == "slow.example":
            held.append(host)
            time.sleep(0.3)
        return bare("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    client = dial("http://slow.example:1")

    with resilience.deadline(0.15):
        error, took = timed(lambda: _list(client))

    assert isinstance(error, ConnectTimeoutError)
    assert took < 0.29
    assert ["slow.example"] == held


@pytest.mark.slow
def test_writing_ends_with_the_attempt(serve, dial, make_engine):
    """An upload that nobody reads is cut with its attempt, on each of them."""
    server = serve(MODES["never reads an upload"].script)
    rules = {"attempt_timeout": "50ms", "retry": {"max_attempts": 2}}
    operations = {"s3.PutObject": {"attempt_timeout": "50ms"}}
    client = dial(server.url, make_engine(rules, operations=operations))

    error, took = timed(lambda: MODES["never reads an upload"].call(client))

    assert isinstance(error, ReadTimeoutError)
    assert 2 == server.connections
    assert took < 0.1 + LATE_S


def test_accepting_is_not_answering(serve, dial):
    """A deadline that has passed sends nothing, not even a connection."""
    server = serve(accepts)
    client = dial(server.url)

    with resilience.deadline(0):
        error, _ = timed(lambda: _list(client))

    assert "deadline" == error.reason
    assert 0 == server.connections
