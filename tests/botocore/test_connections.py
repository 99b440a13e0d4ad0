"""What one connection of ours sends, and whether it is taken for an open one."""

import select
import socket

import pytest

from resilience.botocore.connections import TOGETHER, DeadlineHTTPConnection


class Pieces:
    """A socket that keeps what it is given to send."""

    def __init__(self, error=None):
        self.sent = []
        self.error = error

    def settimeout(self, seconds):
        """Nothing waits here."""

    def fileno(self):
        return -1

    def sendall(self, data):
        error, self.error = self.error, None
        if error is not None:
            raise error
        self.sent.append(bytes(data))

    def close(self):
        """Nothing is open."""


def post(conn, body, **more):
    conn.request("POST", "/", body=body, headers={"X-A": "1"}, **more)


@pytest.fixture
def conn():
    made = DeadlineHTTPConnection("127.0.0.1", 1)
    made.sock = Pieces()
    return made


@pytest.mark.parametrize("size", [1, TOGETHER])
def test_a_small_body_goes_with_its_head(conn, size):
    """One piece, one packet: the head first, then the body, each once."""
    post(conn, b"x" * size)

    (sent,) = conn.sock.sent
    head, _, body = sent.partition(b"\r\n\r\n")
    assert head.startswith(b"POST / HTTP/1.1\r\n")
    assert b"X-A: 1" in head
    assert body == b"x" * size
    assert "send" not in vars(conn)


@pytest.mark.parametrize(
    ("body", "more", "pieces"),
    [
        (None, {}, 1),
        (b"", {}, 1),
        (b"x" * (TOGETHER + 1), {}, 2),
        (b"x", {"chunked": True}, 3),
    ],
    ids=["no body", "empty body", "large body", "chunks"],
)
def test_all_else_is_sent_as_ever(conn, body, more, pieces):
    """What is large, comes in chunks or has no body is sent as urllib3 sends it."""
    post(conn, body, **more)

    assert len(conn.sock.sent) == pieces
    assert b"".join(conn.sock.sent).count(body or b"POST") == 1


def test_a_failed_request_leaves_nothing_behind(conn):
    """The head of one that broke off is not sent with the next."""
    conn.sock.error = BrokenPipeError()
    with pytest.raises(BrokenPipeError):
        post(conn, b"first")
    conn.close()
    conn.sock = Pieces()
    post(conn, b"second")

    (sent,) = conn.sock.sent
    assert sent.endswith(b"\r\n\r\nsecond")
    assert b"first" not in sent


def test_a_tunnel_comes_first(monkeypatch):
    """A connection that is opened by its request asks the proxy before it sends it."""
    ours, proxy = socket.socketpair()
    made = DeadlineHTTPConnection("127.0.0.1", 1)
    made.set_tunnel("orders.example", 443)
    monkeypatch.setattr(made, "_new_conn", lambda: ours)
    proxy.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    post(made, b"body")
    made.close()
    with proxy:
        found = b"".join(iter(lambda: proxy.recv(9999), b""))

    assert found.startswith(b"CONNECT orders.example:443 ")
    assert found.endswith(b"\r\n\r\nbody")
    assert found.count(b"POST / HTTP/1.1") == found.count(b"body") == 1


@pytest.mark.parametrize("asks", ["poll", "select"])
def test_an_idle_connection_is_looked_at(asks, monkeypatch):
    """One that was closed, or that has something to say, is used no more."""
    conn = DeadlineHTTPConnection("127.0.0.1", 1)
    if asks == "select":  # as where gevent has put its own in its place

        def poll():
            made.append(native())
            return made[-1]

        made, native = [], select.poll
        monkeypatch.setattr(select, "poll", poll)
    found = [conn.is_connected]
    for said in (b"HTTP/1.1 408", None):
        conn.sock, peer = socket.socketpair()
        found += [conn.is_connected, conn.is_connected]
        if said is None:
            peer.close()
        else:
            peer.send(said)
        found.append(conn.is_connected)
        peer.close()
        conn.sock.close()

    assert found == [False, True, True, False, True, True, False]
    assert asks == "poll" or len(made) >= 6


def test_a_closed_socket_is_not_taken_for_another():
    """A descriptor that was given to somebody else is not the connection's."""
    conn = DeadlineHTTPConnection("127.0.0.1", 1)
    conn.sock, peer = socket.socketpair()
    with peer:
        assert conn.is_connected
        conn.sock.close()
        with pytest.raises(ValueError, match="descriptor"):  # as urllib3's own
            _ = conn.is_connected
