"""Adapters for gRPC's asyncio API, over the same engine, table and route.

`intercept_channel` is the full adapter; `client_interceptors` is for places where only
grpcio's own hooks can be used. Import from here; all other modules are private.
"""

from .channel import intercept_channel
from .channels import insecure_channel, secure_channel
from .interceptor import client_interceptors
from .rejected import AioGrpcRejected
from .server import server_interceptor


__all__ = [
    "AioGrpcRejected",
    "client_interceptors",
    "insecure_channel",
    "intercept_channel",
    "secure_channel",
    "server_interceptor",
]
