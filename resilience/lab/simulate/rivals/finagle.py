"""Finagle's retry budget: 20 % of calls of the last 10 s, and 10 retries a second.

The reserve is each client's own, full at the start: where clients are small and many,
it is most of what they send. Three retries, jittered backoff.
"""

from collections import deque
from typing import Any

from .rival import Rival, RivalFlight


class Finagle(Rival):
    """A budget per client."""

    max_attempts = 4
    ratio = 0.2
    min_per_second = 10.0
    ttl_s = 10.0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._entries: deque[tuple[float, float]] = deque()
        self._balance = 0.0

    def _expire(self, now: float) -> None:
        entries, oldest = self._entries, now - self.ttl_s
        while entries and entries[0][0] < oldest:
            self._balance -= entries.popleft()[1]

    def admits(self, flight: RivalFlight, now: float) -> bool:
        """Always; a first attempt pays in."""
        if flight.sent == 0:
            self._expire(now)
            self._entries.append((now, self.ratio))
            self._balance += self.ratio
        return True

    def wait(self, flight: RivalFlight, code: str, now: float) -> float | None:
        """Only while the budget lasts."""
        self._expire(now)
        if self._balance + self.min_per_second * self.ttl_s < 1:
            return None
        self._entries.append((now, -1.0))
        self._balance -= 1.0
        return self.rng() * 0.1 * 2.0 ** (flight.sent - 1)
