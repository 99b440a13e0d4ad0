"""Loopback ports: finding a free one, and waiting until somebody listens.

Ports are taken from below the ephemeral range. A client that reconnects to a dead
server on an ephemeral port can otherwise meet its own outgoing connection there.
"""

import random
import socket
import time
from collections.abc import Callable


LOWEST, HIGHEST = 20_000, 32_000
HOST = "127.0.0.1"


def free_port() -> int:
    """A TCP port on loopback that nobody listens on right now.

    Raises:
        OSError: a hundred ports in a row were taken.
    """
    draw = random.SystemRandom()
    for _ in range(100):
        port = draw.randrange(LOWEST, HIGHEST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    msg = f"no free port between {LOWEST} and {HIGHEST}"
    raise OSError(msg)


def is_listening(port: int) -> bool:
    """Whether a TCP connection to *port* on loopback is accepted."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0


def wait_listening(port: int, *, within_s: float, alive: Callable[[], bool]) -> bool:
    """Whether *port* accepts a connection within *within_s* seconds, while *alive*."""
    give_up = time.monotonic() + within_s
    while alive():
        if is_listening(port):
            return alive()
        if time.monotonic() > give_up:
            return False
        time.sleep(0.01)
    return False
