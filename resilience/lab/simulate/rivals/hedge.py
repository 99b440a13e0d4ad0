"""One hedge at the p90 of recent latencies, as Google's "The Tail at Scale" has it.

Each client keeps its newest 500 latencies and looks at them again every 3 s. The first
answer wins; what is left of the other is cancelled. At most 10 % of calls are hedged.
"""

from collections import deque
from typing import Any

from resilience.lab.simulate.servers import Attempt
from resilience.lab.simulate.timeline import Moment

from .rival import Rival, RivalFlight


class Hedge(Rival):
    """No retry, one hedge."""

    quantile = 0.90
    max_extra = 0.10
    refresh_s = 3.0
    least_samples = 20

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._latencies: deque[float] = deque(maxlen=500)
        self._delay_s: float | None = None
        self._look_at = 0.0
        self._tokens = 0.0

    def call(
        self, shard: int, now: float, *, critical: bool, above: Attempt | None
    ) -> None:
        """Begin a call, and have its hedge wait."""
        flight = RivalFlight(self, shard, now, critical=critical, above=above)
        self._tokens = min(10.0, self._tokens + self.max_extra)
        flight.start(now)
        delay_s = self._delay(now)
        if delay_s is not None:
            due = Due()
            due.flight = flight
            self.timeline.at(now + delay_s, due, (self._hedge,))

    def _delay(self, now: float) -> float | None:
        found = self._latencies
        if now >= self._look_at and len(found) >= self.least_samples:
            self._look_at = now + self.refresh_s
            self._delay_s = sorted(found)[int(self.quantile * len(found))]
        return self._delay_s

    def _hedge(self, due: "Due") -> None:
        if not due.flight.is_over and self._tokens >= 1:
            self._tokens -= 1
            due.flight.start(self.timeline.seconds())

    def succeeded(self, flight: RivalFlight, now: float) -> None:
        """Keep how long the call took."""
        self._latencies.append(now - flight.offered_at)


class Due(Moment):
    """A hedge that waits for its moment."""

    __slots__ = ("flight",)

    flight: RivalFlight
