"""What is the policy worth? Ours beside the others and the limit, scenario by scenario.

Set SEEDS (1-5 unless given) for fewer seeds, SCENARIOS (S1a,S4) for some of them, and
POLICY (a file) for another policy than the built-in one with `state: host`. All but S8,
which is measured, repeats to the byte.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from benchmarks import core_cost
from resilience.core.event import ARRIVED, AttemptDone
from resilience.core.outcome import OK
from resilience.core.target import Facts, Target
from resilience.engine import PolicyEngine
from resilience.lab.simulate import Run, jobs_of, read, run, run_all, scenario
from resilience.lab.simulate.search import safe_loads
from resilience.lab.simulate.summary import Row, summarize


BUILT_IN = "version: 1\nstate: host\nall: {breaker: {kind: adaptive}}\n"
ALL_ON = BUILT_IN.replace("{breaker:", "{hedging: on, limiter: on, breaker:")
OWN_WAITS = """
version: 1
grpc:
  channel: {reconnect: {initial_backoff: 500ms, max_backoff: 10s, spread: 0.5}}
"""
"""The edition's, in place of those that S7 asks for."""
RIVALS = ("none", "naive", "grpc", "aws2026", "finagle", "sre", "resilience4j")
FEWER = {
    "S4L3": ("none", "grpc"),
    "S4L5": ("none", "grpc"),
    "S1L5": ("none", "grpc"),
    "S6a": ("none", "hedge"),
    "S6b": ("none", "hedge"),
    "S7": ("full-jitter", "equal-jitter"),
    "S9": ("none", "naive", "keyed", "grpc", "aws2026"),
}
"""Where the others would be dear and teach nothing."""
LOADS = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975]
OVERHEAD_US = 15.0
"""Aim for what the simulator adds to the engine's own cost of a call."""
WORSE_S, WORSE_RATIO = 2.0, 0.02
"""No policy may be worse than no retries by more than this: recovery, goodput."""


class Wanted(NamedTuple):
    """One figure that a scenario is judged by."""

    key: str
    sign: str
    bound: float
    limit: float
    """The best that is possible at all."""


WANTED: dict[str, list[Wanted]] = {
    "S1a": [
        Wanted("amplification", "<=", 0.10, 0.0),
        Wanted("recovery_s", "<=", 2.0, 0.0),
        Wanted("goodput_after", ">=", 0.96, 1.0),
    ],
    "S1b": [
        Wanted("recovery_s", "<=", 8.0, 4.8),
        Wanted("goodput_after", ">=", 0.88, 0.94),
    ],
    "S1L5": [Wanted("recovery_s", "<=", 5.0, 0.0)],
    "S2": [
        Wanted("healthy_goodput", ">=", 0.9999, 1.0),
        Wanted("dead_shard_attempts", "<=", 0.15, 0.0),
    ],
    "S3": [
        Wanted("goodput_fault", ">=", 0.496, 0.501),
        Wanted("critical_goodput_fault", ">=", 0.95, 1.0),
    ],
    "S4": [Wanted("recovery_s", "<=", 3.0, 0.0)],
    "S4L3": [
        Wanted("amplification", "<=", 1.1, 1.0),
        Wanted("recovery_s", "<=", 3.0, 0.0),
    ],
    "S4L5": [
        Wanted("amplification", "<=", 1.1, 1.0),
        Wanted("recovery_s", "<=", 5.0, 0.0),
    ],
    "S5-1": [
        Wanted("goodput_fault", ">=", 0.9999, 1.0),
        Wanted("amplification", "<=", 1 / 0.99 + 0.002, 1 / 0.99),
    ],
    "S5-5": [
        Wanted("goodput_fault", ">=", 0.9997, 1.0),
        Wanted("amplification", "<=", 1 / 0.95 + 0.002, 1 / 0.95),
    ],
    "S5-30": [
        Wanted("goodput_fault", ">=", 0.80, 0.973),
    ],
    "S6a": [
        Wanted("latency_p99_s", "<=", 0.016, 0.0087),
        Wanted("latency_p999_s", "<=", 0.025, 0.0226),
        Wanted("amplification", "<=", 1.105, 1.0),
    ],
    "S6b": [
        # The limit is that of the two good replicas alone.
        Wanted("latency_p99_s", "<=", 0.025, 0.0114),
        Wanted("amplification", "<=", 1.06, 1.0),
    ],
    "S7": [
        Wanted("all_connected_s", "<=", 20.0, 10.0),
        Wanted("tries", "<=", 2.5, 1.0),
    ],
    "S9": [
        Wanted("duplicates", "<=", 0.0, 0.0),
        Wanted("lies", "<=", 0.0, 0.0),
        Wanted("goodput", ">=", 0.999, 1.0),
    ],
}
COUNTS = {"duplicates", "lies"}
TIMES = {"recovery_s", "all_connected_s"}


