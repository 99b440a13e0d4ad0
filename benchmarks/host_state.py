"""What does sharing state on the host cost a healthy call?

Budget: 1 us beside `state: process`. The first table is one process, whose calls follow
each other; the second is a process that is called every 20 ms, so that each fifth call
begins a tick: back to back as if it were so, then at that pace, where between two calls
everybody's caches have gone cold. Then eight processes call as fast as they can while
one of them times each of its calls: what the engine itself takes there, at the median
and far out.
"""

import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Self

from benchmarks.measure import Figure, compare, table
from resilience import PolicyEngine
from resilience.core.call import Call
from resilience.core.command import StartAttempt
from resilience.core.event import ARRIVED, AttemptDone
from resilience.core.outcome import OK, Outcome
from resilience.core.target import Facts, Target
from resilience.drivers import threads


BUDGET_US = 1.0
PROCESSES = 8
TIMED_CALLS = 100_000
SPARSE_CALLS = 500
PACED_CALLS = 300
TICK_S = 0.1
TARGET = Target(protocol="app", name="rates", service="rates", method="quote")
FACTS = Facts(declared="safe", timeout_s=10.0)
POLICY = """
version: 1
name: benchmark
state: {state}
all: {{attempt_timeout: 1s, breaker: {{kind: adaptive, scope: [target]}}}}
"""


def succeed(_: StartAttempt) -> Outcome:
    """A healthy attempt."""
    return OK


def made(state: str) -> PolicyEngine:
    """An engine of that state."""
    return PolicyEngine.from_text(POLICY.format(state=state))


def driven(engine: PolicyEngine) -> Callable[[], object]:
    """A healthy call through the core and the driver for threads."""
    binding = engine.bind(TARGET)
    return lambda: threads.run(engine.new_call(binding, FACTS), succeed, engine)


def busy(begun: Event, ended: Event) -> None:
    """Call until *ended*."""
    call = driven(made("host"))
    call()
    begun.set()
    while not ended.is_set():
        for _ in range(200):
            call()


class Crowd:
    """The other processes of the host."""

    def __init__(self, size: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.ended = context.Event()
        begun = [context.Event() for _ in range(size)]
        self.members = [
            context.Process(target=busy, args=(event, self.ended), daemon=True)
            for event in begun
        ]
        for member in self.members:
            member.start()
        for event in begun:
            event.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for member in self.members:
            member.join()


def idle_peers(size: int) -> list[PolicyEngine]:
    """Engines of this process that are peers: they have slots, and are called once."""
    engines = [made("host") for _ in range(size)]
    for engine in engines:
        driven(engine)()
    return engines


def in_turns() -> list[Figure]:
    """One process after the other: host beside process."""
    alone, shared = made("process"), made("host")
    try:
        return compare({"process": driven(alone), "host": driven(shared)}, rounds=100)
    finally:
        shared.close()


def sparse(state: str) -> float:
    """Microseconds of the engine per call, at one call each 20 ms of its time.

    A mean, for one call in five does the work of a tick; without the slowest hundredth,
    in which another process ran.
    """
    engine = made(state)
    binding = engine.bind(TARGET)
    peers = idle_peers(PROCESSES - 1) if state == "host" else []
    draw = random.Random(1).random
    took: list[float] = []
    began = time.monotonic()
    for at in range(SPARSE_CALLS):
        now = began + at * 0.02  # as if it were then: nobody has to wait here
        if at % 50 == 0:
            for peer in peers:
                peer.bind(TARGET).breaker.admit(now, draw)
        started = time.perf_counter()
        call = Call(binding, FACTS, "c", draw)
        call.advance(ARRIVED, now)
        call.advance(AttemptDone(1, OK), now)
        took.append(time.perf_counter() - started)
    for each in (engine, *peers):
        each.close()
    return statistics.mean(sorted(took)[: -len(took) // 100]) * 1e6


def paced() -> list[str]:
    """What calls take where each engine is called every 20 ms, in turns.

    Those that begin a tick are told apart.
    """
    engines = {state: made(state) for state in ("process", "host")}
    bindings = {state: each.bind(TARGET) for state, each in engines.items()}
    peers = idle_peers(PROCESSES - 1)
    draw = random.Random(1).random
    took: dict[tuple[str, bool], list[float]] = {}
    ticks = dict.fromkeys(engines, -1)
    for at in range(2 * PACED_CALLS):
        state = ("process", "host")[at % 2]
        time.sleep(0.01)
        now = time.monotonic()
        if at % 100 == 0:
            for peer in peers:
                peer.bind(TARGET).breaker.admit(now, draw)
        started = time.perf_counter()
        call = Call(bindings[state], FACTS, "c", draw)
        call.advance(ARRIVED, now)
        call.advance(AttemptDone(1, OK), now)
        spent = time.perf_counter() - started
        is_first, ticks[state] = int(now / TICK_S) != ticks[state], int(now / TICK_S)
        took.setdefault((state, is_first), []).append(spent * 1e6)
    for each in (*engines.values(), *peers):
        each.close()
    return [
        f"  {state}: {statistics.median(took[state, False]):.1f} us,"
        f" {statistics.median(took[state, True]):.1f} us where it begins a tick"
        for state in engines
    ]


def spread(state: str) -> str:
    """Quantiles of the engine's own time among busy processes, wall and CPU."""
    engine = made(state)
    binding = engine.bind(TARGET)
    draw = random.Random(1).random
    wall: list[int] = []
    cpu: list[int] = []
    for _ in range(TIMED_CALLS):
        now = time.monotonic()
        began, spent = time.perf_counter_ns(), time.thread_time_ns()
        call = Call(binding, FACTS, "c", draw)
        call.advance(ARRIVED, now)
        call.advance(AttemptDone(1, OK), now)
        cpu.append(time.thread_time_ns() - spent)
        wall.append(time.perf_counter_ns() - began)
    processes = engine.snapshot()["processes"]
    engine.close()
    shown = "  ".join(
        f"{name} " + " ".join(f"{_quantile(took, q):>8.1f}" for q in (0.5, 0.99, 0.999))
        for name, took in (("wall", wall), ("cpu", cpu))
    )
    return f"{state:10}{shown}  us (p50 p99 p99.9), {processes} processes live"


def _quantile(took: list[int], share: float) -> float:
    return sorted(took)[int(share * (len(took) - 1))] / 1e3


def report() -> str:
    """The figures as text."""
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        os.environ["RESILIENCE_STATE_DIR"] = folder
        try:
            return _report()
        finally:
            with suppress(KeyError):
                del os.environ["RESILIENCE_STATE_DIR"]


def _report() -> str:
    found = in_turns()
    added = found[1].least_us - found[0].least_us
    verdict = "within" if added <= BUDGET_US else "OVER"
    lines = [
        table(
            f"host adds {added:.2f} us to a healthy call: {verdict} {BUDGET_US:g} us",
            found,
            "process",
        ),
        "a call each 20 ms, 7 peers on the host: "
        + ", ".join(f"{state} {sparse(state):.2f} us" for state in ("process", "host")),
        "at that pace, the median of a call:",
        *paced(),
    ]
    with Crowd(PROCESSES - 1):
        lines += [spread(state) for state in ("process", "host")]
    return "\n".join(lines)


def memory() -> str | None:
    """A folder in memory, where there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


if __name__ == "__main__":
    print(report())
