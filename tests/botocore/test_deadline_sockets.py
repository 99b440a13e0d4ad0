"""A socket whose steps end with a limit, seen from one end of a pair."""

import socket
import ssl
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resilience.botocore.sockets import Bounded, bind, bounded, plain, tls
from resilience.botocore.timeouts import Limit


class Now:
    """A clock that is set by hand."""

    def __init__(self):
        self.at = 100.0

    def __call__(self):
        return self.at


@pytest.fixture
def now():
    return Now()


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    made = bounded(left)
    yield made, right
    made.close()
    right.close()


def limit_at(now, seconds):
    limit = Limit(now)
    limit.at = now.at + seconds
    return limit


def native_timeout(sock):
    return socket.socket.gettimeout(sock)


def test_without_a_limit_it_is_a_socket(pair):
    """Nobody's limit: the timeout is the one that was set, and data flows."""
    sock, peer = pair
    sock.settimeout(7)
    sock.sendall(b"ab")
    peer.sendall(b"cd")

    assert (b"ab", b"cd") == (peer.recv(9), sock.recv(9))
    assert 7 == sock.gettimeout() == native_timeout(sock)


@pytest.mark.parametrize(
    ("base", "left", "expected"), [(7, 3, 3), (3, 7, 3), (None, 3, 3), (7, None, 7)]
)
def test_the_lesser_time_holds(base, left, expected, pair, now):
    """A step may take what urllib3 allows or what is left, whichever is less."""
    sock, peer = pair
    sock.settimeout(base)
    limit = Limit(now)
    limit.at = None if left is None else now.at + left
    sock.limit = limit
    peer.sendall(b"x")

    assert 1 == sock.recv_into(bytearray(4))
    assert expected == native_timeout(sock)
    assert base == sock.gettimeout()


def test_each_step_gets_less(pair, now):
    """Time that passes between steps is gone, for both directions."""
    sock, _ = pair
    sock.settimeout(60)
    sock.limit = limit_at(now, 5)
    found = []
    for step in (lambda: sock.send(b"x"), lambda: sock.sendall(b"y")):
        step()
        found.append(native_timeout(sock))
        now.at += 2

    assert [5, 3] == found


def test_a_limit_may_be_moved(pair, now):
    """A limit that is renewed gives the next step its time, a lifted one all of it."""
    sock, _ = pair
    sock.settimeout(60)
    sock.limit = limit = limit_at(now, 5)
    found = []
    for at in (105, 120, None):
        limit.at = at
        sock.send(b"x")
        found.append(native_timeout(sock))

    assert [5, 20, 60] == found


TIMES = st.one_of(
    st.none(), st.sampled_from([0.002, 0.02, 0.5, 3.0, 3.0029, 30.0, 60.0])
)
CHANGES = st.tuples(st.sampled_from(["base", "left", "passes"]), TIMES)


@given(st.lists(CHANGES, max_size=12))
@example([("left", 30.0), ("passes", 0.02)])
def test_whatever_changes_the_lesser_time_holds(changes):
    """After any changes of timeout, limit and time the next step may take the lesser.

    It is right within a millisecond, or a thousandth that is no more than 10 ms.
    """
    now, (left, right) = Now(), socket.socketpair()
    with bounded(left) as sock, right:
        sock.limit = limit = Limit(now)
        for what, value in changes:
            if what == "base":
                sock.settimeout(value)
            elif what == "left":
                limit.at = None if value is None else now.at + value
            else:
                now.at += value or 0.0
            times = [sock.gettimeout(), limit.left()]
            wanted = min((one for one in times if one is not None), default=None)
            if wanted is not None and wanted <= 0.001:
                continue
            sock.send(b"x")
            found = native_timeout(sock)

            assert (found is None) == (wanted is None)
            if wanted is not None:
                slack = max(0.001, min(found / 1000, 0.01)) + 1e-6
                assert wanted * 0.999 - 1e-6 <= found <= wanted + slack


@pytest.mark.parametrize("step", ["recv", "recv_into", "send", "sendall"])
def test_past_the_limit_nothing_begins(step, pair, now):
    """When time is over a step fails as a timeout, though data is there."""
    sock, peer = pair
    peer.sendall(b"x")
    sock.limit = limit = limit_at(now, 0)
    value = {"recv": 9, "recv_into": bytearray(9)}.get(step, b"x")

    with pytest.raises(TimeoutError):
        getattr(sock, step)(value)
    assert limit.cut


@pytest.mark.slow
@pytest.mark.parametrize("step", ["recv", "recv_into", "sendall"])
def test_a_step_ends_in_time(step, pair):
    """A step that waits ends with the limit, and says that it was the limit."""
    sock, _ = pair
    sock.settimeout(60)
    sock.limit = limit = Limit(time.monotonic)
    limit.at = time.monotonic() + 0.03
    value = {"recv": 9, "recv_into": bytearray(9)}.get(step, b"x" * 9_000_000)

    with pytest.raises(TimeoutError):
        getattr(sock, step)(value)

    assert limit.cut
    assert -0.002 < time.monotonic() - limit.at < 1


@pytest.mark.slow
def test_a_timeout_of_its_own_is_no_cut(pair):
    """Silence that urllib3's own timeout ends is not the limit's."""
    sock, _ = pair
    sock.settimeout(0.01)
    sock.limit = limit = Limit(time.monotonic)
    limit.at = time.monotonic() + 60

    with pytest.raises(TimeoutError):
        sock.recv(9)
    assert not limit.cut


def test_a_timeout_that_nearly_fits_is_let_be(pair, now, monkeypatch):
    """Setting a timeout is a system call: less than a millisecond is not worth it."""
    sock, _ = pair
    sock.settimeout(60)
    sock.limit = limit_at(now, 5)
    sock.send(b"x")
    now.at += 0.0008
    sock.send(b"x")

    assert 5 == native_timeout(sock)


def test_a_socket_that_does_not_block_stays_so(pair, now):
    """Whoever wants no waiting gets none."""
    sock, _ = pair
    sock.setblocking(False)
    sock.limit = limit_at(now, 5)

    with pytest.raises(BlockingIOError):
        sock.recv(9)
    assert 0 == sock.gettimeout()


def test_classes_are_made_of_what_there_is():
    """A socket class that somebody put in place is the one that is extended."""

    class Patched(socket.socket):
        pass

    class PatchedTLS(ssl.SSLSocket):
        pass

    assert issubclass(plain(Patched), Patched)
    assert plain(Patched) is plain(Patched)
    assert plain(Patched) is not plain(socket.socket)
    assert issubclass(tls(PatchedTLS), PatchedTLS)


def test_unknown_sockets_are_left_alone(now):
    """What is no plain socket is not touched, and cannot be bound."""
    strange = object()

    assert strange is bounded(strange)
    assert not bind(strange, limit_at(now, 5))


def test_a_tunnel_is_bound_below(pair, now):
    """TLS inside TLS keeps to the limit by the socket underneath."""

    class Tunnel:
        socket = pair[0]

    limit = limit_at(now, 5)

    assert bind(Tunnel(), limit)
    assert limit is pair[0].limit


def test_a_bounded_socket_keeps_what_the_socket_had():
    """Making a socket one that keeps to a limit loses nothing of it."""
    bare = socket.socket()
    bare.settimeout(3)
    number = bare.fileno()
    made = bounded(bare)

    assert isinstance(made, Bounded)
    assert (number, 3) == (made.fileno(), made.gettimeout())
    assert -1 == bare.fileno()
    made.close()
