"""gRPC's own throttled retries (gRFC A6): 4 attempts, 10 tokens, ratio 0.1.

A failed attempt takes a token, a success gives `ratio` back; retries only above half.
Backoff 100 ms, doubling, and 0.8 to 1.2 times that.
"""

from typing import Any

from .rival import Rival, RivalFlight


class GrpcThrottling(Rival):
    """One channel's retries."""

    max_attempts = 4
    max_tokens = 10.0
    token_ratio = 0.1

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._tokens = self.max_tokens

    def succeeded(self, flight: RivalFlight, now: float) -> None:
        """Give a part of a token back."""
        if self._tokens < self.max_tokens:
            self._tokens = min(self.max_tokens, self._tokens + self.token_ratio)

    def failed(self, flight: RivalFlight, code: str, now: float) -> None:
        """Take a token."""
        self._tokens = max(0.0, self._tokens - 1)

    def wait(self, flight: RivalFlight, code: str, now: float) -> float | None:
        """Only above half of the tokens."""
        if self._tokens <= self.max_tokens / 2:
            return None
        return 0.1 * 2.0 ** (flight.sent - 1) * (0.8 + 0.4 * self.rng())
