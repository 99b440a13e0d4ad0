"""Exponential backoff with full jitter, three retries, no budget: the textbook's."""

from .rival import Rival, RivalFlight


class Jitter(Rival):
    """Four attempts; waits drawn from 0 to 100 ms, 200 ms, 400 ms."""

    max_attempts = 4

    def wait(self, flight: RivalFlight, code: str, now: float) -> float | None:
        """Full jitter."""
        return self.rng() * 0.1 * 2.0 ** (flight.sent - 1)
