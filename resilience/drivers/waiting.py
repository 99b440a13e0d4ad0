"""How drivers wait: for a moment, and for a place that may come free before it.

A call that stands in line has a `waiter`; whoever gives a place up wakes its driver.
Threads block on an event, tasks on a sleep that is cancelled: nobody polls.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from resilience.core.event import Woke


if TYPE_CHECKING:
    from resilience.core.call import Call
    from resilience.core.limiter_queue import Waiter

    from .host import Host


def sleep(call: Call, wake_at: float | None, now: float, host: Host) -> Woke:
    """Block the calling thread until *call* has to go on; what it is told then."""
    due = now if wake_at is None else wake_at
    waiter = call.waiter
    if waiter is None:
        host.sleep(max(0.0, due - now))
    elif block(waiter, max(0.0, due - now), host):
        due = host.now()
    return Woke(due)


async def asleep(call: Call, wake_at: float | None, now: float, host: Host) -> Woke:
    """Suspend the running task until *call* has to go on; what it is told then."""
    due = now if wake_at is None else wake_at
    waiter = call.waiter
    if waiter is None:
        await host.asleep(max(0.0, due - now))
    elif await pause(waiter, max(0.0, due - now), host):
        due = host.now()
    return Woke(due)


def block(waiter: Waiter, seconds: float, host: Host) -> bool:
    """Block for *seconds* at most; True: *waiter* is decided, early or just now."""
    decided = threading.Event()
    waiter.watch(decided.set)
    host.wait(decided, seconds)
    return waiter.is_decided


async def pause(waiter: Waiter, seconds: float, host: Host) -> bool:
    """Suspend for *seconds* at most; True: *waiter* is decided, early or just now."""
    import asyncio  # who awaits has it; `import resilience` does without

    sleeper = asyncio.ensure_future(host.asleep(seconds))
    loop = asyncio.get_running_loop()
    waiter.watch(lambda: loop.call_soon_threadsafe(sleeper.cancel))
    try:
        await asyncio.wait((sleeper,))
    finally:
        sleeper.cancel()
    return waiter.is_decided
