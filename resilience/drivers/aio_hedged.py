"""Drive one call whose attempts may overlap, inside the running asyncio task.

Each attempt is a task of its own; one that lost is cancelled and not waited for.
Cancelling the task that awaits the call cancels all of them, tells the engine, and
propagates unchanged.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from resilience.core.command import CancelAttempt, Finish, StartAttempt
from resilience.core.event import ARRIVED, AttemptDone, CallerGone, Event, Woke

from .waiting import asleep


if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from resilience.core.call import Call
    from resilience.core.outcome import Outcome

    from .host import Host

    Attempt = Callable[[StartAttempt], Awaitable[Outcome]]

_leaving: set[asyncio.Task[Outcome]] = set()
"""Attempts that were cancelled and have not ended: a loop holds its tasks weakly."""


async def run(call: Call, attempt: Attempt, host: Host) -> Finish:
    """Carry *call* to its end.

    Args:
        call: a new call; this driver owns it from here.
        attempt: makes one attempt, keeps its native result and returns the outcome.
        host: clock, sleep and sinks.

    Raises:
        BaseException: whatever *attempt* lets through, cancellation among it; the
            engine hears first that the caller is gone.
    """
    import asyncio  # who awaits has it; `import resilience` does without

    under_way: dict[asyncio.Task[Outcome], int] = {}
    events: deque[Event] = deque((ARRIVED,))
    try:
        while True:
            step = call.advance(events.popleft(), host.now())
            if step.records:
                host.emit(step.records)
            for command in step.commands:
                match command:
                    case StartAttempt():
                        task = asyncio.ensure_future(attempt(command))
                        under_way[task] = command.number
                    case CancelAttempt():
                        _cancel(under_way, command.number)
                    case Finish():
                        return command
            if not events:
                events.extend(await _next(call, under_way, step.wake_at, host))
    except BaseException:
        host.emit(call.advance(CallerGone(), host.now()).records)
        raise
    finally:
        for number in [*under_way.values()]:
            _cancel(under_way, number)


def _cancel(under_way: dict[asyncio.Task[Outcome], int], number: int) -> None:
    for task, its_number in [*under_way.items()]:
        if its_number == number:
            del under_way[task]
            _leaving.add(task)
            task.add_done_callback(_left)
            task.cancel()


def _left(task: asyncio.Task[Outcome]) -> None:
    _leaving.discard(task)
    if not task.cancelled():
        task.exception()  # nobody else asks for it


async def _next(
    call: Call,
    under_way: dict[asyncio.Task[Outcome], int],
    wake_at: float | None,
    host: Host,
) -> list[Event]:
    """Wait for attempts that end, or for the moment *wake_at*; what came, in order."""
    import asyncio

    if call.waiter is not None:  # it stands in line: no attempt is under way
        return [await asleep(call, wake_at, host.now(), host)]
    sleeper = None
    waited: set[asyncio.Future[Any]] = {*under_way}
    if wake_at is not None:
        sleeper = asyncio.ensure_future(host.asleep(max(0.0, wake_at - host.now())))
        waited.add(sleeper)
    try:
        done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if sleeper is not None:
            sleeper.cancel()
    ended = [task for task in under_way if task in done]
    events: list[Event] = [
        AttemptDone(under_way.pop(task), task.result()) for task in ended
    ]
    if wake_at is not None and not events:
        events.append(Woke(wake_at))
    return events
