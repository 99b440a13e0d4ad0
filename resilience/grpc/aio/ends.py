"""How native asyncio calls ended, read the moment their status is there.

grpcio overwrites a status when a write that was under way fails: it says INTERNAL then,
before the real status or after it. So the real one is read as it comes, and kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import grpc.aio


if TYPE_CHECKING:
    from collections.abc import Callable

CANCELLED = "Locally cancelled by application!"
_WORDS = (CANCELLED, "Cancelled upon garbage collection!")
"""grpcio's own: a call that was cancelled on this side says so."""
_WRITE_FAILED = "Internal error from Core"
"""grpcio's own, too: no status of the call."""


class End(NamedTuple):
    """How one native call ended."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: Any
    debug_error_string: Any
    initial_metadata: Any

    @property
    def is_local(self) -> bool:
        """Was it cancelled on this side?"""
        return self.code is grpc.StatusCode.CANCELLED and self.details in _WORDS

    @property
    def is_premature(self) -> bool:
        """Is the real status yet to come?"""
        is_internal = self.code is grpc.StatusCode.INTERNAL
        return is_internal and self.details == _WRITE_FAILED

    def error(self) -> grpc.aio.AioRpcError:
        """As the native call raises it."""
        return grpc.aio.AioRpcError(
            self.code,
            self.initial_metadata,
            self.trailing_metadata,
            self.details,
            self.debug_error_string,
        )


async def end_of(native: Any) -> End | Exception:
    """How *native* ended; an exception: what an interceptor below raised."""
    try:
        return End(
            await native.code(),
            await native.details(),
            await native.trailing_metadata(),
            await native.debug_error_string(),
            await native.initial_metadata(),
        )
    except Exception as error:  # noqa: BLE001 - the caller's to raise
        return error


def is_over(native: Any) -> bool:
    """Has *native* ended? Older grpcio raises there what an interceptor raised."""
    try:
        return bool(native.done())
    except Exception:  # noqa: BLE001 - see above
        return True


def read_now(native: Any, tell: Callable[[End | Exception], None]) -> bool:
    """Tell how *native*, whose status is there, ended; False: that takes waiting."""
    reading = end_of(native)
    try:
        reading.send(None)
    except StopIteration as found:
        tell(found.value)
        return True
    reading.close()
    return False
