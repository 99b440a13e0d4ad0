"""Awaited waiters that keep to the ambient deadline; see the blocking ones."""

from functools import wraps
from typing import TYPE_CHECKING, Any

from resilience.botocore.waits import Polls, bounded_polls


if TYPE_CHECKING:
    from resilience.botocore.register import Registration


def bounded(waiter: Any, registration: "Registration") -> Any:
    """*waiter*, none of whose waits outlives the ambient deadline."""
    native = waiter.wait

    @wraps(native)
    async def wait(**kwargs: Any) -> Any:
        made, kwargs = bounded_polls(waiter, registration, AioPolls, kwargs)
        return await (native if made is None else made.wait)(**kwargs)

    vars(waiter)["wait"] = wait
    return waiter


class AioPolls(Polls):
    """The polls of one wait. Owned by its task."""

    async def __call__(self, **kwargs: Any) -> Any:
        """Poll; from the second time on after a wait.

        Raises:
            WaiterError: the deadline leaves no time for another poll.
        """
        if self._count:
            await self._engine.asleep(self._next_wait())
        self._count += 1
        self._answer = await self._poll(**kwargs)
        return self._answer
