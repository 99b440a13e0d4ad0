"""How a refused call looks to an asyncio caller, who catches `grpc.aio.AioRpcError`."""

from typing import Any

import grpc.aio

from resilience.grpc.rejected import GrpcRejected


class AioGrpcRejected(GrpcRejected, grpc.aio.AioRpcError):
    """A gRPC call was refused before anything was sent; also an `AioRpcError`."""

    def initial_metadata(self) -> Any:
        """Empty: there was no server."""
        return grpc.aio.Metadata()

    def trailing_metadata(self) -> Any:
        """A pushback that forbids a repeat (gRFC A6)."""
        return grpc.aio.Metadata(*super().trailing_metadata())
