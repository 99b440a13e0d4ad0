"""The doctor against peers that are no gRPC servers."""

import contextlib
import http.server
import socket
import threading
import time

import pytest

from resilience.lab.doctor import diagnose
from tests.real.doctor.found import codes, one


pytestmark = pytest.mark.real


@pytest.fixture
def listener():
    """`listener(speak)`: each connection is handed to *speak*."""
    made = []

    def listen(speak):
        opened = socket.create_server(("127.0.0.1", 0))
        made.append(opened)

        def accept():
            while True:
                try:
                    connection, _ = opened.accept()
                except OSError:
                    return
                made.append(connection)
                speak(connection)

        threading.Thread(target=accept, daemon=True).start()
        return f"127.0.0.1:{opened.getsockname()[1]}"

    yield listen
    for each in made:
        each.close()


def test_a_web_server(listener):
    """An HTTP/1.1 server is recognised, in either wish."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True).start()
    address = f"127.0.0.1:{web.server_port}"
    found = diagnose(address)
    wished = diagnose(address, security="tls")
    web.shutdown()
    web.server_close()

    assert ["http1-peer"] == codes(found)
    assert "SimpleHTTP" in one(found, "http1-peer").evidence
    assert ["tls-not-spoken", "http1-peer"] == codes(wished)


def test_another_protocol(listener):
    """A banner that is no HTTP is shown, and cannot write on the terminal."""
    address = listener(lambda peer: peer.sendall(b"SSH-2.0-\x1b[31mred\r\n"))
    found = diagnose(address)

    assert ["not-http2"] == codes(found)
    assert "\\x1b[31mred" in one(found, "not-http2").evidence


@pytest.mark.slow
def test_a_silent_peer_is_given_up(listener):
    """A peer that says nothing takes no more than the time given."""
    address = listener(lambda peer: None)
    began = time.monotonic()
    found = diagnose(address, timeout_s=0.2)

    assert ["http2-silent"] == codes(found)
    assert time.monotonic() - began < 5


@pytest.mark.slow
def test_a_peer_that_drips_is_given_up(listener):
    """A byte now and then keeps nobody waiting for ever."""
    done = threading.Event()

    def drip(peer):
        def go_on():
            with contextlib.suppress(OSError):
                peer.sendall(b"<")
                while not done.wait(0.01):
                    peer.sendall(b"x")

        threading.Thread(target=go_on, daemon=True).start()

    began = time.monotonic()
    found = diagnose(listener(drip), timeout_s=0.6)
    done.set()

    assert ["http1-peer"] == codes(found)
    assert time.monotonic() - began < 5


def test_a_peer_that_hangs_up(listener):
    """A peer that closes at once is told apart from a silent one."""
    found = diagnose(listener(lambda peer: peer.close()))

    assert ["http2-cut-off"] == codes(found)
