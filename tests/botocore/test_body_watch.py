"""Time and progress of bodies: windows, patience, sockets of every kind."""

import types

import pytest
import urllib3
from botocore.exceptions import ReadTimeoutError
from urllib3.response import HTTPResponse

import resilience
from resilience.botocore import body_watch
from resilience.botocore.body_watch import (
    FIRST_PIECE,
    LEAST_PIECE,
    MOST_PIECE,
    MOVED,
    Watch,
)
from resilience.botocore.duration import SLOWEST_BYTES_PER_S
from resilience.botocore.sockets import Bounded
from resilience.botocore.timeouts import Limit
from resilience.inbound import Inbound


HEAD = b'HTTP/1.1 %s\r\netag: "e"\r\n%scontent-length: %d\r\n\r\n'
DATA = b"abcdefgh"
WHOLE = HEAD % (b"200 OK", b"", 8) + DATA[:3]


def rest(start):
    """The answer to a request for everything from *start* on."""
    said = b"content-range: bytes %d-7/8\r\n" % start
    return HEAD % (b"206 Partial Content", said, 8 - start) + DATA[start:]


def at(client):
    return client.get_object(Bucket="bkt", Key="k")["Body"]


def then(first):
    """A script: what *first* does for the first GET, then the rest of the body."""

    def script(peer):
        peer.handshake()
        while (lines := peer.request()) is not None:
            found = [line for line in lines if line.startswith("Range: bytes=")]
            if found:
                peer.send(rest(int(found[0][13:].partition("-")[0])))
            else:
                peer.send(WHOLE)
                first(peer)
                return

    return script


def made(clock, *, silence_s=5.0, is_last=False, deadline_at=None):
    """A watch of a body on sockets of ours that are not there."""
    flight = types.SimpleNamespace(
        limit=Limit(clock.now),
        deadline_at=deadline_at,
    )
    sock = Bounded()
    sock._base = silence_s
    inner = types.SimpleNamespace(_sock=sock)
    raw = types.SimpleNamespace(
        length_remaining=10_000_000,
        decode_content=False,
        _fp=types.SimpleNamespace(fp=types.SimpleNamespace(raw=inner)),
    )
    resume = types.SimpleNamespace(is_last=is_last, error=None)
    return Watch(flight, raw, resume, None, None), flight.limit


def test_a_step_has_a_window(clock):
    """Twice the silence that is allowed, and what the slowest link needs."""
    watch, limit = made(clock)
    began = clock.now()
    watch.begin()

    window = 10 + FIRST_PIECE / SLOWEST_BYTES_PER_S
    assert limit.at == pytest.approx(began + window, abs=0.5)


def test_a_reader_that_pauses_is_not_a_stall(clock):
    """The window begins with the step, however long the reader was away."""
    watch, limit = made(clock)
    watch.begin()
    clock.skipped += 100
    watch.begin()

    assert limit.at > clock.now() + 10


def test_the_last_connection_is_waited_for_as_natively(clock):
    """Where another cut would be the end, we cut nothing ourselves."""
    watch, limit = made(clock, is_last=True)
    watch.begin()

    assert limit.at is None


def test_the_deadline_comes_first(clock):
    """A window never outlives the deadline."""
    ends = clock.now() + 3
    watch, limit = made(clock, deadline_at=ends)
    watch.begin()

    assert ends == limit.at


@pytest.mark.parametrize(
    ("silence_s", "most"), [(5.0, 10 * SLOWEST_BYTES_PER_S), (60.0, MOST_PIECE)]
)
def test_steps_fit_the_speed(silence_s, most, clock):
    """Quick steps grow, slow ones shrink, within bounds."""
    watch, _ = made(clock, silence_s=silence_s)
    came = 0
    for _ in range(20):
        watch.begin()
        piece = watch.piece
        watch.done()
        came += piece
        assert piece <= watch.piece <= max(piece, came)
    assert most == watch.piece
    for _ in range(20):
        watch.begin()
        clock.skipped += 2
        watch.done()

    assert LEAST_PIECE == watch.piece


@pytest.mark.slow
def test_a_drip_is_cut_and_resumed(serve, dial, make_engine, monkeypatch):
    """What brings next to nothing is asked for on another connection."""
    monkeypatch.setattr(body_watch, "SLOWEST_BYTES_PER_S", 1 << 40)

    def drip(peer):
        peer.drip(b"defgh", every_s=0.04)

    server = serve(then(drip))
    client = dial(server.url, make_engine({"breaker": "off", "idle_timeout": "50ms"}))

    assert b"abcdefgh" == at(client).read()
    assert 2 == len(server.seen)


@pytest.mark.slow
def test_a_slow_body_without_alternative_arrives(serve, dial, make_engine, monkeypatch):
    """A drip that nothing could replace is read to its end."""
    monkeypatch.setattr(body_watch, "SLOWEST_BYTES_PER_S", 1 << 40)
    rules = {"breaker": "off", "idle_timeout": "50ms", "retry": {"max_attempts": 1}}
    server = serve(then(lambda peer: peer.drip(b"defgh", every_s=0.03)))

    assert b"abcdefgh" == at(dial(server.url, make_engine(rules))).read()
    assert 1 == len(server.seen)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("workers", [False, True])
