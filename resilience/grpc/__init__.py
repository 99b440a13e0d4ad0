"""Adapters for gRPC: channels, interceptors, and what a status means.

`intercept_channel` (and `resilience.grpc.aio.intercept_channel`) is the full adapter;
`client_interceptor` is for places where only grpcio's own hooks can be used. Import
from here, or from `resilience.grpc.aio`; all other modules are private.
"""

try:
    import grpc as _grpc
except ImportError as _error:
    _msg = "resilience.grpc needs grpcio: pip install 'resilience-middleware[grpc]'"
    raise ImportError(_msg, name="grpc") from _error

from . import aio
from .channel import intercept_channel
from .channels import insecure_channel, options_for, secure_channel
from .errors import ErrorMap, Failure
from .interceptor import client_interceptor
from .options import channel_options, native_retry_attempts
from .rejected import GrpcRejected
from .server import server_interceptor
from .server_options import server_options


__all__ = [
    "ErrorMap",
    "Failure",
    "GrpcRejected",
    "aio",
    "channel_options",
    "client_interceptor",
    "insecure_channel",
    "intercept_channel",
    "native_retry_attempts",
    "options_for",
    "secure_channel",
    "server_interceptor",
    "server_options",
]
del _grpc
