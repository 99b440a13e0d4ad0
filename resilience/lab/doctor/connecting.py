"""One TCP (or Unix) connection, or the words for why there is none."""

import errno
import os
import socket

from .finding import Finding
from .place import Endpoint


def connect(endpoint: Endpoint, within_s: float) -> socket.socket | Finding:
    """A connected socket whose operations time out after *within_s* seconds."""
    try:
        if not endpoint.port:
            return _unix(endpoint.host, within_s)
        made = socket.create_connection((endpoint.host, endpoint.port), within_s)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (OSError, ValueError) as error:
        return _in_words(endpoint, error, within_s)
    return made


def _unix(path: str, within_s: float) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(within_s)
        made.connect(path)
    except BaseException:
        made.close()
        raise
    return made


def _in_words(endpoint: Endpoint, error: Exception, within_s: float) -> Finding:
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, TimeoutError) or number == errno.ETIMEDOUT:
        code = "tcp-timeout"
        what = f"no connection within {within_s:.1f} s: nothing answers"
        cause = "a firewall drops the packets, or the machine is gone"
        remedy = "check firewall, security group and network policy for this port"
    elif number == errno.ECONNREFUSED:
        code = "tcp-refused"
        what = "the connection is refused: nobody listens there"
        cause = "the server is down, listens on another port, or on loopback only"
        remedy = "start it, correct the port, or let it listen on 0.0.0.0 or [::]"
    elif number in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL):
        code = "no-route"
        what = "there is no route to this address"
        cause = "another network, a VPN that is down, or IPv6 that this machine lacks"
        remedy = "check routes and VPN; for IPv6, publish or use IPv4 addresses"
    elif number in (errno.ENOENT, errno.ENOTSOCK):
        code = "socket-missing"
        what = "there is no socket at this path"
        cause = "the server is down, or makes its socket elsewhere"
        remedy = "start it; check the path, also inside of containers"
    elif number in (errno.EACCES, errno.EPERM):
        code = "not-permitted"
        what = "this user may not connect there"
        cause = "file permissions, a sandbox or a firewall on this machine"
        remedy = "check the permissions of the socket and of its folder"
    else:
        code = "tcp-failed"
        what = "the connection failed"
        cause = remedy = ""
    evidence = os.strerror(number) if number else str(error)
    return Finding(
        code=code,
        level="problem",
        what=what,
        evidence=evidence,
        cause=cause,
        remedy=remedy,
        address=str(endpoint),
    )
