"""Who takes an attempt through its fault: a thread that blocks, or a task that waits.

What waits is woken when the drill is stopped, and goes on as if there were no fault.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable

from .flow import End, Flow, Send, Wait
from .seam import Seam


def drive(
    seam: Seam, flow: Flow, send: Callable[[Send], bool], awake: threading.Event
) -> End:
    """Go through *flow*, blocking; *awake* ends its waits, and so does the drill."""
    undo = seam.wake_at_stop(awake.set)
    try:
        command = next(flow)
        while True:
            if isinstance(command, Wait):
                told = not awake.wait(command.seconds)
            else:
                told = send(command)
            command = flow.send(told)
    except StopIteration as end:
        found: End = end.value
        return found
    finally:
        undo()


async def adrive(
    seam: Seam, flow: Flow, send: Callable[[Send], Awaitable[bool]]
) -> End:
    """The same in a task, whose cancellation goes through unchanged."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(stopped.set)

    undo = seam.wake_at_stop(wake)
    try:
        command = next(flow)
        while True:
            if isinstance(command, Wait):
                told = not await _is_set(stopped, command.seconds)
            else:
                told = await send(command)
            command = flow.send(told)
    except StopIteration as end:
        found: End = end.value
        return found
    finally:
        undo()


async def _is_set(event: asyncio.Event, within_s: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), within_s)
    except TimeoutError:
        return False
    return True
