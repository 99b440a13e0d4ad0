"""How long to wait before the next attempt.

The un-jittered sequence comes from the policy (the `backoff` package's generators,
capped there); the random number comes from outside. Jitter is applied after the cap,
or every client that reached the cap would come back in step.
"""

from collections.abc import Callable, Iterator

from .outcome import Outcome
from .policy import BackoffPolicy


AWS_CLAMP_S = 5.0
"""`x-amz-retry-after` holds between our own wait and 5 s more (AWS retries 2.1)."""


class Backoff:
    """The waits of one call under one policy. Owned by one call."""

    __slots__ = ("_policy", "_position", "_previous", "_waits")

    def __init__(self, policy: BackoffPolicy) -> None:
        self._policy = policy
        self._waits: Iterator[float] = iter(())
        self._position = 0
        self._previous = policy.initial_s

    def wait(self, n: int, rng: Callable[[], float]) -> float:
        """Seconds before the *n*-th repeat (from 1), jitter included."""
        policy = self._policy
        if policy.jitter == "decorrelated":
            # Brooker, "Exponential Backoff And Jitter": U(initial, 3 * previous), the
            # range capped and not the draw, or most draws would be the cap itself.
            high = min(policy.max_s, self._previous * 3)
            low = min(policy.initial_s, high)
            self._previous = low + rng() * (high - low)
            return self._previous
        wait = min(self._nth(n), policy.max_s)
        if policy.jitter == "full":
            return rng() * wait
        if policy.jitter == "equal":
            return wait / 2 + rng() * wait / 2
        return wait

    def _nth(self, n: int) -> float:
        """The generator's n-th value; it only goes forward, so a smaller n restarts."""
        if not 0 < self._position < n:
            self._waits, self._position = self._policy.waits(), 0
        value = 0.0
        while self._position < n:
            value = next(self._waits)
            self._position += 1
        return value


def with_pushback(outcome: Outcome, own: float, rng: Callable[[], float]) -> float:
    """The wait that follows from what the server asked for and our *own* one."""
    asked = outcome.pushback_s
    if asked is None or asked < 0:
        return own
    if outcome.pushback_form == "clamped":
        return min(max(asked, own), own + AWS_CLAMP_S)
    if outcome.pushback_form == "hint":
        return asked * (1 + rng() / 2)
    return asked
