"""What an attempt's time does to a request: its limit and botocore's own timeout.

A `Limit` is the moment by which an attempt has ended; the sockets keep to it, so that
it holds whatever the server does. `context["read_timeout"]` is botocore's own way
(since 1.43.68): it bounds one silent stretch, not a drip. It is all there is where our
sockets cannot be had, and it allows for more silence than a client's config. Nothing
is touched when neither the policy nor an ambient deadline sets a time.
"""

import weakref
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from urllib3.util import Timeout


try:
    from botocore.httpsession import URLLib3Session
except ImportError:  # a botocore of another shape
    URLLib3Session: Any = None  # type: ignore[no-redef]  # older ones lack it

PER_REQUEST = hasattr(URLLib3Session, "_get_request_timeout")
"""Does this botocore know a timeout of one request (since 1.43.68)?"""
READ = "read_timeout"
CONNECT = "resilience_connect_timeout"
SHORTEST_S = 0.001
"""urllib3 refuses 0, and means `wait for ever` by None."""


class Limit:
    """The moment by which everything on one connection must have ended.

    A call has one; its sockets read it before each step, in whatever thread they are
    used. Assigning `at` is safe from any thread and holds from the next step on.
    """

    at: float | None = None
    """None: unbounded, the sockets' own timeouts are all that holds."""
    cut = False
    """Did it end a step, so that its connection is of no use any more?"""
    kept = False
    """Does it outlive its call, because somebody guards the answer's body?"""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        """The clock of `at`, monotonic seconds."""

    def left(self) -> float | None:
        """Seconds until the limit, 0 or less when it has passed; None: unbounded."""
        return None if self.at is None else self.at - self.now()

    def release(self) -> None:
        """The call is over: what it left open is bound no more, unless kept."""
        if not self.kept:
            self.at = None


def set_timeout(
    context: MutableMapping[str, Any],
    timeout_s: float,
    *,
    configured_s: float | None,
    own_s: float | None,
    only_longer: bool = False,
) -> None:
    """Bound the request that *context* belongs to.

    Args:
        context: botocore's context of the call.
        timeout_s: what the attempt may take.
        configured_s: the read timeout of the client's config or of the request.
        own_s: the policy's `attempt_timeout`; where it is longer than the configured
            one it says how long silence may last.
        only_longer: a limit bounds the attempt, so silence is not cut to it.
    """
    longest = configured_s
    if own_s is not None and longest is not None:
        longest = max(longest, own_s)
    if only_longer:
        if longest is not None and longest != configured_s:
            context[READ] = longest
        return
    read = timeout_s if longest is None else min(longest, timeout_s)
    context[READ] = max(SHORTEST_S, read)
    context[CONNECT] = max(SHORTEST_S, timeout_s)


def unheard(context: Mapping[str, Any], usual_s: float | None) -> str:
    """What a botocore that knows no timeout of one request will not do; empty: nothing.

    Args:
        context: botocore's, with the timeout that was set.
        usual_s: the read timeout of the client.
    """
    wanted_s = context.get(READ)
    if wanted_s is None or usual_s is None or wanted_s <= usual_s:
        return ""
    return (
        f"this botocore knows no timeout of one request: a read ends after "
        f"{usual_s:g} s, though attempt_timeout allows {wanted_s:g} s"
    )


def bound_connecting(client: Any) -> bool:
    """Let connecting end with the attempt too, where this botocore allows it.

    botocore's per-request timeout keeps the client's connect timeout, 60 s for each
    address. False: it has no timeout of a request's own (before 1.43.68), so nothing
    bounds an attempt.
    """
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    bare = getattr(type(session), "_get_request_timeout", None)
    if session is None or bare is None:
        return False
    if "_get_request_timeout" in vars(session):
        return True

    alive = weakref.ref(session)

    def resolve(request: Any) -> Any:
        found = bare(alive(), request)
        left = (getattr(request, "context", None) or {}).get(CONNECT)
        if left is None or not isinstance(found, Timeout):
            return found
        usual = found.connect_timeout
        if isinstance(usual, (int, float)):
            left = min(left, usual)
        return Timeout(connect=left, read=found.read_timeout)

    session._get_request_timeout = resolve
    return True


def unbound_connecting(client: Any) -> None:
    """Undo `bound_connecting`."""
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    if session is not None:
        vars(session).pop("_get_request_timeout", None)


def streams(model: Any) -> bool:
    """Is the answer's body read when the call is over?"""
    return bool(model.has_streaming_output or model.has_event_stream_output)
