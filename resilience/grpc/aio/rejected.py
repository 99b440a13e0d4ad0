"""How a refused call looks to an asyncio caller, who catches `grpc.aio.AioRpcError`."""

from typing import Any

import grpc.aio

from resilience.grpc.rejected import GrpcRejected


class AioGrpcRejected(GrpcRejected, grpc.aio.AioRpcError):
    """A gRPC call was refused before anything was sent; also an `AioRpcError`."""

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        scope: str,
        retry_after_s: float | None = None,
    ) -> None:
        # Not by `super`: next in line is `AioRpcError`, which takes other arguments.
        self.message = message
        self.reason = reason
        self.scope = scope
        self.retry_after_s = retry_after_s
        empty = grpc.aio.Metadata()
        grpc.aio.AioRpcError.__init__(self, self.code(), empty, empty, message, "")
        self.args = (message,)

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"

    def initial_metadata(self) -> Any:
        """Empty: there was no server."""
        return grpc.aio.Metadata()

    def trailing_metadata(self) -> Any:
        """A pushback that forbids a repeat (gRFC A6)."""
        return grpc.aio.Metadata(*super().trailing_metadata())
