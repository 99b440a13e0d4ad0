"""A breaker with a clock, for short tests."""

from resilience.core.breaker import Refusal
from resilience.core.classic import ClassicBreaker as Breaker
from tests.core.policies import breaker, middle


class Probed:
    """A breaker with a clock, for short tests."""

    def __init__(self, rng=middle, **changes) -> None:
        self.made = Breaker(breaker(**changes), "app:target=rates")
        self.rng = rng
        self.now = 0.0

    def admit(self, deadline=None):
        return self.made.admit(self.now, self.rng, deadline)

    def end(self, permit, evidence, elapsed_s=0.1, **more) -> None:
        self.made.done(permit, evidence, elapsed_s, self.now, self.rng, **more)

    def call(self, evidence="success", elapsed_s=0.1, **more) -> bool:
        """One attempt; was it admitted?"""
        permit = self.admit()
        if isinstance(permit, Refusal):
            return False
        self.end(permit, evidence, elapsed_s, **more)
        return True

    def trip(self) -> "Probed":
        for _ in range(4):
            assert self.call("failure")
        assert self.made.state == "open"
        return self

    @property
    def state(self) -> str:
        return self.made.state

    @property
    def open_for(self) -> float:
        assert self.made.until is not None
        return self.made.until - self.now
