"""Resilience4j's defaults: 3 attempts 500 ms apart, and a breaker that needs 100 calls.

Half of the last 100 attempts failed: open for 60 s, then 10 probes decide.
"""

from collections import deque
from typing import Any

from .rival import Rival, RivalFlight


class Resilience4j(Rival):
    """Retry around a breaker, per client."""

    max_attempts = 3
    window_calls = 100
    failure_ratio = 0.5
    open_for_s = 60.0
    probes = 10

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._window: deque[bool] = deque(maxlen=self.window_calls)
        self._failed = 0
        self._open_until: float | None = None
        self._left = 0
        """Probes that may still be sent, half-open."""
        self._probed: list[bool] = []

    def admits(self, flight: RivalFlight, now: float) -> bool:
        """Not while open; half-open, ten."""
        if self._open_until is None:
            return True
        if now < self._open_until:
            return False
        if self._left == 0:
            return False
        self._left -= 1
        return True

    def succeeded(self, flight: RivalFlight, now: float) -> None:
        """Count it."""
        self._count(now, failed=False)

    def failed(self, flight: RivalFlight, code: str, now: float) -> None:
        """Count it."""
        self._count(now, failed=True)

    def _count(self, now: float, *, failed: bool) -> None:
        if self._open_until is not None:
            if now >= self._open_until:
                self._probed.append(failed)
                if len(self._probed) >= self.probes:
                    self._judge(self._probed, now)
            return
        window = self._window
        if len(window) == self.window_calls:
            self._failed -= window[0]
        window.append(failed)
        self._failed += failed
        if len(window) == self.window_calls:
            self._judge(window, now, failed=self._failed)

    def _judge(self, window: Any, now: float, failed: int | None = None) -> None:
        bad = sum(window) if failed is None else failed
        if bad >= self.failure_ratio * len(window):
            self._open_until, self._left = now + self.open_for_s, self.probes
        elif failed is None:
            self._open_until = None
        else:
            return
        self._window.clear()
        self._failed = 0
        self._probed = []

    def wait(self, flight: RivalFlight, code: str, now: float) -> float | None:
        """Always the same."""
        return 0.5
