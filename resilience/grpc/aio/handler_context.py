"""A handler's context on an asyncio server: grpcio's own, but for how it aborts.

grpcio sends the status within `abort`, so what the caller should hear of it has to be
there before; on thread-pool servers it can be added when the handler has ended.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from resilience.grpc.metadata import pairs
from resilience.grpc.server_calls import told_of


if TYPE_CHECKING:
    from resilience.grpc.server_calls import ServedCall


class HandlerContext:
    """What a handler is given. Owned by the task that serves."""

    __slots__ = ("_call", "_inner")

    def __init__(self, call: ServedCall, inner: Any) -> None:
        self._call = call
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def abort(
        self, code: Any, details: Any = "", trailing_metadata: Any = ()
    ) -> Any:
        """End the call with *code*; the caller hears our ids too.

        From inside an `except` block he also hears what stands for that exception.
        """
        more = self._extended(trailing_metadata, sys.exception())
        return await self._inner.abort(code, details, more)

    async def abort_with_status(self, status: Any) -> Any:
        """The same with the parts of a `grpc.Status`."""
        more = self._extended(status.trailing_metadata, sys.exception())
        return await self._inner.abort(status.code, status.details, more)

    def _extended(self, given: Any, error: BaseException | None) -> Any:
        """*given* and what we add; what gRPC would not take goes on as it is."""
        try:
            kept = given or tuple(self._inner.trailing_metadata() or ())
            known = tuple(pairs(kept))
            if type(given) is not tuple or len(known) != len(kept):
                return given
            call, taken = self._call, {name for name, _ in known}
            told = () if error is None else told_of(error)
            added = (*call.ids, *told)
            return (*kept, *(pair for pair in added if pair[0] not in taken))
        except Exception as fault:  # noqa: BLE001 - it never fails a call
            self._call.intake.fault("abort", fault)
            return given
