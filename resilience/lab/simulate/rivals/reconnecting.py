"""Clients that come back after a lost connection: exponential backoff, no end.

Waits from 100 ms, doubling, at most a minute; jitter over the whole wait (full) or over
its upper half (equal).
"""

from .rival import Rival, RivalFlight


class FullJitter(Rival):
    """Waits drawn from 0 to the wait."""

    max_attempts = 1_000
    initial_s = 0.1
    multiplier = 2.0
    max_s = 60.0

    def _longest(self, flight: RivalFlight) -> float:
        grown = self.initial_s * self.multiplier ** min(flight.sent - 1, 60)
        return min(self.max_s, grown)

    def wait(self, flight: RivalFlight, code: str, now: float) -> float | None:
        """Full jitter."""
        return self.rng() * self._longest(flight)


class EqualJitter(FullJitter):
    """Waits drawn from the upper half of the wait."""

    def wait(self, flight: RivalFlight, code: str, now: float) -> float | None:
        """Equal jitter."""
        return (0.5 + self.rng() / 2) * self._longest(flight)
