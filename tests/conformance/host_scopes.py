"""Ten thousand scopes: what they take, who goes first, and what is left after a day.

    python host_scopes.py [--short]

In a process of its own each: 10 000 scopes that are all well or all bad, with state of
the process or of the host, called every two virtual seconds, take at most 40 MB; a
further one evicts those that were used least recently, and that is counted. Then 24
hours of virtual traffic: names come and go, backends fail for minutes and heal. After
the first hour nothing may grow. Exit code 1 when something of it does not hold.
"""

import argparse
import contextlib
import gc
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path


ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from resilience import PolicyEngine
from resilience.errors import Rejected
from resilience.testing import VirtualClock


SCOPES = 10_000
MOST_MB = 40.0
ROUNDS = 4
EVERY_S = 2.0
HOURS = 24
CALLS_AN_HOUR = 10_000
KEPT = 500
"""Scopes of the day's engine; three times as many names are called each hour."""
MOST_GROWTH_MB = 1.0
POLICY = """
version: 1
name: scopes
state: {state}
all:
  attempt_timeout: 1s
  retry: {{max_attempts: 2, initial_backoff: 10ms}}
  breaker: {{kind: adaptive, scope: [target]}}
  hedging: {hedging}
"""


class Swallow:
    """A sink that wants every record and keeps none."""

    def emit(self, record: object) -> None:
        """Take one."""


def resident_mb() -> float:
    """What the process holds, in MB of 10^6 bytes."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no file
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def made(
    clock: VirtualClock, state: str, max_scopes: int, hedging: str = "off"
) -> PolicyEngine:
    """An engine in virtual time."""
    return PolicyEngine.from_text(
        POLICY.format(state=state, hedging=hedging),
        sinks=[Swallow()],
        clock=clock,
        seed=1,
        max_scopes=max_scopes,
    )


def call(engine: PolicyEngine, name: str, attempt: Callable[[object], object]) -> None:
    """One call, however it ends."""
    with contextlib.suppress(ConnectionRefusedError, Rejected):
        engine.call(f"app:{name}/get", attempt, idempotency="safe")


def well(_: object) -> int:
    """A good answer."""
    return 1


def dead(_: object) -> int:
    """None."""
    raise ConnectionRefusedError


def many(state: str, kind: str) -> dict[str, float]:
    """Call all scopes some times; what they take, and whether the right ones go."""
    clock = VirtualClock()
    engine = made(clock, state, SCOPES)
    attempt = well if kind == "well" else dead
    call(engine, "first", attempt)
    before = resident_mb()
    for _ in range(ROUNDS):
        for number in range(SCOPES - 1):
            call(engine, f"rates-{number}", attempt)
            clock.advance(EVERY_S / SCOPES)
    after = resident_mb()
    kept = len(engine._scopes)
    call(engine, "first", attempt)  # it is the newest now, rates-0 the oldest
    call(engine, "one-more", attempt)
    found = {
        key: engine._scopes.find(f"app:target={key}") is not None
        for key in ("first", "one-more", "rates-0", f"rates-{SCOPES - 2}")
    }
    return {
        "mb": after - before,
        "kept": kept,
        "evicted": engine.snapshot()["evicted_scopes"],
        "least_recent_first": [*found.values()] == [True, True, False, True],
    }


def day(hours: int) -> list[tuple[int, float, float]]:
    """Live through a day; after each hour, resident and traced megabytes."""
    clock, draw = VirtualClock(), random.Random(1)
    engines = [made(clock, state, KEPT, "on") for state in ("process", "host")]
    found = []
    tracemalloc.start()
    for hour in range(1, hours + 1):
        sick: set[int] = set()
        for number in range(CALLS_AN_HOUR):
            if number % 100 == 0:
                clock.sleeps.clear()  # the clock's own memory of them
                sick = {draw.randrange(50) for _ in range(5)}
            clock.advance(3600 / CALLS_AN_HOUR)
            busy = draw.random() < 0.7
            # Fifty names stay, the others are of this hour only.
            name = draw.randrange(50) if busy else hour * 10_000 + draw.randrange(1450)
            attempt = dead if name in sick or draw.random() < 0.02 else well
            call(engines[number % 2], f"rates-{name}", attempt)
        gc.collect()
        traced = tracemalloc.get_traced_memory()[0] / 1e6
        found.append((hour, resident_mb(), traced))
    tracemalloc.stop()
    for engine in engines:
        engine.close()
    return found


def apart(*words: str) -> dict:
    """Run one part in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, *words],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def judge(hours: int) -> bool:
    """Run all parts; does everything hold?"""
    held = True
    for state in ("process", "host"):
        for kind in ("well", "bad"):
            found = apart("--many", state, kind)
            holds = (
                found["mb"] <= MOST_MB
                and found["kept"] == SCOPES
                and found["evicted"] > 0
                and found["least_recent_first"]
            )
            held &= holds
            print(
                f"{SCOPES} scopes, state {state}, all {kind}: {found['mb']:.1f} MB;"
                f" {found['evicted']} evicted for one more, the least recently used:"
                f" {found['least_recent_first']}{'' if holds else '  MISS'}",
                flush=True,
            )
    told = apart("--day", str(hours))
    # An hour's end meets other scopes than the last one's: halves are compared.
    early, late = told[1 : 1 + len(told) // 2], told[len(told) // 2 :]
    traced = [statistics.mean(each[2] for each in half) for half in (early, late)]
    most = [max(each[2] for each in half) for half in (early, late)]
    holds = (
        max(
            late_one - early_one
            for early_one, late_one in ((traced[0], traced[1]), (most[0], most[1]))
        )
        <= MOST_GROWTH_MB
    )
    print(
        f"{hours} h of virtual traffic, traced memory at the hours' ends:"
        f" {traced[0]:.2f} MB in the mean and {most[0]:.2f} at most in the first half,"
        f" {traced[1]:.2f} and {most[1]:.2f} in the second; resident {told[1][1]:.1f}"
        f" after 2 h, {told[-1][1]:.1f} at the end{'' if holds else '  MISS'}"
    )
    return held and holds


def main() -> int:
    """Parse, run, say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="4 hours of the day")
    parser.add_argument("--many", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--day", type=int, help=argparse.SUPPRESS)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RESILIENCE_STATE_DIR"] = folder
        if said.many:
            print(json.dumps(many(*said.many)))
        elif said.day:
            print(json.dumps(day(said.day)))
        else:
            return 0 if judge(4 if said.short else HOURS) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
