"""Limits under a client's own connection pool, and errors that are botocore's.

The pool, its reuse, its proxies and its certificates stay botocore's; only what a
connection opens is ours. Everything that is not botocore's known shape (a pool class,
a connection class, a way of connecting that somebody has put in its place) is left as
it is: deadlines are soft there, and the guard says so once.
"""

import select
import socket
import sys
import weakref
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any

from botocore import awsrequest, exceptions
from urllib3 import exceptions as urllib3_errors
from urllib3.util import connection as connecting

from .flight import current
from .resolving import reach
from .sockets import Bounded, bind, bounded, limit_now, peeking, tls
from .timeouts import SHORTEST_S, Limit


TOGETHER = 16 * 1024
"""A body of no more bytes goes out with the head of its request."""
EXPECT_S = 2.0
"""With less time than this nobody waits for `100 Continue`: botocore would wait for a
second, and no timeout ends that."""
KNOWN = {
    "http": awsrequest.AWSHTTPConnectionPool,
    "https": awsrequest.AWSHTTPSConnectionPool,
}
_NATIVE = (awsrequest.AWSHTTPConnection, awsrequest.AWSHTTPSConnection)
_create_connection: Any = getattr(connecting, "create_connection", None)
_Unresolved: Any = getattr(
    urllib3_errors, "NameResolutionError", urllib3_errors.NewConnectionError
)


def _is_native() -> bool:
    """Does urllib3 connect in the way that we know?"""
    found = getattr(connecting, "create_connection", None)
    return found is not None and found is _create_connection


