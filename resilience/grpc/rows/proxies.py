"""Ends that a proxy made in the server's place, or that a web server made.

Envoy speaks gRPC and signs what it says; anything that only speaks HTTP, like nginx,
is known by the status that C-core repeats.
"""

from .row import LIMIT, Row


ENVOY = (
    Row("UNAVAILABLE", "no healthy upstream", "transport", "no", "proxy"),
    Row("UNAVAILABLE", "remote connection failure", "transport", "no", "proxy"),
    Row("UNAVAILABLE", "fault filter abort", "transport", "no", "proxy"),
    Row(
        "UNAVAILABLE",
        "remote refused stream reset",
        "transport",
        "no",
        "proxy",
        unprocessed=True,
    ),
    Row(
        "UNAVAILABLE",
        "reset reason: overflow",
        "overload",
        "no",
        "proxy",
        throttled=True,
    ),
    Row("*", "local_rate_limited", "overload", "no", "proxy", throttled=True),
    # Timeouts in disguise: the upstream may be at work on it.
    Row("UNAVAILABLE", "upstream request timeout", "transport", "maybe", "proxy"),
    Row("UNAVAILABLE", "stream timeout", "transport", "maybe", "proxy"),
    Row("UNAVAILABLE", "reset reason:", "transport", "maybe", "proxy"),
    Row(
        "DEADLINE_EXCEEDED",
        "downstream duration timeout",
        "transport",
        "maybe",
        "proxy",
    ),
    Row(
        "PERMISSION_DENIED",
        "RBAC: access denied",
        "permanent",
        "no",
        "proxy",
        cause="a rule of the service mesh forbids this call",
        remedy="ask whoever keeps the mesh's RBAC rules",
    ),
    Row(
        "UNKNOWN",
        "Payload Too Large",
        "permanent",
        "no",
        "proxy",
        cause="the request is larger than a proxy allows",
        remedy=LIMIT,
    ),
)

SIGNED_BY_ENVOY = (
    Row("UNAVAILABLE", "", "transport", "no", "proxy", exact=True),
    # A text that we do not know: operators can rewrite any of Envoy's replies.
    Row("UNAVAILABLE", "", "transport", "maybe", "proxy"),
    Row(
        "UNIMPLEMENTED",
        "",
        "permanent",
        "no",
        "proxy",
        cause="Envoy has no route for this method",
        remedy="check the service's name against Envoy's routes",
    ),
    Row(
        "PERMISSION_DENIED",
        "",
        "permanent",
        "no",
        "proxy",
        cause="a filter of Envoy's forbids this call",
        remedy="ask whoever keeps Envoy's authorization filters",
    ),
    Row(
        "UNAUTHENTICATED",
        "",
        "permanent",
        "no",
        "proxy",
        cause="a filter of Envoy's does not accept the caller's credentials",
        remedy="renew the token or the client certificate that Envoy checks",
    ),
    Row("RESOURCE_EXHAUSTED", "", "overload", "maybe", "proxy", throttled=True),
    Row("INTERNAL", "", "transport", "maybe", "proxy"),
    Row("UNKNOWN", "", "transport", "maybe", "proxy"),
)
"""For replies that are Envoy's own by their headers, where no text above matches: the
codes that it makes of HTTP statuses, and no others."""

_HTTP = "Received http2 header with status: "


def _refused(status: int) -> Row:
    """A web server's own refusal of what it takes for a web request."""
    return Row(
        "*",
        f"{_HTTP}{status}",
        "permanent",
        "maybe",
        "proxy",
        cause="something that speaks plain HTTP answered in the server's place",
        remedy="check address, path and credentials against the proxy's routes",
    )


HTTP = (
    Row("*", _HTTP + "429", "overload", "no", "proxy", throttled=True),
    Row("*", _HTTP + "503", "overload", "no", "proxy"),
    _refused(400),
    _refused(401),
    _refused(403),
    _refused(404),
    Row(
        "*",
        _HTTP + "413",
        "permanent",
        "maybe",
        "proxy",
        cause="the request is larger than a proxy allows",
        remedy=LIMIT,
    ),
    Row(
        "*",
        _HTTP + "431",
        "permanent",
        "maybe",
        "proxy",
        cause="there is more metadata than a proxy allows",
        remedy="send less metadata",
    ),
    Row(
        "*",
        _HTTP + "0",
        "permanent",
        "maybe",
        "proxy",
        exact=True,
        cause="a proxy hands the call on as HTTP/1, to a server that speaks HTTP/2",
        remedy="with nginx, use `grpc_pass` in place of `proxy_pass`",
    ),
    Row("*", _HTTP, "transport", "maybe", "proxy"),
)
