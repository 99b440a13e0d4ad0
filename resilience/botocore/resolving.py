"""Finding and reaching a host within a limit.

Name resolution cannot be interrupted, so it runs in a thread that is left behind when
time is over; it ends when the resolver gives up. Addresses share the time that is
left, where urllib3 gives each of them all of it. Nothing here outlives a fork.
"""

import os
import socket
import threading
from collections.abc import Callable
from typing import Any

from urllib3.util import connection as native

from .sockets import LATE, bind, plain
from .timeouts import Limit


MOST = 64
"""Lookups under way at once; a further one waits for a place, within its limit."""
Address = tuple[Any, ...]
_places = threading.BoundedSemaphore(MOST)


def addresses(host: str, port: int, left: Callable[[], float]) -> list[Address]:
    """What `getaddrinfo` says, in time.

    Args:
        host: a name or an address.
        port: of the service.
        left: seconds until the limit.

    Raises:
        OSError: as `getaddrinfo` does.
        TimeoutError: the name was not resolved in time.
    """
    family = getattr(native, "allowed_gai_family", lambda: socket.AF_UNSPEC)()
    if _is_address(host):
        return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    places = _places
    if not places.acquire(timeout=max(0.0, left())):
        msg = f"{host}: {MOST} names are being resolved already"
        raise TimeoutError(msg)
    lookup = _Lookup(host, port, family, places)
    try:
        threading.Thread(target=lookup.run, name="resolve", daemon=True).start()
    except RuntimeError:  # no more threads: better slow than not at all
        lookup.run()
    return lookup.answer(max(0.0, left()))


class _Lookup:
    """One look-up and who waits for it."""

    def __init__(
        self, host: str, port: int, family: Any, places: threading.Semaphore
    ) -> None:
        self._asked = (host, port, family, socket.SOCK_STREAM)
        self._places = places
        self._done = threading.Event()
        self._found: list[Address] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._found = [*socket.getaddrinfo(*self._asked)]
        except BaseException as error:  # noqa: BLE001 - it belongs to who waits
            self._error = error
        finally:
            self._places.release()
            self._done.set()

    def answer(self, timeout_s: float) -> list[Address]:
        if not self._done.wait(timeout_s):
            msg = f"{self._asked[0]}: the name was not resolved in time"
            raise TimeoutError(msg)
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # no cycle by way of its traceback
        return self._found


def reach(
    host: str,
    port: int,
    *,
    timeout_s: float,
    limit: Limit,
    source_address: Any = None,
    options: Any = None,
) -> Any:
    """A socket connected to the first address of *host* that answers.

    Args:
        host: a name or an address, in brackets or not.
        port: of the service.
        timeout_s: what connecting may take altogether.
        limit: of the call; the socket keeps to it.
        source_address: to connect from.
        options: for `setsockopt`.

    Raises:
        TimeoutError: nothing answered in time.
        OSError: as `getaddrinfo` and `connect` do.
    """
    ends_at = limit.now() + timeout_s

    def left() -> float:
        return ends_at - limit.now()

    found = addresses(host.strip("[]"), port, left)
    error: OSError | None = None
    for number, one in enumerate(found, 1):
        share = left() if number == len(found) else left() / 2
        if share <= 0:
            break
        try:
            sock = _connected(one, share, source_address, options)
        except OSError as raised:
            error = raised
        else:
            bind(sock, limit)
            return sock
    try:
        if error is None and not found:
            error = OSError("getaddrinfo returns an empty list")
        raise error or TimeoutError(LATE)
    finally:
        error = None  # no cycle by way of its traceback


def _connected(
    found: Address, timeout_s: float, source_address: Any, options: Any
) -> Any:
    family, kind, protocol, _, address = found
    sock = plain(socket.socket)(family, kind, protocol)
    try:
        for option in options or ():
            sock.setsockopt(*option)
        sock.settimeout(timeout_s)
        if source_address:
            sock.bind(source_address)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, UnicodeError):
            continue
        return True
    return False


def _renew() -> None:
    """All places are free, after a fork: no thread of the parent came along."""
    global _places  # noqa: PLW0603 - one for the process
    _places = threading.BoundedSemaphore(MOST)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
