"""What does a healthy call cost, with every mechanism on?

Budget: 10 us for all mechanisms together, 5 us aimed at; one attempt that succeeds,
with breaker, retry budget, retry policy and deadline, and a sink that takes every
record (the log sink asks for none of a clean success). Then the same core with nothing
off: adaptive breaker, limiter, hedging and the host's state on top. Beside it two
libraries of one mechanism each: tenacity (retries) and pybreaker (a breaker).
"""

import os
import random
import tempfile
import time
from collections.abc import Callable

import pybreaker
import tenacity

from benchmarks.host_state import memory
from benchmarks.measure import Figure, compare, table
from resilience import PolicyEngine
from resilience.core.call import Call
from resilience.core.command import StartAttempt
from resilience.core.event import ARRIVED, AttemptDone
from resilience.core.outcome import OK, Outcome
from resilience.core.target import Facts, Target
from resilience.drivers import threads


BUDGET_US = 10.0
TARGET = Target(protocol="app", name="rates", service="rates", method="quote")
FACTS = Facts(declared="safe", timeout_s=10.0)
OURS = "new_call and drivers.threads.run"
ALL_ON = "new_call, advanced twice, all on"
POLICY_ALL_ON = """
version: 1
name: benchmark
state: host
all:
  attempt_timeout: 1s
  breaker: {kind: adaptive, scope: [target]}
  limiter: on
  hedging: {hedging_delay: p90, max_hedges: 2}
"""


def nothing(_: object = None) -> None:
    """The protected function."""


class Swallow:
    """A sink that wants every record and does nothing with it."""

    def emit(self, record: object) -> None:
        """Take one record."""


def succeed(_: StartAttempt) -> Outcome:
    """A healthy attempt."""
    return OK


def all_on() -> Callable[[], object]:
    """A healthy call through the core with every mechanism that there is."""
    engine = PolicyEngine.from_text(POLICY_ALL_ON, sinks=[])
    binding, facts = engine.bind(TARGET), FACTS._replace(can_hedge=True)
    done, monotonic = AttemptDone(1, OK), time.monotonic

    def call() -> None:
        call = engine.new_call(binding, facts)
        call.advance(ARRIVED, monotonic())
        call.advance(done, monotonic())

    return call


def candidates() -> dict[str, Callable[[], object]]:
    """What is compared, by name."""
    engine = PolicyEngine(sinks=[Swallow()])
    logging = PolicyEngine()
    binding, unseen = engine.bind(TARGET), logging.bind(TARGET)
    draw = random.Random(1).random
    monotonic = time.monotonic

    def bare() -> None:
        call = Call(binding, FACTS, "c", draw)
        call.advance(ARRIVED, monotonic())
        call.advance(AttemptDone(1, OK), monotonic())

    def driven() -> None:
        threads.run(engine.new_call(binding, FACTS), succeed, engine)

    def driven_unseen() -> None:
        threads.run(logging.new_call(unseen, FACTS), succeed, logging)

    breaker = pybreaker.CircuitBreaker()
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_random_exponential()
    )
    return {
        "a function call": nothing,
        "Call, advanced twice": bare,
        OURS: driven,
        "the same, log sink only": driven_unseen,
        ALL_ON: all_on(),
        "engine.call, all records": lambda: engine.call(
            "app:rates/quote", nothing, idempotency="safe", timeout=10.0
        ),
        "engine.call, log sink only": lambda: logging.call(
            "app:rates/quote", nothing, idempotency="safe", timeout=10.0
        ),
        "tenacity": lambda: retrying(nothing),
        "pybreaker": lambda: breaker.call(nothing),
    }


def figures() -> list[Figure]:
    """Measure all of them."""
    return compare(candidates())


def report() -> str:
    """The figures as text."""
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        os.environ["RESILIENCE_STATE_DIR"] = folder
        try:
            found = figures()
        finally:
            os.environ.pop("RESILIENCE_STATE_DIR", None)
    ours = max(each.median_us for each in found if each.name in (OURS, ALL_ON))
    verdict = "within" if ours <= BUDGET_US else "OVER"
    title = f"healthy call, all mechanisms: {verdict} {BUDGET_US:g} us"
    return table(title, found, OURS)


if __name__ == "__main__":
    print(report())
