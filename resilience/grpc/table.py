"""The table that says what a gRPC status means; one row for each known end.

Statuses alone say little: `UNAVAILABLE` is made by C-core, by proxies and by servers.
Rows match the code and a part of the details (never all of it: C-core rewords them).
The first row that matches counts. Nothing is decided here but the meaning.
"""

from typing import Literal, NamedTuple

from resilience.core.outcome import Kind, Reached


Source = Literal["core", "proxy", "server"]
"""Who writes such a text when it is true: our own side (the channel's state can confirm
it), a proxy (Envoy's headers can), or the server (the code itself is the claim)."""


class Row(NamedTuple):
    """What one kind of end means."""

    code: str
    """The gRPC code; `*` for any."""
    text: str
    """A part of the details; empty matches all."""
    kind: Kind
    reached: Reached
    source: Source = "core"
    unless: str = ""
    """Not when the details hold this, too."""
    unprocessed: bool = False
    ours: bool = False
    throttled: bool = False
    cause: str = ""
    """The likely cause, for permanent rows."""
    remedy: str = ""


_TLS = "give the channel the root certificates that signed the server's"
_ADDRESS = "use a name the certificate holds, or `grpc.ssl_target_name_override`"
_PORT = "check the port, and that a proxy in between speaks HTTP/2"
_LIMIT = "raise the limit in the channel or server options, or send less at a time"

_UNREACHABLE = (
    Row(
        "UNAVAILABLE",
        "certificate has expired",
        "permanent",
        "no",
        ours=True,
        cause="the server's certificate has expired (or this clock is wrong)",
        remedy="renew the certificate, check the clock",
    ),
    Row(
        "UNAVAILABLE",
        "CERTIFICATE_VERIFY_FAILED",
        "permanent",
        "no",
        ours=True,
        cause="the server's certificate is not signed by a root we trust",
        remedy=_TLS,
    ),
    Row(
        "UNAVAILABLE",
        "Hostname Verification",
        "permanent",
        "no",
        ours=True,
        cause="the server's certificate is for another name",
        remedy=_ADDRESS,
    ),
    Row(
        "UNAVAILABLE",
        "ALPN",
        "permanent",
        "no",
        ours=True,
        cause="the TLS peer does not offer HTTP/2 by ALPN",
        remedy=_PORT,
    ),
    Row(
        "UNAVAILABLE",
        "WRONG_VERSION_NUMBER",
        "permanent",
        "no",
        ours=True,
        cause="a TLS channel speaks to a port without TLS",
        remedy="use `grpc.insecure_channel`, or the TLS port",
    ),
    Row(
        "UNAVAILABLE",
        "http1.x server",
        "permanent",
        "no",
        ours=True,
        cause="the peer speaks HTTP/1.1, not HTTP/2",
        remedy=_PORT,
    ),
    Row(
        "UNAVAILABLE",
        "Expected SETTINGS frame",
        "permanent",
        "no",
        ours=True,
        cause="the peer does not speak HTTP/2",
        remedy=_PORT,
    ),
    Row(
        "UNAVAILABLE",
        "HTTP proxy returned response code 4",
        "permanent",
        "no",
        ours=True,
        cause="an HTTP proxy refused to connect us",
        remedy="check `https_proxy`, or name the host in `no_proxy`",
    ),
    Row(
        "UNAUTHENTICATED",
        "sufficient security level",
        "permanent",
        "no",
        ours=True,
        cause="call credentials are not sent over a channel without TLS",
        remedy="use `grpc.secure_channel`",
    ),
    Row(
        "INVALID_ARGUMENT",
        "Failed to create channel",
        "permanent",
        "no",
        ours=True,
        cause="the channel's options or its service config are invalid",
        remedy="read the details, correct the options",
    ),
    Row("UNAVAILABLE", "errors resolving", "transport", "no", ours=True),
    Row("UNAVAILABLE", "DNS resolution failed", "transport", "no", ours=True),
    Row("UNAVAILABLE", "No route to host", "transport", "no", ours=True),
    Row("UNAVAILABLE", "Network is unreachable", "transport", "no", ours=True),
    Row("UNAVAILABLE", "metadata from plugin failed", "transport", "no", ours=True),
    Row("UNAVAILABLE", "failed to connect to all addresses", "transport", "no"),
    Row("UNAVAILABLE", "connections to all backends failing", "transport", "no"),
)

_BY_ENVOY = (
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
    Row("UNAVAILABLE", "upstream request timeout", "transport", "maybe"),
    Row("UNAVAILABLE", "reset reason:", "transport", "maybe"),
    Row("DEADLINE_EXCEEDED", "downstream duration timeout", "transport", "maybe"),
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
        remedy=_LIMIT,
    ),
)

