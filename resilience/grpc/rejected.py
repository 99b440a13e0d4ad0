"""How a call that was refused unsent looks to a gRPC caller.

Only codes that gRFC A54 lets a library make are used here. The trailing metadata asks
every retry layer above, native ones included, not to repeat the call.
"""

from typing import Any

import grpc

from resilience.core.command import Rejection
from resilience.errors import Rejected

from .finished import FinishedCall


_CODES = {
    "deadline": grpc.StatusCode.DEADLINE_EXCEEDED,
    "cancelled": grpc.StatusCode.CANCELLED,
    "breaker-open": grpc.StatusCode.UNAVAILABLE,
    "limiter": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "retry-budget": grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_DO_NOT_REPEAT = (("grpc-retry-pushback-ms", "-1"),)


class GrpcRejected(Rejected, FinishedCall):
    """A gRPC call was refused before anything was sent.

    It is a finished call with a status: `UNAVAILABLE` (breaker open),
    `RESOURCE_EXHAUSTED` (limiter, budget) or `DEADLINE_EXCEEDED` (no time left).
    """

    @classmethod
    def of(cls, rejection: Rejection) -> "GrpcRejected":
        """The error for what the engine decided."""
        return cls(
            rejection.message,
            reason=rejection.reason,
            scope=rejection.scope,
            retry_after_s=rejection.retry_after_s,
        )

    def code(self) -> grpc.StatusCode:
        """The status that stands for the reason."""
        return _CODES.get(self.reason, grpc.StatusCode.UNAVAILABLE)

    def details(self) -> str:
        """The message."""
        return self.message

    def trailing_metadata(self) -> Any:
        """A pushback that forbids a repeat (gRFC A6)."""
        return _DO_NOT_REPEAT

    def debug_error_string(self) -> str:
        """Empty, as for every status that gRPC's core did not make."""
        return ""
