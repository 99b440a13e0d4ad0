"""Native errors as C-core makes them, without a channel, and what they mean."""

import grpc
import grpc.aio

from resilience.grpc.extract import Attempt, outcome_of


REFUSED = (
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:443: "
    "Failed to connect to remote host: Connection refused"
)
CONNECT = "failed to connect to all addresses; last error: "
GOAWAY = "GOAWAY received; Error code: 0; Debug Text: "
RST = "Stream removed (RST_STREAM (Received RST_STREAM with error code {}))"
HTTP = "Received http2 header with status: {}"
ENVOY = "upstream connect error or disconnect/reset before headers. reset reason: "


def error(code, details, trailing=(), initial=(), debug=None):
    """An error as C-core makes it: with a debug text."""
    return grpc.aio.AioRpcError(
        grpc.StatusCode[code],
        grpc.aio.Metadata(*initial),
        grpc.aio.Metadata(*trailing),
        details,
        f"{code}:{details}" if debug is None else debug,
    )


def classify(made, *, state="", trusts=False, timeout_s=None, elapsed_s=0.1):
    return outcome_of(made, Attempt(timeout_s, elapsed_s, lambda: state, trusts))
