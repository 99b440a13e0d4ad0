"""Drive on the calling thread what is written as a coroutine, for asyncio and threads.

Where a decision has waits in it, it is written once, as a coroutine. A blocking host
gives it ways of waiting that block and never suspend; no event loop takes part, so one
that runs on this thread is of no matter.
"""

from collections.abc import Coroutine
from typing import Any, TypeVar


T = TypeVar("T")


def drive(steps: Coroutine[Any, Any, T]) -> T:
    """What *steps* return; every wait in them blocks.

    Raises:
        RuntimeError: they suspended, so a wait in them was none of a thread's.
    """
    try:
        steps.send(None)
    except StopIteration as end:
        made: T = end.value
        return made
    steps.close()
    msg = f"{steps!r} suspended where nothing could wake it"
    raise RuntimeError(msg)