class _Deadlined:
    """What is put in front of botocore's connection classes."""

    sock: Any
    timeout: Any
    _idle: tuple[Any, int, Any] | None = None
    """The socket, its descriptor, and what asks whether there is something to read."""
    _held = b""
    """The head of a request whose body is still to come."""

    @property
    def is_connected(self) -> bool:
        """Is it open, with nothing to read? The pool asks before each request.

        As urllib3's own, which makes and registers anew what asks.
        """
        sock, idle = self.sock, self._idle
        if idle is None or idle[0] is not sock or idle[1] != sock.fileno():
            poll = getattr(select, "poll", None)
            if sock is None or type(poll) is not BuiltinFunctionType:
                return bool(super().is_connected)  # type: ignore[misc]  # the base's
            asking = poll()
            asking.register(sock, select.POLLIN)
            self._idle = idle = sock, sock.fileno(), asking
        return not idle[2].poll(0)

    def request(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request; a connection that is open already changes hands."""
        sock = self.sock
        if sock is not None:
            flight = current.get()
            limit = None if flight is None else flight.limit
            if isinstance(sock, Bounded):
                sock.limit = limit
            else:
                bind(sock, limit)
        body = kwargs.get("body")
        if type(body) is bytes and 0 < len(body) <= TOGETHER:
            return self._request_together(args, kwargs)
        return super().request(*args, **kwargs)  # type: ignore[misc]  # the base's

    def _request_together(self, args: Any, kwargs: Any) -> Any:
        """Send head and body of a small request in one piece.

        botocore would, for the sake of delayed acknowledgements; but urllib3 2 gives it
        one after the other.
        """
        own = vars(self)
        if not (kwargs.get("chunked") or "Expect" in (kwargs.get("headers") or ())):
            own["send"] = self._hold
        try:
            found = super().request(*args, **kwargs)  # type: ignore[misc]  # the base's
        finally:
            own.pop("send", None)
            held, self._held = self._held, b""
        if held:  # nothing came after it: an older urllib3 gives both at once
            super().send(held)  # type: ignore[misc]  # the base's
        return found

    def _hold(self, data: bytes) -> None:
        """Keep the head until the body is there."""
        held, self._held = self._held, b""
        if not held:
            self._held = data
            return
        del vars(self)["send"]
        super().send(held + data)  # type: ignore[misc]  # the base's

    def _handle_expect_response(self, message_body: Any) -> Any:
        """As botocore's own; the file from which it reads `100 Continue` is ours."""
        sock = self.sock
        if not isinstance(sock, Bounded):
            return super()._handle_expect_response(message_body)  # type: ignore[misc]  # the base's
        vars(sock)["makefile"] = partial(peeking, sock)
        try:
            return super()._handle_expect_response(message_body)  # type: ignore[misc]  # the base's
        finally:
            del vars(sock)["makefile"]

    def _new_conn(self) -> Any:
        limit = limit_now()
        left = None if limit is None else limit.left()
        if limit is None or left is None:
            return bounded(super()._new_conn())  # type: ignore[misc]  # the base's
        usual = self.timeout
        if isinstance(usual, (int, float)):
            left = min(left, usual)
        if _is_native() and hasattr(self, "_dns_host"):
            sock = self._reach(left, limit)
        else:
            # Somebody connects in a way of his own: only the time is ours.
            self.timeout = max(SHORTEST_S, left)
            try:
                sock = bounded(super()._new_conn())  # type: ignore[misc]  # the base's
            finally:
                self.timeout = usual
            bind(sock, limit)
        if not isinstance(usual, (int, float)) and usual is not None:
            usual = socket.getdefaulttimeout()
        sock.settimeout(usual)
        return sock

    def _reach(self, timeout_s: float, limit: Limit) -> Any:
        """As urllib3's own, within the limit.

        Raises:
            urllib3.exceptions.HTTPError: the one that urllib3 would raise.
        """
        one: Any = self
        try:
            sock = reach(
                one._dns_host,
                one.port,
                timeout_s=timeout_s,
                limit=limit,
                source_address=getattr(one, "source_address", None),
                options=getattr(one, "socket_options", None),
            )
        except socket.gaierror as error:
            if _Unresolved is urllib3_errors.NewConnectionError:
                raise _Unresolved(one, f"cannot resolve: {error}") from error
            raise _Unresolved(one.host, one, error) from error
        except TimeoutError as error:
            left = limit.left()
            limit.cut = limit.cut or (left is not None and left <= 0)
            msg = f"Connection to {one.host} timed out: {error}"
            raise urllib3_errors.ConnectTimeoutError(one, msg) from error
        except OSError as error:
            msg = f"Failed to establish a new connection: {error}"
            raise urllib3_errors.NewConnectionError(one, msg) from error
        sys.audit("http.client.connect", self, one.host, one.port)
        return sock


class DeadlineHTTPConnection(_Deadlined, awsrequest.AWSHTTPConnection):
    """botocore's connection, whose socket keeps to the limit of the running call."""


class DeadlineHTTPSConnection(_Deadlined, awsrequest.AWSHTTPSConnection):
    """The same over TLS."""

    def connect(self) -> None:
        """Open the connection with a TLS socket that keeps to the limit."""
        _prepare(self.ssl_context)
        _prepare(getattr(getattr(self, "proxy_config", None), "ssl_context", None))
        super().connect()

    def _connect_tls_proxy(self, *args: Any, **kwargs: Any) -> Any:
        sock = super()._connect_tls_proxy(*args, **kwargs)
        kind = type(sock)
        if not isinstance(sock, Bounded):
            # urllib3 made a context of its own, that nobody could prepare.
            timeout = sock.gettimeout()
            try:
                sock.__class__ = tls(kind)
            except TypeError:
                return sock
            sock.settimeout(timeout)
        sock.limit = limit_now()
        return sock


def _prepare(context: Any) -> None:
    """Have *context* wrap sockets in a class that keeps to a limit."""
    kind = getattr(context, "sslsocket_class", None)
    if isinstance(kind, type) and not issubclass(kind, Bounded):
        context.sslsocket_class = tls(kind)


class DeadlineHTTPPool(awsrequest.AWSHTTPConnectionPool):
    """botocore's pool of connections, with ours where the class is botocore's."""

    @property
    def ConnectionCls(self) -> Any:  # noqa: N802 - urllib3's name
        """Ours; another's, when somebody has put that into botocore's place."""
        found = awsrequest.AWSHTTPConnectionPool.ConnectionCls
        return DeadlineHTTPConnection if found is _NATIVE[0] else found


class DeadlineHTTPSPool(awsrequest.AWSHTTPSConnectionPool):
    """The same over TLS."""

    @property
    def ConnectionCls(self) -> Any:  # noqa: N802 - urllib3's name
        """Ours; another's, when somebody has put that into botocore's place."""
        found = awsrequest.AWSHTTPSConnectionPool.ConnectionCls
        return DeadlineHTTPSConnection if found is _NATIVE[1] else found


OURS = {"http": DeadlineHTTPPool, "https": DeadlineHTTPSPool}


def install(client: Any) -> bool:
    """Give *client* connections that keep to limits; False: its shape is not known."""
    endpoint = getattr(client, "_endpoint", None)
    session = getattr(endpoint, "http_session", None)
    if not all(hasattr(one, "_new_conn") for one in _NATIVE):
        return False
    if not _change(session, KNOWN, OURS):
        return False
    if callable(getattr(type(endpoint), "_send", None)):
        # No function of ours around it: a frame less for each call.
        vars(endpoint).setdefault("_send", partial(_send, weakref.ref(endpoint)))
    return True


def uninstall(client: Any) -> None:
    """Undo `install`; open connections end with the calls that use them."""
    endpoint = getattr(client, "_endpoint", None)
    session = getattr(endpoint, "http_session", None)
    if _change(session, OURS, KNOWN):
        vars(endpoint).pop("_send", None)


def _change(session: Any, before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Exchange the pool classes of *session*, from the next connection on.

    Pools that exist are left to the calls that use them: emptying them would fail
    those.
    """
    classes = getattr(session, "_pool_classes_by_scheme", None)
    if not isinstance(classes, dict) or classes != before:
        return False
    managers: list[Any] = [
        getattr(session, "_manager", None),
        *getattr(session, "_proxy_managers", {}).values(),
    ]
    if any(getattr(m, "pool_classes_by_scheme", None) is not classes for m in managers):
        return False
    try:
        fresh = [
            type(m.pools)(m.pools._maxsize, m.pools.dispose_func) for m in managers
        ]
    except (AttributeError, TypeError):
        return False
    classes.update(after)
    for manager, pools in zip(managers, fresh, strict=True):
        manager.pools = pools
    return True


def _send(alive: "weakref.ref[Any]", request: Any, *more: Any, **named: Any) -> Any:
    """Send *request*, and have what goes wrong said in botocore's words."""
    endpoint: Any = alive()
    flight = current.get()
    # Asked for each time: tests put something in its place, before and after us.
    kind: Any = type(endpoint)
    native = kind._send
    if type(native) is not FunctionType:
        return bound(native, endpoint)(request, *more, **named)
    if flight is None or not flight.acts or more or named:
        # More than a request is what a botocore of another shape sends.
        return native(endpoint, request, *more, **named)
    limit = flight.limit
    at = limit.at
    if at is not None and at - limit.now() < EXPECT_S and "Expect" in request.headers:
        del request.headers["Expect"]
    try:
        response = native(endpoint, request)
    except (exceptions.ConnectionClosedError, exceptions.HTTPClientError) as error:
        if not limit.cut or isinstance(error, _SAID):
            raise
        raise exceptions.ReadTimeoutError(
            endpoint_url=request.url, error=error
        ) from error
    if getattr(request, "stream_output", False) and response.status_code >= 300:
        _read_error(request, response)
    return response


def bound(native: Any, endpoint: Any) -> Any:
    """What Python makes of *native* when it is looked up on *endpoint*.

    A mock is no descriptor, and is given no `self`.
    """
    bind = getattr(type(native), "__get__", None)
    return native if bind is None else bind(native, endpoint, type(endpoint))


_SAID = (
    exceptions.ConnectTimeoutError,
    exceptions.EndpointConnectionError,
    exceptions.ProxyConnectionError,
    exceptions.ReadTimeoutError,
)
"""Errors that say it well enough already."""


def _read_error(request: Any, response: Any) -> None:
    """Read the error that answers a streaming request.

    botocore reads it where nobody translates what may go wrong.

    Raises:
        ReadTimeoutError: it did not arrive in time.
        ConnectionClosedError: it was cut short.
    """
    url = request.url
    try:
        _ = response.content
    except urllib3_errors.ReadTimeoutError as error:
        raise exceptions.ReadTimeoutError(endpoint_url=url, error=error) from error
    except urllib3_errors.ProtocolError as error:
        raise exceptions.ConnectionClosedError(
            error=error, request=request, endpoint_url=url
        ) from error
    except (urllib3_errors.HTTPError, OSError) as error:
        raise exceptions.HTTPClientError(error=error) from error