_BROKEN_OFF = (
    Row(
        "UNAVAILABLE",
        "GOAWAY received",
        "transport",
        "no",
        unless="Socket closed",
        unprocessed=True,
    ),
    Row(
        "UNAVAILABLE",
        "RST_STREAM with error code 7",
        "transport",
        "no",
        unprocessed=True,
    ),
    Row(
        "RESOURCE_EXHAUSTED",
        "RST_STREAM with error code 11",
        "overload",
        "maybe",
        throttled=True,
    ),
    Row(
        "PERMISSION_DENIED",
        "RST_STREAM with error code 12",
        "permanent",
        "maybe",
        cause="the peer finds the connection's security inadequate",
        remedy="use TLS 1.2 or later",
    ),
)

_TOO_LARGE = (
    Row(
        "RESOURCE_EXHAUSTED",
        "CLIENT: Received message larger",
        "permanent",
        "yes",
        cause="the answer is larger than this channel accepts; the call was executed",
        remedy=_LIMIT,
    ),
    Row(
        "RESOURCE_EXHAUSTED",
        "Sent message larger",
        "permanent",
        "no",
        "server",
        cause="the request is larger than this channel may send",
        remedy=_LIMIT,
    ),
    Row(
        "RESOURCE_EXHAUSTED",
        "SERVER: Received message larger",
        "permanent",
        "no",
        "server",
        cause="the request is larger than the server accepts",
        remedy=_LIMIT,
    ),
    Row(
        "RESOURCE_EXHAUSTED",
        "Received message larger",
        "permanent",
        "maybe",
        cause="a message is larger than its receiver accepts",
        remedy=_LIMIT,
    ),
    Row(
        "RESOURCE_EXHAUSTED",
        "received metadata size exceeds",
        "permanent",
        "maybe",
        cause="there is more metadata than its receiver accepts",
        remedy="send less metadata, or raise `grpc.absolute_max_metadata_size`",
    ),
    Row(
        "RESOURCE_EXHAUSTED",
        "Concurrent RPC limit exceeded",
        "overload",
        "no",
        throttled=True,
    ),
)

_HTTP = "Received http2 header with status: "
_BY_HTTP_PROXY = (
    Row("*", _HTTP + "429", "overload", "no", "proxy", throttled=True),
    Row("*", _HTTP + "503", "overload", "no", "proxy"),
    Row(
        "*",
        _HTTP + "40",
        "permanent",
        "maybe",
        "proxy",
        unless=_HTTP + "408",
        cause="something that speaks plain HTTP answered in the server's place",
        remedy="check address, path and credentials against the proxy's routes",
    ),
    Row(
        "*",
        _HTTP + "413",
        "permanent",
        "maybe",
        "proxy",
        cause="the request is larger than a proxy allows",
        remedy=_LIMIT,
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
    Row("*", _HTTP, "transport", "maybe", "proxy"),
)

_GARBLED = (
    Row(
        "INTERNAL",
        "grpc-encoding",
        "permanent",
        "maybe",
        cause="the peer compresses in a way that this client cannot read",
        remedy="switch compression off, or agree on gzip",
    ),
    Row(
        "INTERNAL",
        "no encoding configured",
        "permanent",
        "maybe",
        cause="the peer marks messages as compressed and does not say how",
        remedy="correct or switch off compression at the peer",
    ),
    Row("UNKNOWN", "No status received", "transport", "maybe"),
    Row("*", "RST_STREAM", "transport", "maybe"),
    Row("*", "Stream removed", "transport", "maybe"),
    Row("UNKNOWN", "Failed parsing HTTP/2", "transport", "maybe"),
)

_LOCAL = (
    Row("CANCELLED", "Channel closed!", "local", "maybe"),
    Row("CANCELLED", "Locally cancelled by application!", "local", "maybe"),
    Row("CANCELLED", "Cancelled upon garbage collection!", "local", "maybe"),
    Row("CANCELLED", "Call cancelled in fork child", "local", "maybe"),
)

_BY_CODE = (
    Row(
        "UNIMPLEMENTED",
        "",
        "permanent",
        "no",
        "server",
        cause="the server does not have this method",
        remedy="check the service's name, its version, and the route to it",
    ),
    Row("UNAVAILABLE", "", "transport", "maybe"),
    Row("*", "", "application", "yes", "server"),
)

ROWS: tuple[Row, ...] = (
    *_UNREACHABLE,
    *_BY_ENVOY,
    *_TOO_LARGE,
    *_BY_HTTP_PROXY,
    *_BROKEN_OFF,
    *_GARBLED,
    *_LOCAL,
    *_BY_CODE,
)
"""All rows, in the order in which they are tried."""

ANSWER = Row("*", "", "application", "yes", "server")
"""For a status that is known to be the application's own."""
ATTEMPT_TIMEOUT = Row("DEADLINE_EXCEEDED", "", "transport", "maybe")
"""For a deadline that passed on our side."""


def row_for(code: str, details: str) -> Row:
    """The first row that matches."""
    for row in ROWS:
        if (
            row.code in (code, "*")
            and row.text in details
            and not (row.unless and row.unless in details)
        ):
            return row
    return ANSWER
