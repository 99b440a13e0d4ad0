"""Sockets none of whose steps outlives the limit of its call.

Before each step the socket's timeout becomes the lesser of what urllib3 set and what
the limit leaves. One step ends in time by the socket's own timeout (CPython keeps one
deadline for a whole `sendall`, TLS read or handshake), so many short ones do, too.
Classes are made from what `socket` and `ssl` hold when a connection is opened: whoever
patches those (gevent) keeps being in charge.
"""

import socket
import sys
from typing import Any

from .flight import current
from .timeouts import Limit


SLACK_S = 0.001
"""A timeout that is this much too long is let be: setting it is a system call."""
EARLY = 0.999
"""So is one that is longer or shorter by no more than a thousandth."""
MOST_SLACK_S = 0.01
"""A timeout of many seconds is never longer by more than this."""
LINE = 4096
"""How far the end of a line is looked for at once."""
INF = float("inf")
STEPS = ("recv", "recv_into", "send", "sendall")
LATE = "the time of the attempt is over"


def limit_now() -> Limit | None:
    """The limit of the call that this thread makes; None: it makes none of ours."""
    flight = current.get()
    return None if flight is None else flight.limit


def _step(name: str, native: Any) -> Any:
    """The method *name* of a socket, which *native* is without us, within the limit."""

    def step(self: Any, first: Any, /, *more: Any, **named: Any) -> Any:
        # A big body takes thousands of steps: whether what is armed fits is found here,
        # by one look at the clock, and the native one is called without packing.
        limit = self.limit
        if limit is not None and (at := limit.at) is not None:
            if not self._least_left <= at - limit.now() <= self._most_left:
                self._arm()
        elif self._armed is not self._base:
            self._arm()
        try:
            if more or named:
                return native(self, first, *more, **named)
            return native(self, first)
        except TimeoutError:
            self._timed_out()
            raise

    step.__name__, step.__qualname__ = name, f"Bounded.{name}"
    step.__doc__ = "As the socket's own, within the limit."
    return step


def _slack_s(armed: float) -> float:
    """By how much *armed* may be too long."""
    return max(SLACK_S, min(armed * (1 - EARLY), MOST_SLACK_S))


def _window(armed: float | None, base: float | None) -> tuple[float, float]:
    """Between which times left *armed* fits, where *base* was asked for."""
    if base == 0.0:
        return -INF, INF
    if armed is None:
        return INF, INF
    whole = base is not None and base * EARLY <= armed
    least = max(SLACK_S, armed - _slack_s(armed))
    return least, INF if whole else armed / EARLY


class Bounded:
    """What is put in front of a socket class. Like the socket, for one thread."""

    limit: Limit | None = None
    """None: a socket like any other."""
    _base: float | None = None
    _armed: float | None = None
    _least_left: float = INF
    _most_left: float = INF
    """While the limit leaves between these, what is armed fits it."""

    def settimeout(self, value: float | None, /) -> None:
        """Bound one step, as for any socket; the limit may shorten it."""
        bounded = self.limit is not None
        if bounded and value == self._base:
            return  # as it is before each request on a connection that is kept
        self._base = value
        self._least_left = INF
        if not bounded:
            # Else the next step sets it, or finds that it fits.
            self._armed = value
            super().settimeout(value)  # type: ignore[misc]  # the base's

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001 - as socket has it
        """Bound no step, or wait for none."""
        self._base = self._armed = None if flag else 0.0
        self._least_left = INF
        super().setblocking(flag)  # type: ignore[misc]  # the base's

    def gettimeout(self) -> float | None:
        """What was last asked for, whatever the limit made of it."""
        return self._base

    def _arm(self) -> None:
        """Let the next step end with the limit.

        Raises:
            TimeoutError: the limit has passed.
        """
        limit, wanted, armed = self.limit, self._base, self._armed
        if limit is not None and (at := limit.at) is not None and wanted != 0.0:
            left = at - limit.now()
            if left <= 0:
                limit.cut = True
                raise TimeoutError(LATE)
            if wanted is None or left < wanted:
                wanted = left
        if armed is None or wanted is None:
            fits = armed is wanted
        else:
            fits = wanted * EARLY <= armed <= wanted + _slack_s(armed)
        if not fits:
            self._armed = armed = wanted
            super().settimeout(wanted)  # type: ignore[misc]  # the base's
        self._least_left, self._most_left = _window(armed, self._base)

    def _timed_out(self) -> None:
        """Note whose timeout it was."""
        limit = self.limit
        left = None if limit is None else limit.left()
        if limit is not None and left is not None and left <= SLACK_S:
            limit.cut = True


