"""What an attempt is expected to take, from answers seen in this scope.

Used to skip a retry that cannot fit, and to tell a slow server from an impatient
caller. A lost update between threads costs nothing, so there is no lock.
"""

WEIGHT = 0.1
"""Of the newest sample in the moving average; about the last twenty count."""


class Latency:
    """A moving average of answers, in seconds. Safe to share between threads."""

    __slots__ = ("expected_s",)

    def __init__(self) -> None:
        self.expected_s = 0.0
        """0 until something was answered."""

    def sample(self, elapsed_s: float) -> None:
        """An attempt was answered after *elapsed_s*."""
        expected = self.expected_s
        self.expected_s = (
            expected + WEIGHT * (elapsed_s - expected) if expected else elapsed_s
        )
