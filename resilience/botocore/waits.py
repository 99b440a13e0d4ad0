"""Waiters that keep to the ambient deadline, which botocore's own sleep does not know.

Polls and what they mean stay botocore's; between two of them we sleep instead, no
longer than the time that is left. Without a deadline nothing is touched.
"""

import math
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

from botocore.exceptions import WaiterError

from resilience.context import ambient_deadline


if TYPE_CHECKING:
    from resilience.engine import PolicyEngine

    from .register import Registration

LAST_POLL_S = 1.0
"""Kept for a last poll, where a whole delay does not fit any more."""


def bounded(waiter: Any, registration: "Registration") -> Any:
    """*waiter*, none of whose waits outlives the ambient deadline."""
    native: Callable[..., Any] = waiter.wait

    @wraps(native)
    def wait(**kwargs: Any) -> Any:
        made, kwargs = bounded_polls(waiter, registration, Polls, kwargs)
        return (native if made is None else made.wait)(**kwargs)

    vars(waiter)["wait"] = wait
    return waiter


def bounded_polls(
    waiter: Any,
    registration: "Registration",
    kind: "type[Polls]",
    kwargs: dict[str, Any],
) -> tuple[Any, dict[str, Any]]:
    """A waiter for one wait, and what it is called with; None: the native one does."""
    engine, deadline = registration.engine, ambient_deadline()
    if engine is None or deadline is None or engine.mode != "enforce":
        return None, kwargs
    given: Mapping[str, Any] = kwargs.get("WaiterConfig") or {}
    try:
        delay = given.get("Delay", waiter.config.delay)
        if not isinstance(delay, (int, float)) or not math.isfinite(delay):
            return None, kwargs
        # A waiter of its own for each wait: they may overlap.
        made = type(waiter)(waiter.name, waiter.config, waiter._operation_method)
        made._operation_method = kind(made, engine, float(delay), deadline)
    except (AttributeError, TypeError) as error:  # a botocore of another shape
        registration.say("waits-unbounded", f"{error!r}; waits end as natively")
        return None, kwargs
    return made, {**kwargs, "WaiterConfig": {**given, "Delay": 0}}


class Polls:
    """The polls of one wait. Owned by its thread or task."""

    def __init__(
        self, waiter: Any, engine: "PolicyEngine", delay_s: float, deadline_at: float
    ) -> None:
        self._name = waiter.name
        self._poll = waiter._operation_method
        self._engine = engine
        self._delay_s = delay_s
        self._deadline_at = deadline_at
        self._answer: Any = None
        self._is_last = False
        self._count = 0

    def __call__(self, **kwargs: Any) -> Any:
        """Poll; from the second time on after a wait.

        Raises:
            WaiterError: the deadline leaves no time for another poll.
        """
        if self._count:
            self._engine.sleep(self._next_wait())
        self._count += 1
        self._answer = self._poll(**kwargs)
        return self._answer

    def _next_wait(self) -> float:
        """Seconds until the next poll.

        Raises:
            WaiterError: the deadline leaves no time for another one.
        """
        left = self._deadline_at - self._engine.now()
        if self._is_last or left <= 0:
            raise WaiterError(
                name=self._name,
                reason=(
                    f"the deadline leaves no time for another poll after {self._count}"
                ),
                last_response=self._answer,
            )
        wait_s = self._delay_s
        if wait_s >= left:
            self._is_last = True
            wait_s = left - min(LAST_POLL_S, left / 2)
        return wait_s