class Peeking(socket.SocketIO):
    """A socket's file without a buffer, which reads a line in two steps.

    The native one takes each byte by a step of its own: 25 for `100 Continue`.
    """

    _sock: Any
    _checkClosed: Any  # noqa: N815 - io's name

    def readline(self, size: int | None = -1, /) -> bytes:
        """As the native one: never more than the line is taken from the socket."""
        self._checkClosed()
        most = LINE if size is None or size < 0 else size
        seen = self._sock.recv(most, socket.MSG_PEEK) if most else b""
        if not seen:
            return b""
        end = seen.find(b"\n") + 1
        line: bytes = self._sock.recv(end or len(seen))
        if end or len(line) == size:
            return line
        return line + self.readline(-1 if most is LINE else most - len(line))


def peeking(sock: Any, *args: Any, **named: Any) -> Any:
    """A file of *sock*, that reads lines in two steps if it has no buffer."""
    made = type(sock).makefile(sock, *args, **named)
    if type(made) is socket.SocketIO and not isinstance(sock, BoundedTLS):
        made.__class__ = Peeking
    return made


class BoundedTLS(Bounded):
    """The same for a socket class of `ssl`."""

    def do_handshake(self, *args: Any, **named: Any) -> None:
        """As the socket's own, within the limit of the call that connects."""
        self.limit = limit_now()
        self._arm()
        try:
            super().do_handshake(*args, **named)  # type: ignore[misc]  # the base's
        except TimeoutError:
            self._timed_out()
            raise


class BoundedGreenTLS(BoundedTLS):
    """The same for gevent's, which waits in pieces, each for the whole timeout."""

    def _together(
        self, step: Any, limit: Limit | None, *args: Any, **named: Any
    ) -> Any:
        left = None if limit is None else limit.left()
        late = TimeoutError(LATE)
        try:
            with sys.modules["gevent"].Timeout(left and max(0.0, left), late):
                return step(*args, **named)
        except TimeoutError:
            self._timed_out()
            raise

    def recv(self, *args: Any, **named: Any) -> Any:
        """As the socket's own, within the limit."""
        return self._together(super().recv, self.limit, *args, **named)  # type: ignore[misc]  # the base's

    def recv_into(self, *args: Any, **named: Any) -> Any:
        """As the socket's own, within the limit."""
        return self._together(super().recv_into, self.limit, *args, **named)  # type: ignore[misc]  # the base's

    def send(self, *args: Any, **named: Any) -> Any:
        """As the socket's own, within the limit."""
        return self._together(super().send, self.limit, *args, **named)  # type: ignore[misc]  # the base's

    def do_handshake(self, *args: Any, **named: Any) -> None:
        """As the socket's own, within the limit of the call that connects."""
        self._together(super().do_handshake, limit_now(), *args, **named)


def plain(base: Any) -> Any:
    """*base*, a class of sockets, made to keep to a limit; itself, if it cannot be."""
    return _made(Bounded, base)


def tls(base: Any) -> Any:
    """*base*, a class of TLS sockets, made to keep to a limit; itself, if it cannot."""
    green = any(one.__module__.startswith("gevent.") for one in base.__mro__)
    return _made(BoundedGreenTLS if green else BoundedTLS, base)


def _made(front: type, base: Any) -> Any:
    found = _classes.get((front, base))
    if found is None:
        try:
            steps = {name: _step(name, getattr(base, name)) for name in STEPS}
            made = type(f"Deadline{base.__name__}", (Bounded, base), steps)
            if front is not Bounded:
                made = type(made.__name__, (front, made), {})
        except (AttributeError, TypeError):  # no class that can be extended
            return base
        found = _classes.setdefault((front, base), made)
    return found


_classes: dict[Any, Any] = {}
"""Every class that was made: one for each that `socket` and `ssl` ever held."""


def bounded(sock: Any) -> Any:
    """*sock* as one that keeps to a limit; itself, where its kind is not known."""
    kind = type(sock)
    if kind is not socket.socket:
        return sock
    timeout = sock.gettimeout()
    family, type_, proto = sock.family, sock.type, sock.proto
    made = plain(kind)(family, type_, proto, fileno=sock.detach())
    made.settimeout(timeout)
    return made


def bind(sock: Any, limit: Limit | None) -> bool:
    """Have *sock*, and what it tunnels through, keep to *limit*; False: it cannot."""
    bound = False
    for _ in range(3):
        if isinstance(sock, Bounded):
            sock.limit = limit
            bound = True
            break
        sock = getattr(sock, "socket", None)
    return bound
