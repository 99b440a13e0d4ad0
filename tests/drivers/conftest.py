"""A host as drivers see it, in virtual time, and calls to drive."""

import heapq
import itertools

import pytest

from resilience import PolicyEngine
from resilience.core.outcome import OK, Outcome
from resilience.core.target import Facts, Target
from resilience.drivers.timer import Handle
from resilience.testing import CollectingSink, VirtualClock


class ManualTimer:
    """A timer whose functions run when the test says so, on the test's thread."""

    def __init__(self, clock):
        self.clock = clock
        self.heap = []
        self.order = itertools.count()

    def at(self, when, fn, dropped=None):
        handle = Handle(fn, dropped)
        heapq.heappush(self.heap, (when, next(self.order), handle))
        return handle

    def soon(self, fn):
        self.at(self.clock.now(), fn)

    @property
    def pending(self):
        return [when for when, _, handle in self.heap if handle.fn is not None]

    def run(self):
        """Run what is pending, in order, to the end."""
        while self.heap:
            when, _, handle = heapq.heappop(self.heap)
            if handle.fn is not None:
                self.clock.advance(max(0.0, when - self.clock.now()))
                handle.fn()


class Host:
    """What an engine lends to drivers, and the records they emit."""

    ok = OK
    refused = Outcome("UNAVAILABLE", "transport", "no")
    lost = Outcome("INTERNAL", "transport", "maybe")

    def __init__(self):
        self.clock = VirtualClock(0.0)
        self.sink = CollectingSink()
        text = "version: 1\nall: {breaker: {kind: classic}}"
        self.engine = PolicyEngine.from_text(
            text, clock=self.clock, sinks=[self.sink], seed=0
        )
        self.now = self.clock.now
        self.sleep = self.clock.sleep
        self.asleep = self.clock.asleep
        self.timer = ManualTimer(self.clock)
        self.emit = self.engine.emit

    def call(self, policy=None, **facts):
        """A new call to the cart under *policy* (values of `all`)."""
        engine = self.engine
        if policy is not None:
            engine = PolicyEngine.from_dict({"version": 1, "all": policy}, seed=0)
        target = Target(protocol="grpc", name="cart", service="shop.Cart", method="Get")
        return engine.new_call(engine.bind(target), Facts(**facts))

    @property
    def ends(self):
        """Reason and attempts of each call that ended."""
        return [(ended.reason, ended.attempts) for ended in self.sink.calls]


@pytest.fixture
def host():
    return Host()
