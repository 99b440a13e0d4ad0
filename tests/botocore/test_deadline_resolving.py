"""Names and addresses within a limit."""

import contextlib
import socket
import threading
import time

import pytest

from resilience.botocore import resolving
from resilience.botocore.resolving import addresses, reach
from resilience.botocore.timeouts import Limit


@pytest.fixture
def names(monkeypatch):
    """Return a dict of names; a value is a list of ports, or a function to run."""
    known = {}

    def look(host, port, family=0, kind=0, *rest):
        found = known[host]
        if callable(found):
            found = found()
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", p)) for p in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look)
    return known


@pytest.fixture
def limit():
    made = Limit(time.monotonic)
    made.at = time.monotonic() + 5
    return made


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def refusing():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def swallowing():
    """A port whose queue is full: connecting hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_the_next_address_is_tried(names, limit, refusing, listening):
    """An address that refuses is not the end."""
    names["host"] = [refusing, listening]
    with reach("host", 1, timeout_s=5, limit=limit) as sock:
        assert listening == sock.getpeername()[1]
        assert limit is sock.limit


@pytest.mark.slow
def test_addresses_share_the_time(names, limit, swallowing, listening):
    """An address that swallows costs half of what is left, not all of it."""
    names["host"] = [swallowing, listening]
    began = time.monotonic()
    with reach("host", 1, timeout_s=0.2, limit=limit):
        took = time.monotonic() - began

    assert 0.09 < took < 0.2


@pytest.mark.slow
def test_several_addresses_end_together(names, limit, swallowing):
    """However many addresses swallow, connecting ends in time."""
    names["host"] = [swallowing] * 4
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        reach("host", 1, timeout_s=0.06, limit=limit)

    assert time.monotonic() - began < 1


def test_the_last_error_is_told(names, limit, refusing):
    """When nobody answers the error is the socket's own."""
    names["host"] = [refusing]
    with pytest.raises(ConnectionRefusedError):
        reach("host", 1, timeout_s=5, limit=limit)


def test_no_addresses_are_an_error(names, limit):
    """A resolver that finds nothing without saying so is told."""
    names["host"] = []
    with pytest.raises(OSError, match="empty"):
        reach("host", 1, timeout_s=5, limit=limit)


def test_the_resolvers_error_is_told(names):
    """What getaddrinfo raises comes out as it is."""

    def fail():
        raise socket.gaierror(-2, "Name or service not known")

    names["host"] = fail
    with pytest.raises(socket.gaierror, match="not known"):
        addresses("host", 1, lambda: 5.0)


def test_an_address_needs_no_thread(monkeypatch):
    """Numbers are not looked up in a thread."""
    monkeypatch.setattr(resolving, "_places", None)

    for host in ("127.0.0.1", "::1"):
        assert host == addresses(host, 80, lambda: 5.0)[0][4][0]


def test_a_lookup_that_hangs_is_left_behind(names):
    """Who waits leaves in time; the place is free when the resolver gives up."""
    release = threading.Event()
    names["host"] = lambda: [release.wait(5) and 1]

    with pytest.raises(TimeoutError, match="host"):
        addresses("host", 1, lambda: 0.01)
    release.set()


def test_lookups_that_hang_are_bounded(names, monkeypatch):
    """A further lookup waits for a place, in time, and adds no thread."""
    monkeypatch.setattr(resolving, "_places", threading.BoundedSemaphore(1))
    release = threading.Event()
    names["host"] = lambda: [release.wait(5) and 1]
    with pytest.raises(TimeoutError):
        addresses("host", 1, lambda: 0.01)

    names["other"] = [1]
    with pytest.raises(TimeoutError, match="already"):
        addresses("other", 1, lambda: 0.01)
    release.set()

    assert 1 == addresses("other", 1, lambda: 5.0)[0][4][1]


def test_without_threads_it_is_looked_up_here(names, monkeypatch):
    """A process that can have no more threads resolves as ever."""

    def refuse(_):
        raise RuntimeError

    names["host"] = [7]
    monkeypatch.setattr(threading.Thread, "start", refuse)

    assert 7 == addresses("host", 1, lambda: 5.0)[0][4][1]


def test_options_and_source_are_given(names, limit, listening):
    """What the pool wants of a socket it gets."""
    names["host"] = [listening]
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    with reach(
        "host",
        1,
        timeout_s=5,
        limit=limit,
        source_address=("127.0.0.2", 0),
        options=options,
    ) as sock:
        assert "127.0.0.2" == sock.getsockname()[0]
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
