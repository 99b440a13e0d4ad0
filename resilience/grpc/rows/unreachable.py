"""Ends that our own side made before anything was sent.

No address, no connection, no handshake, no credentials. What the target causes
(a refused connection) counts against it; what this side causes (`ours`: names, routes,
TLS, credentials) does not.
"""

from .row import PORT, Row


CERTIFICATES = (
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
        remedy="give the channel the root certificates that signed the server's",
    ),
    Row(
        "UNAVAILABLE",
        "certificate signature failure",
        "permanent",
        "no",
        ours=True,
        cause="another root of the same name signed the server's certificate",
        remedy="give the channel the root certificates that signed the server's",
    ),
    Row(
        "UNAVAILABLE",
        "Hostname Verification",
        "permanent",
        "no",
        ours=True,
        cause="the server's certificate is for another name",
        remedy="use a name the certificate holds, or `grpc.ssl_target_name_override`",
    ),
    Row(
        "UNAVAILABLE",
        "is not in peer certificate",  # the words of releases around 1.71
        "permanent",
        "no",
        ours=True,
        cause="the server's certificate is for another name",
        remedy="use a name the certificate holds, or `grpc.ssl_target_name_override`",
    ),
)

HANDSHAKES = (
    Row(
        "UNAVAILABLE",
        "selected ALPN",
        "permanent",
        "no",
        ours=True,
        cause="the TLS peer does not offer HTTP/2 by ALPN",
        remedy=PORT,
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
    # Whatever else TLS did not like: this side's own, and perhaps gone in a moment.
    Row("UNAVAILABLE", "handshake failed (TSI", "transport", "no", ours=True),
    # With TLS 1.3 a peer that misses our certificate says so after the handshake.
    Row("UNAVAILABLE", "Unwrap failed (TSI", "transport", "no", ours=True),
    Row(
        "UNAVAILABLE",
        "http1.x server",
        "permanent",
        "no",
        ours=True,
        cause="the peer speaks HTTP/1.1, not HTTP/2",
        remedy=PORT,
    ),
    Row(
        "UNAVAILABLE",
        "Failed parsing HTTP/2",
        "permanent",
        "no",
        unless="Stream removed",
        ours=True,
        cause="the peer does not speak HTTP/2",
        remedy=PORT,
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
)

CREDENTIALS = (
    Row(
        "UNAUTHENTICATED",
        "sufficient security level",
        "permanent",
        "no",
        ours=True,
        cause="call credentials are not sent over a channel without TLS",
        remedy="use `grpc.secure_channel`",
    ),
    Row("UNAVAILABLE", "metadata from plugin failed", "transport", "no", ours=True),
    Row(
        "UNAVAILABLE",
        "Illegal metadata",
        "permanent",
        "no",
        ours=True,
        exact=True,
        cause="a call-credential plugin gave metadata that HTTP/2 does not allow",
        remedy="use lower-case keys and printable ASCII values in the plugin",
    ),
)

NO_CONNECTION = (
    Row(
        "INVALID_ARGUMENT",
        "Failed to create",
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
    # A load balancer's drop is an order, not an accident: never repeated (gRFC A32).
    Row(
        "UNAVAILABLE",
        "circuit breaker drop",
        "permanent",
        "no",
        exact=True,
        cause="the control plane's limit of requests in flight is reached",
        remedy="send less, or raise `max_requests` of the xDS cluster",
    ),
    Row(
        "UNAVAILABLE",
        "EDS-configured drop",
        "permanent",
        "no",
        cause="the control plane tells clients to drop such calls",
        remedy="look for `drop_overloads` in the endpoint assignment",
    ),
    Row("UNAVAILABLE", "failed to connect to all addresses", "transport", "no"),
    Row("UNAVAILABLE", "connections to all backends failing", "transport", "no"),
)

ROWS = (*CERTIFICATES, *HANDSHAKES, *CREDENTIALS, *NO_CONNECTION)
