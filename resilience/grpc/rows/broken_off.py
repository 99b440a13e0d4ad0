"""Ends of calls that were on their way: resets, goodbyes, garbled answers.

Only GOAWAY below the stream's number and REFUSED_STREAM say that nothing was done
(RFC 9113 §6.8, §8.7), and C-core of calls that it had not sent yet. Everything else may
have been executed.
"""

from .row import Row


RESETS = (
    # A call that waited for a free stream when the connection went away: never sent.
    Row(
        "UNAVAILABLE",
        "subchannel lost all connections",
        "transport",
        "no",
        unprocessed=True,
    ),
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

GARBLED = (
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
    Row("INTERNAL", "Decompression failed", "transport", "maybe"),
    Row("INTERNAL", "error decompressing", "transport", "maybe"),
    Row("UNKNOWN", "No status received", "transport", "maybe"),
    # grpcio's asyncio calls, of a write that failed under way: the stream is gone.
    Row("INTERNAL", "Internal error from Core", "transport", "maybe"),
    Row("*", "RST_STREAM", "transport", "maybe"),
    Row("*", "Stream removed", "transport", "maybe"),
    Row("UNKNOWN", "Failed parsing HTTP/2", "transport", "maybe"),
    # Older releases say so where newer ones end with "Stream removed".
    Row("UNKNOWN", "Bad Content-Type", "transport", "maybe"),
    Row("UNKNOWN", "Missing :status", "transport", "maybe"),
)

LOCAL = (
    Row("CANCELLED", "Channel closed!", "local", "maybe"),
    Row("CANCELLED", "Locally cancelled by application!", "local", "maybe"),
    Row("CANCELLED", "Cancelled upon garbage collection!", "local", "maybe"),
    Row("CANCELLED", "Call cancelled in fork child", "local", "maybe"),
)
"""The caller's own side ended it."""