def seeds() -> list[int]:
    """Those that SEEDS names."""
    first, _, last = os.environ.get("SEEDS", "1-5").partition("-")
    return [*range(int(first), int(last or first) + 1)]


def policy() -> str:
    """The text of the policy under test."""
    path = os.environ.get("POLICY")
    return Path(path).read_text() if path else BUILT_IN


def runs_of(name: str) -> list[Run]:
    """Ours in every topology; the others, who share nothing, in the first."""
    found = scenario(name)
    if found.safe_load is not None:
        fewer = found.safe_load.model_copy(update={"loads": LOADS})
        found = found.model_copy(update={"safe_load": fewer})
    ours = {"ours": [("policy", policy())]}
    if name == "S7":
        ours["built in"] = [("policy", policy()), ("waits", OWN_WAITS)]
    first = found.topologies[:1]
    against = FEWER.get(name, RIVALS)
    jobs = [
        *jobs_of(found, ours, seeds=seeds()),
        *jobs_of(found, {}, against=against, seeds=seeds(), topologies=first),
    ]
    return run_all(jobs)


def show(key: str, value: float | None) -> str:
    """A figure as text."""
    if value is None:
        return "never"
    if key.startswith("latency"):
        return f"{value * 1e3:.1f}ms"
    if key in COUNTS:
        return f"{value:.0f}"
    if key.endswith("_s"):
        return f"{value:.1f}s"
    return f"{value:.5f}" if "goodput" in key else f"{value:.4f}"


def figure(row: Row, key: str) -> float | None:
    """Times are the worst seed's, ratios are means."""
    return (row.worst if key in TIMES | COUNTS else row.mean)[key]


def lines_of(name: str) -> list[str]:
    """The table of one scenario."""
    rows = summarize(runs_of(name))
    found = [f"{name}: {scenario(name).title}"]
    for key, sign, bound, limit in WANTED[name]:
        ours, others = [], []
        for row in rows:
            value = figure(row, key)
            text = show(key, value)
            if row.policy == "ours":
                reached = value is not None and (
                    value <= bound if sign == "<=" else value >= bound
                )
                ours.append(f"{row.topology} {text}{'' if reached else ' (!)'}")
            else:
                others.append(f"{row.policy} {text}")
        found.append(
            f"  {key:24} limit {show(key, limit):>8}  wanted {sign} {show(key, bound)}"
        )
        found.append(f"    ours    {'  '.join(ours)}")
        found.append(f"    others  {'  '.join(others)}")
    return [*found, *gate_lines(rows)]


def gate_lines(rows: Iterable[Row]) -> list[str]:
    """Where ours is worse than no retries by more than a policy may be."""
    by_name = {row.policy: row for row in rows if row.policy == "none"}
    if "none" not in by_name:
        return []
    none, found = by_name["none"], []
    for row in rows:
        if row.policy != "ours":
            continue
        lost = (none.mean["goodput"] or 0.0) - (row.mean["goodput"] or 0.0)
        if lost > WORSE_RATIO:
            found.append(f"{row.topology} goodput {lost:.4f} less")
        least, late = none.worst["recovery_s"], row.worst["recovery_s"]
        if least is not None and (late is None or late > least + WORSE_S):
            found.append(f"{row.topology} {show('recovery_s', late)} to heal")
    return [f"    than none (!)  {', '.join(found)}"] if found else []