def test_sockets_of_every_kind(tls, workers, serve, dial):
    """TLS and calls in threads of their own go on after a cut as well."""
    server = serve(then(lambda peer: None), tls=tls)
    body = at(dial(server.url, workers=workers))

    assert b"abcdefgh" == body.read()
    assert 2 == len(server.seen)


def soft(monkeypatch):
    monkeypatch.setattr("resilience.botocore.guard.install", lambda client: False)


def test_connections_of_others(serve, dial, monkeypatch):
    """Where sockets are not ours, bodies go on just the same."""
    soft(monkeypatch)
    server = serve(then(lambda peer: None))

    assert b"abcdefgh" == at(dial(server.url)).read()
    assert 2 == len(server.seen)


@pytest.mark.slow
def test_what_a_handler_left_behind_is_bound_no_more(serve, dial):
    """When the call that we serve has its answer, its deadline is nobody's."""
    server = serve(then(lambda peer: (peer.rest(0.35), peer.send(DATA[3:]))))
    client = dial(server.url)
    now = resilience.context.monotonic()
    served = Inbound(deadline_at=now + 0.3)
    with resilience.context.serving(served):
        body = at(client)
    served.has_ended = True

    assert DATA == body.read()
    assert 1 == len(server.seen)


@pytest.mark.slow
def test_a_deadline_on_connections_of_others(serve, dial, monkeypatch):
    """There the deadline bounds each silence."""
    soft(monkeypatch)
    body = at(dial(serve(then(lambda peer: peer.stall())).url))
    with resilience.deadline(0.1), pytest.raises(ReadTimeoutError):
        body.read()


@pytest.mark.slow
def test_such_a_connection_gets_its_timeout_back(serve, dial, monkeypatch):
    """After the deadline's block a silence may last as natively."""
    soft(monkeypatch)
    body = at(dial(serve(then(lambda peer: peer.send(DATA[3:]))).url))
    with resilience.deadline(1):
        assert DATA[:2] == body.read(2)
    assert DATA[2:4] == body.read(2)

    assert 60 == body._raw_stream._fp.fp.raw._sock.gettimeout()


@pytest.mark.slow
def test_the_readers_own_timeout_stays(serve, dial):
    """`set_socket_timeout` holds after a resume, too."""
    client = dial(serve(then(lambda peer: None)).url)
    body = at(client)
    body.set_socket_timeout(7)
    assert b"abc" == body.read(3)
    assert b"def" == body.read(3)

    assert 7 == body._raw_stream._fp.fp.raw._sock.gettimeout()


@pytest.mark.slow
def test_other_bodies_end_with_their_deadline(wire, connect, make_engine):
    """Every streaming answer is bound by the call's deadline."""
    over = []

    def stall(handler):
        handler.send_response_only(200)
        handler.send_header("content-length", "8")
        handler.end_headers()
        handler.wfile.write(b"abc")
        handler.wfile.flush()
        handler.connection.settimeout(5)
        over.append(handler.rfile.read(1))
        return "drop"

    wire.plans = [stall]
    client = connect("lambda", make_engine())
    with resilience.deadline(0.15):
        payload = client.invoke(FunctionName="f")["Payload"]
        with pytest.raises(ReadTimeoutError):
            payload.read()


@pytest.mark.slow
def test_event_streams_end_with_their_deadline(wire, connect, make_engine):
    """An event stream that stalls raises botocore's error, in time."""

    def stall(handler):
        handler.send_response_only(200)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        handler.connection.settimeout(5)
        handler.rfile.read(1)
        return "drop"

    wire.plans = [stall]
    client = connect("s3", make_engine())
    with resilience.deadline(0.15):
        stream = client.select_object_content(
            Bucket="bkt",
            Key="k",
            Expression="e",
            ExpressionType="SQL",
            InputSerialization={"CSV": {}},
            OutputSerialization={"CSV": {}},
        )["Payload"]
        with pytest.raises(ReadTimeoutError):
            list(stream)


READS = {
    "all": lambda body: body.read(),
    "three": lambda body: body.read(3),
    "more": lambda body: body.read(99),
    "chunks": list,
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_whole_body_gives_its_connection_back(read, serve, dial):
    """Bodies that were read to their end leave a connection that is used again."""

    def script(peer):
        while peer.request() is not None:
            peer.send(HEAD % (b"200 OK", b"", 3) + b"abc")

    server = serve(script)
    client = dial(server.url)

    assert read(at(client)) in (b"abc", [b"abc"])
    at(client).read()
    at(client).read(2)
    at(client).read()

    assert 2 == server.connections


def test_what_urllib3_must_have():
    """The names inside urllib3 that a resumed body moves or asks for."""
    raw = HTTPResponse(b"", preload_content=False)
    names = {*MOVED, "_fp_bytes_read", "decode_content"} - {"_sock_shutdown"}

    assert names <= set(vars(raw))
    assert callable(raw._error_catcher)
    assert callable(raw._raw_read)
    assert int(urllib3.__version__.split(".")[0]) >= 2
