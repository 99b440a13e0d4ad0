"""What is the policy worth? Ours beside the others and the limit, scenario by scenario.

Set SEEDS (1-5 unless given) for fewer seeds, SCENARIOS (S1a,S4) for some of them, and
POLICY (a file) for another policy than the built-in one with `state: host`.
"""

import os
import time
from pathlib import Path
from typing import NamedTuple

from resilience.core.event import ARRIVED, AttemptDone
from resilience.core.outcome import OK
from resilience.core.target import Facts, Target
from resilience.engine import PolicyEngine
from resilience.lab.simulate import jobs_of, read, run, run_all, scenario
from resilience.lab.simulate.search import safe_loads
from resilience.lab.simulate.summary import summarize


BUILT_IN = "version: 1\nstate: host\n"
RIVALS = ("none", "naive", "grpc", "aws2026", "finagle", "sre", "resilience4j")
SHORT = ("none", "grpc")
LOADS = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975]
OVERHEAD_US = 15.0
"""Aim for what the simulator adds to the engine's own cost of a call."""


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
    "S6a": [
        Wanted("latency_p99_s", "<=", 0.016, 0.0087),
        Wanted("latency_p999_s", "<=", 0.025, 0.0226),
        Wanted("amplification", "<=", 1.105, 1.0),
    ],
    "S6b": [
        Wanted("latency_p99_s", "<=", 0.025, 0.023),
        Wanted("amplification", "<=", 1.06, 1.0),
    ],
    "S7": [
        Wanted("all_connected_s", "<=", 20.0, 10.0),
        Wanted("tries", "<=", 2.5, 1.0),
    ],
}


def seeds() -> list[int]:
    """Those that SEEDS names."""
    first, _, last = os.environ.get("SEEDS", "1-5").partition("-")
    return [*range(int(first), int(last or first) + 1)]


def policy() -> str:
    """The text of the policy under test."""
    path = os.environ.get("POLICY")
    return Path(path).read_text() if path else BUILT_IN


def rivals(name: str) -> tuple[str, ...]:
    """Whom to compare with: the dear ones are left out where nothing is learnt."""
    if name == "S7":
        return ("full-jitter", "equal-jitter")
    if name.startswith("S6"):
        return ("none", "hedge")
    return SHORT if name.startswith("S4L") else RIVALS


def runs_of(name: str) -> list:
    """Ours in every topology; the others, who share nothing, in the first."""
    found = scenario(name)
    if found.safe_load is not None:
        fewer = found.safe_load.model_copy(update={"loads": LOADS})
        found = found.model_copy(update={"safe_load": fewer})
    ours = {"ours": [("policy", policy())]}
    first = found.topologies[:1]
    jobs = [
        *jobs_of(found, ours, seeds=seeds()),
        *jobs_of(found, {}, against=rivals(name), seeds=seeds(), topologies=first),
    ]
    return run_all(jobs)


def show(key: str, value: float | None) -> str:
    """A figure as text."""
    if value is None:
        return "never"
    if key.startswith("latency"):
        return f"{value * 1e3:.1f}ms"
    return f"{value:.1f}s" if key.endswith("_s") else f"{value:.4f}"


def lines_of(name: str) -> list[str]:
    """The table of one scenario."""
    rows = summarize(runs_of(name))
    found = [f"{name}: {scenario(name).title}"]
    for key, sign, bound, limit in WANTED[name]:
        ours, others = [], []
        for row in rows:
            is_time = key in {"recovery_s", "all_connected_s"}
            value = (row.worst if is_time else row.mean)[key]
            text = show(key, value)
            if row.runs[0].is_ours:
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
    return found


def safe_load_lines() -> list[str]:
    """The headline: the highest load that heals."""
    runs = runs_of("safe-load")
    found = ["safe-load: wanted >= 95 %, and never 2 s slower than no retries"]
    none = {run.load: run for run in runs if run.policy == "none" and run.seed == 1}
    for one in safe_loads(scenario("safe-load"), runs):
        text = f"  {one.policy:14} {one.topology:8} {one.safe:6.1%}"
        if one.policy == "ours":
            worst = ", ".join(
                f"{load:.0%} {show('recovery_s', late)}"
                for load, late in one.recoveries
            )
            text += f"  recovery {worst}"
        found.append(text)
    found.append(
        "  none recovers in "
        + ", ".join(
            f"{load / 1000:.0%} {show('recovery_s', none[load].metrics['recovery_s'])}"
            for load in sorted(none)
        )
    )
    return found


def cost_lines() -> list[str]:
    """What the simulator itself costs, beside the engine: CPU time per call."""
    healthy = read(
        "healthy",
        "version: 1\nname: healthy\nload: 800\nduration: 30s\n"
        "topologies: [{hosts: 10, processes: 10}]\n",
    )

    def simulated() -> float:
        began = time.process_time()
        found = run(healthy, BUILT_IN)
        took = time.process_time() - began
        return took / sum(found.series["offered"]) * 1e6

    engine = PolicyEngine.from_text(BUILT_IN, sinks=(), seed=1)
    binding = engine.bind(Target(protocol="app", name="a", service="a", method="b"))
    facts, done = Facts(declared="safe", criticality="critical"), AttemptDone(1, OK)

    def alone() -> float:
        began = time.process_time()
        for number in range(24_000):
            call = engine.new_call(binding, facts)
            call.advance(ARRIVED, number / 800)
            call.advance(done, number / 800 + 0.02)
        return (time.process_time() - began) / 24_000 * 1e6

    whole, own = min(simulated() for _ in range(5)), min(alone() for _ in range(5))
    return [
        (
            f"cost of a simulated call: {whole:.1f} us of CPU, {own:.1f} of them the "
            f"engine's own: the simulator adds {whole - own:.1f} (aim: {OVERHEAD_US:g})"
        )
    ]


def report() -> str:
    """All scenarios, or those that SCENARIOS names."""
    chosen = os.environ.get("SCENARIOS", "").split(",")
    names = [
        name for name in (*WANTED, "safe-load") if chosen == [""] or name in chosen
    ]
    found = [f"seeds {seeds()}; (!): not what is wanted; times are the worst seed's"]
    for name in names:
        found += safe_load_lines() if name == "safe-load" else lines_of(name)
    return "\n".join([*found, *cost_lines()])


if __name__ == "__main__":
    print(report())
