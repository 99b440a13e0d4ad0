"""Google's adaptive throttling (the SRE book): reject by the share that is accepted.

Over two minutes, `p = max(0, (requests - K * accepts) / (requests + 1))` with K = 2.
Up to three attempts, while retries are at most 10 % of a client's requests.
"""

from collections import deque
from typing import Any

from .rival import Rival, RivalFlight


class AdaptiveThrottling(Rival):
    """A window per client."""

    max_attempts = 3
    window_s = 120.0
    k = 2.0
    retry_ratio = 0.1

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._events: deque[tuple[float, int, int, int]] = deque()
        self._requests = self._accepts = self._retries = 0

    def _count(self, now: float, requests: int, accepts: int, retries: int) -> None:
        events, oldest = self._events, now - self.window_s
        events.append((now, requests, accepts, retries))
        self._requests += requests
        self._accepts += accepts
        self._retries += retries
        while events[0][0] < oldest:
            _, requests, accepts, retries = events.popleft()
            self._requests -= requests
            self._accepts -= accepts
            self._retries -= retries

    def admits(self, flight: RivalFlight, now: float) -> bool:
        """Reject at random, by what was accepted."""
        surplus = self._requests - self.k * self._accepts
        chance = max(0.0, surplus / (self._requests + 1))
        self._count(now, 1, 0, int(flight.sent > 0))
        return chance == 0.0 or self.rng() >= chance

    def succeeded(self, flight: RivalFlight, now: float) -> None:
        """One more was accepted."""
        self._count(now, 0, 1, 0)

    def wait(self, flight: RivalFlight, code: str, now: float) -> float | None:
        """Within the client's own retry ratio."""
        if self._retries >= self.retry_ratio * self._requests:
            return None
        return self.rng() * 0.1 * 2.0 ** (flight.sent - 1)