def safe_load_lines() -> list[str]:
    """The headline: the highest load that heals."""
    runs = runs_of("safe-load")
    found = ["safe-load: wanted >= 95 %, and never 2 s slower than no retries"]
    none = {one.load: one for one in runs if one.policy == "none" and one.seed == 1}
    for one in safe_loads(scenario("safe-load"), runs):
        text = f"  {one.policy:14} {one.topology:8} {one.safe:6.1%}"
        if one.policy == "ours":
            text += (" " if one.safe >= 0.95 else " (!)") + " recovery "
            text += ", ".join(
                f"{load:.0%} {show('recovery_s', late)}"
                for load, late in one.recoveries
            )
        found.append(text)
    least = (
        f"{load / 1000:.0%} {show('recovery_s', none[load].metrics['recovery_s'])}"
        for load in sorted(none)
    )
    return [*found, f"  none recovers in {', '.join(least)}"]


def least_us(one: Callable[[], float]) -> float:
    """The least of five, in microseconds of CPU."""
    return min(one() for _ in range(5)) * 1e6


def core_us(text: str) -> float:
    """What one healthy call costs in the core under the policy of *text*."""
    engine = PolicyEngine.from_text(text, sinks=(), seed=1)
    target = Target(protocol="app", name="a", service="a", method="b")
    binding, done = engine.bind(target), AttemptDone(1, OK)
    facts = Facts(declared="safe", criticality="critical", can_hedge=True)

    def once() -> float:
        began = time.process_time()
        for number in range(24_000):
            call = engine.new_call(binding, facts)
            call.advance(ARRIVED, number / 800)
            call.advance(done, number / 800 + 0.02)
        return (time.process_time() - began) / 24_000

    try:
        return least_us(once)
    finally:
        engine.close()


def simulated_us() -> float:
    """What one healthy call costs in a simulation of the built-in policy."""
    healthy = read(
        "healthy",
        "version: 1\nname: healthy\nload: 800\nduration: 30s\n"
        "topologies: [{hosts: 10, processes: 10}]\n",
    )

    def once() -> float:
        began = time.process_time()
        found = run(healthy, BUILT_IN)
        return (time.process_time() - began) / sum(found.series["offered"])

    return least_us(once)


def cost_lines() -> list[str]:
    """S8: what a healthy call costs, with every mechanism; and a simulated one."""
    own = core_us(ALL_ON)
    others = {
        each.name: each.least_us
        for each in core_cost.figures()
        if each.name in {"tenacity", "pybreaker", "a function call"}
    }
    limit = f"{others.pop('a function call'):.2f}us"
    mark = "" if own <= core_cost.BUDGET_US else " (!)"
    told = "  ".join(f"{name} {us:.1f}us" for name, us in others.items())
    adds_us = simulated_us() - core_us(BUILT_IN)
    return [
        "S8: a healthy call through the core, every mechanism on (least CPU time of 5)",
        f"  {'cost':24} limit {limit:>8}  wanted <= 10us, aimed at 5us",
        f"    ours    {own:.1f}us{mark}",
        f"    others  {told}",
        f"  the simulator adds {adds_us:.1f}us to a call (aim: {OVERHEAD_US:g}us)",
    ]


def report() -> str:
    """All scenarios, or those that SCENARIOS names."""
    chosen = os.environ.get("SCENARIOS", "").split(",")
    names = [
        name
        for name in (*WANTED, "safe-load", "S8")
        if chosen == [""] or name in chosen
    ]
    found = [f"seeds {seeds()}; (!): not what is wanted; times are the worst seed's"]
    for name in names:
        began = time.perf_counter()
        if name == "safe-load":
            found += safe_load_lines()
        else:
            found += cost_lines() if name == "S8" else lines_of(name)
        took_s = time.perf_counter() - began
        print(f"{name}: {took_s:.0f} s", file=sys.stderr, flush=True)
    return "\n".join(found)


if __name__ == "__main__":
    print(report())
