"""AWS's standard retry mode: three attempts and a quota of 500 for each client.

Before November 2026 a retry costs 5, after a timeout 10; since then 14, after
throttling 5, and waits begin at 50 ms, after throttling at 1 s. A success after a retry
gives the last price back, one at the first try gives 1.
"""

from typing import Any

from resilience.lab.simulate.servers import OVERLOADED

from .rival import TIMED_OUT, Rival, RivalFlight


CAPACITY = 500


class AwsStandard(Rival):
    """Standard mode up to botocore 1.43."""

    max_attempts = 3

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._quota = CAPACITY

    def price(self, code: str) -> int:
        """What one retry costs."""
        return 10 if code == TIMED_OUT else 5

    def base(self, code: str) -> float:
        """The longest first wait."""
        return 1.0

    def succeeded(self, flight: RivalFlight, now: float) -> None:
        """Give the last price back, or 1."""
        given = int(flight.cost) or 1
        self._quota = min(CAPACITY, self._quota + given)

    def wait(self, flight: RivalFlight, code: str, now: float) -> float | None:
        """Full jitter, if the quota has the price."""
        price = self.price(code)
        if self._quota < price:
            return None
        self._quota -= price
        flight.cost = price
        longest = min(self.base(code) * 2.0 ** (flight.sent - 1), 20.0)
        return self.rng() * longest


class AwsStandard2026(AwsStandard):
    """Standard mode since botocore 1.44."""

    def price(self, code: str) -> int:
        """What one retry costs."""
        return 5 if code == OVERLOADED else 14

    def base(self, code: str) -> float:
        """The longest first wait."""
        return 1.0 if code == OVERLOADED else 0.05
