"""Naive retries: three more attempts, each a fixed 100 ms after the last failed."""

from .rival import Rival, RivalFlight


class Naive(Rival):
    """Four attempts, no jitter, no budget."""

    max_attempts = 4

    def wait(self, flight: RivalFlight, code: str, now: float) -> float | None:
        """Always the same."""
        return 0.1


class Keyed(Naive):
    """The same with a key for each call, which nobody remembers after a crash."""

    sends_keys = True
