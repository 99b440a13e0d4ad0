"""What an attempt's time does to a request: botocore's own per-request timeout.

`context["read_timeout"]` is the supported way (botocore since 1.43.117): it bounds one
silent stretch, not a drip, so it is a soft deadline. Nothing is touched when neither
the policy nor an ambient deadline sets a time.
"""

from collections.abc import MutableMapping
from typing import Any

from urllib3.util import Timeout


READ = "read_timeout"
CONNECT = "resilience_connect_timeout"
SHORTEST_S = 0.001
"""urllib3 refuses 0, and means `wait for ever` by None."""


def set_timeout(
    context: MutableMapping[str, Any],
    timeout_s: float,
    *,
    configured_s: float | None,
    own_s: float | None,
) -> None:
    """Bound the request that *context* belongs to.

    Args:
        context: botocore's context of the call.
        timeout_s: what the attempt may take.
        configured_s: the read timeout of the client's config or of the request.
        own_s: the policy's `attempt_timeout`; where it is longer than the configured
            one it says how long silence may last.
    """
    longest = configured_s
    if own_s is not None and longest is not None:
        longest = max(longest, own_s)
    read = timeout_s if longest is None else min(longest, timeout_s)
    context[READ] = max(SHORTEST_S, read)
    context[CONNECT] = max(SHORTEST_S, timeout_s)


def bound_connecting(client: Any) -> None:
    """Let connecting end with the attempt too, where this botocore allows it.

    botocore's per-request timeout keeps the client's connect timeout, 60 s for each
    address. Without the inner method nothing happens: reading stays bounded.
    """
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    bare = getattr(type(session), "_get_request_timeout", None)
    if session is None or bare is None or "_get_request_timeout" in vars(session):
        return

    def resolve(request: Any) -> Any:
        found = bare(session, request)
        left = (getattr(request, "context", None) or {}).get(CONNECT)
        if left is None or not isinstance(found, Timeout):
            return found
        usual = found.connect_timeout
        if isinstance(usual, (int, float)):
            left = min(left, usual)
        return Timeout(connect=left, read=found.read_timeout)

    session._get_request_timeout = resolve


def unbound_connecting(client: Any) -> None:
    """Undo `bound_connecting`."""
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    if session is not None:
        vars(session).pop("_get_request_timeout", None)
