"""Faults put between the adapters and the network, on purpose and for a limited time.

Adapters ask `live_drill()` once, when a channel or a client is made. Without the
environment variable `RESILIENCE_DRILL` the answer is None and nothing is put anywhere:
no file and no policy can switch a drill on. What else is here is imported only then.
"""

import os
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from .seam import Seam

VARIABLE: Final = "RESILIENCE_DRILL"
"""Names the drill file whose faults this process may inject."""


def live_drill() -> "Seam | None":
    """The drill of this process; None: there is none, and there will be none.

    A drill file that cannot be used is told to the log and injects nothing: a service
    starts with it as without it. Safe to call from any thread.
    """
    path = os.environ.get(VARIABLE)
    if not path:
        return None
    from .armed import of_process

    return of_process(path)
