"""What becomes of a multipart upload whose caller's time is over.

It is aborted beside him, or somebody is told.

aioboto3 aborts an upload that failed within the deadline that it failed by; natively
there is none, so the abort goes on without it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from resilience import context
from resilience.botocore.transfer import ABORT, ABORT_S, _tell_left


if TYPE_CHECKING:
    from .guard import AioGuard

Native = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
_aborts: set[asyncio.Task[None]] = set()
"""Those under way: a loop keeps only weak references to its tasks."""


def abort_later(
    guard: "AioGuard", params: Mapping[str, Any], native: Native, error: Exception
) -> None:
    """Abort an upload although its caller's time is over; he does not wait for it."""
    if asyncio.current_task() in _aborts:
        return  # it is one of those, and says itself how it ended
    deadline = context.ambient_deadline()
    if deadline is None or context.monotonic() < deadline:
        _tell_left(guard, params, error)
        return

    async def abort() -> None:
        try:
            with context.detached(), context.deadline(ABORT_S):
                await guard.acall(ABORT, dict(params), native)
        except Exception as failed:  # noqa: BLE001 - nobody waits for it
            _tell_left(guard, params, failed)
        except asyncio.CancelledError:
            _tell_left(guard, params, error)  # the loop ends
            raise

    task = asyncio.get_running_loop().create_task(abort())
    _aborts.add(task)
    task.add_done_callback(_aborts.discard)
