"""Going on where the body of an awaited answer was cut; only what waits differs."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from resilience.botocore.flight import Flight
from resilience.botocore.operation import Bound, Operation
from resilience.botocore.resume import Resume
from resilience.core.target import Facts

from .flight import AioFlight
from .native import close


Native = Callable[[str, Mapping[str, Any]], Awaitable[Any]]


class AioResume(Resume):
    """How one body goes on after a cut. Owned by its reader."""

    async def _call(self, flight: Flight, params: Mapping[str, Any]) -> Any:
        from .guard import in_time  # it guards bodies, and so knows this file

        if not isinstance(flight, AioFlight):
            raise TypeError(flight)
        return await in_time(flight, self._native, self._name, params)

    async def close(self, body: Any) -> None:
        """Close a *body* that is of no use."""
        await close(body)

    def _flight(
        self, operation: Operation, bound: Bound, facts: Facts, params: Any
    ) -> Flight:
        guard = self._guard
        return AioFlight(
            guard,
            operation,
            bound,
            params,
            facts=facts,
        )
