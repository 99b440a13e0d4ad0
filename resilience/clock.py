"""Where an engine gets its time. `resilience.testing.VirtualClock` is another one."""

import threading
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Time and waiting. Safe to share between threads."""

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block the calling thread."""

    async def asleep(self, seconds: float) -> None:
        """Suspend the running task."""


async def asleep(seconds: float) -> None:
    """Suspend the running task; the counterpart of `time.sleep`."""
    import asyncio  # who awaits has it; `import resilience` does without

    await asyncio.sleep(seconds)


def event_wait(clock: Clock | None) -> Callable[[threading.Event, float], object]:
    """How a thread waits for an event, at most for some seconds; None: really.

    Virtual time passes at once: nobody could set the event meanwhile.
    """
    if clock is None:
        return threading.Event.wait
    return lambda _, seconds: clock.sleep(seconds)
