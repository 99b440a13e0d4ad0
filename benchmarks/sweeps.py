"""Where each built-in value stands among others: `python -m benchmarks sweeps`.

One value at a time is changed, the rest stays as built in; each is judged by the
scenario that it was chosen for. `*` is the built-in one; its place in each figure comes
after the rows. KNOBS=hedging (a part of a name) picks some, SEEDS=1-3 makes more seeds.
The rule's constants are halved and doubled, whatever they are. Repeats to the byte.
"""

import os
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, replace
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

from benchmarks.simulate import BUILT_IN, COUNTS, TIMES, show
from resilience import policy
from resilience.core import hedging
from resilience.core.admission import RULE
from resilience.core.policy import BreakerPolicy
from resilience.lab.simulate import Topology, run, scenario
from resilience.lab.simulate.summary import MORE_IS_BETTER
from resilience.policy import compiled


class Trial(NamedTuple):
    """A scenario made small, and the figures that a value is judged by."""

    scenario: str
    topology: tuple[int, int]
    figures: tuple[str, ...]
    policy: str = ""
    """Over the built-in one."""
    load: float | None = None
    errors: float | None = None
    """The share of answers that are errors, where the scenario has another."""


class Knob(NamedTuple):
    """One built-in value, and what else it could be."""

    name: str
    values: Sequence[object]
    trials: tuple[Trial, ...]
    text: str = ""
    """Overlay that sets it; `{}` is the value. Empty: a constant in the code."""
    chosen: object = None


class Point(NamedTuple):
    """One run."""

    knob: Knob
    value: object
    trial: Trial
    seed: int


NO_BREAKER = "version: 1\nall: {breaker: off}\n"
CLASSIC = "version: 1\nall: {breaker: {kind: classic}}\n"
LIMITED = "version: 1\nall: {breaker: off, limiter: on}\n"

NOISE = Trial("S5-5", (10, 10), ("goodput_fault", "amplification"))
NOISIER = Trial("S5-5", (10, 10), ("goodput_fault",), NO_BREAKER, errors=0.12)
QUIET = Trial("S5-5", (10, 1), ("goodput_fault",), load=20)
STORM = Trial("S4", (10, 10), ("amplification", "recovery_s"), NO_BREAKER, load=500)
CUT = Trial("S4", (100, 10), ("recovery_s", "goodput_after"))
OUTAGE = Trial("S1a", (10, 100), ("amplification", "recovery_s", "goodput_after"))
WAITS = Trial("S5-5", (10, 10), ("goodput_fault", "latency_p99_s"))
TAIL = Trial("S6a", (1, 10), ("latency_p99_s", "latency_p999_s", "amplification"))
SLOW = Trial("S6b", (1, 10), ("latency_p99_s", "goodput_fault", "amplification"))
FEW = SLOW._replace(load=600)
CROWD = Trial("S7", (50, 100), ("all_connected_s", "tries"))
DEAD = Trial("S1a", (10, 10), ("amplification", "recovery_s", "goodput_after"), CLASSIC)
FULL = Trial("S3", (1, 10), ("goodput_fault", "amplification"), LIMITED)

RETRY = "version: 1\nall: {{retry: {{{}}}}}\n"
BUDGET = "version: 1\nall: {{retry_budget: {{{}}}}}\n"
BREAKER = "version: 1\nall: {{breaker: {{{}}}}}\n"
HEDGING = "version: 1\nall: {{hedging: {{{}}}}}\n"
LIMITER = "version: 1\nall: {{limiter: {{{}}}}}\n"
OUTLIERS = "version: 1\ngrpc: {{channel: {{outlier_detection: {{{}}}}}}}\n"
RECONNECT = "version: 1\ngrpc: {{channel: {{reconnect: {{{}}}}}}}\n"


def _key(
    outer: str, key: str, *values: object, at: int, trials: Sequence[Trial]
) -> Knob:
    name = f"{outer.split('{{')[-2].strip(' :')}.{key}"
    text = outer.format(f"{key}: {{}}").replace("{", "{{").replace("}", "}}")
    text = text.replace("{{}}", "{}")
    return Knob(name, values, tuple(trials), text, values[at])


STARTS = {
    "breaker": CLASSIC,
    "hedging": "version: 1\nall: {hedging: on}\n",
    "limiter": LIMITED,
    "outlier_detection": OUTLIERS.format("interval: 1s"),
}
"""Where a mechanism is off in the edition, or of another kind."""

KEYS = (
    _key(RETRY, "max_attempts", 1, 2, 3, 4, 5, at=2, trials=[NOISE, STORM]),
    _key(
        RETRY,
        "initial_backoff",
        *("10ms", "50ms", "100ms", "300ms", "1s"),
        at=2,
        trials=[WAITS, STORM],
    ),
    _key(RETRY, "jitter", "full", "equal", "none", at=0, trials=[WAITS, STORM]),
    _key(
        BUDGET, "ratio", 0.05, 0.1, 0.2, 0.5, 1.0, at=2, trials=[NOISE, NOISIER, STORM]
    ),
    _key(BUDGET, "min_per_second", 0, 0.1, 1, 10, at=2, trials=[QUIET, STORM]),
    _key(BUDGET, "ttl", "2s", "5s", "10s", "30s", at=2, trials=[QUIET, STORM]),
    _key(BREAKER, "window", "10s", "30s", "60s", at=1, trials=[DEAD]),
    _key(BREAKER, "min_calls", 5, 10, 20, 100, at=2, trials=[DEAD]),
    _key(BREAKER, "failure_ratio", 0.2, 0.5, 0.8, at=1, trials=[DEAD]),
    _key(BREAKER, "open_for", "500ms", "1s", "5s", at=1, trials=[DEAD]),
    _key(BREAKER, "max_open_for", "5s", "10s", "60s", at=1, trials=[DEAD]),
    _key(BREAKER, "probes", 1, 5, 20, at=1, trials=[DEAD]),
    _key(
        HEDGING, "hedging_delay", "p80", "p90", "p95", "p98", "p99", at=2, trials=[TAIL]
    ),
    _key(HEDGING, "max_hedges", 1, 2, 3, at=0, trials=[TAIL]),
    _key(HEDGING, "max_extra_load", 0.02, 0.05, 0.1, 0.2, at=1, trials=[TAIL]),
    _key(LIMITER, "kind", "loss", "latency", at=0, trials=[FULL]),
    _key(LIMITER, "initial_limit", 5, 20, 50, at=1, trials=[FULL]),
    _key(LIMITER, "max_limit", 50, 200, 1000, at=1, trials=[FULL]),
    _key(LIMITER, "max_queue", 1, 20, 100, at=1, trials=[FULL]),
    _key(LIMITER, "max_wait", "20ms", "100ms", "500ms", at=1, trials=[FULL]),
    _key(OUTLIERS, "failure_ratio", 0.1, 0.2, 0.25, 0.3, 0.5, at=2, trials=[SLOW, FEW]),
    _key(OUTLIERS, "interval", "500ms", "1s", "2s", "10s", at=1, trials=[SLOW]),
    _key(OUTLIERS, "request_volume", 10, 20, 50, 100, at=1, trials=[SLOW, FEW]),
    _key(
        RECONNECT,
        "initial_backoff",
        *("500ms", "1s", "2s", "5500ms", "10s"),
        at=0,
        trials=[CROWD._replace(policy=RECONNECT.format("max_backoff: 10s"))],
    ),
    _key(
        RECONNECT,
        "spread",
        *(0.0, 0.5, 1.0),
        at=1,
        trials=[
            CROWD._replace(
                policy=RECONNECT.format("initial_backoff: 500ms, max_backoff: 10s")
            )
        ],
    ),
)
CONSTANTS = (
    Knob("hedging.MOST_CREDIT", (3.0, 10.0, 30.0, 100.0), (TAIL, SLOW), "", 30.0),
    Knob("hedging.MOST_PATIENCE", (0.0, 0.05, 0.1, 0.2, 0.3), (TAIL,), "", 0.1),
    Knob("hedging.FIRST_CREDIT", (0.0, 1.0, 10.0, 30.0), (TAIL,), "", 10.0),
    *(
        Knob(
            f"rule.{field.name}",
            tuple(
                type(value)(value * factor) if factor != 1 else value
                for factor in (0.5, 1, 2)
            ),
            (CUT, OUTAGE, NOISE),
            "",
            value,
        )
        for field in fields(RULE)
        for value in (getattr(RULE, field.name),)
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    ),
)


def figures_at(point: Point) -> dict[str, float | None]:
    """Make one run; in a process of its own, for it may change constants."""
    knob, trial = point.knob, point.trial
    made, name = BreakerPolicy, knob.name.rpartition(".")[2]
    overlays = [trial.policy] if trial.policy else []
    if knob.text:
        overlays.append(knob.text.format(point.value))
    elif knob.name.startswith("rule."):
        rule = replace(RULE, **{name: point.value})
        compiled.BreakerPolicy = partial(BreakerPolicy, rule=rule)
    else:
        setattr(hedging, name, point.value)
    try:
        found = scenario(trial.scenario)
        if trial.errors is not None:
            change = {"ratio": trial.errors}
            faults = [fault.model_copy(update=change) for fault in found.faults]
            found = found.model_copy(update={"faults": faults})
        hosts, processes = trial.topology
        topology = Topology(hosts=hosts, processes=processes)
        made_run = run(
            found,
            BUILT_IN,
            topology=topology,
            seed=point.seed,
            load=trial.load,
            overlays=overlays,
        )
    finally:
        compiled.BreakerPolicy = made
        if not knob.text and not knob.name.startswith("rule."):
            setattr(hedging, name, knob.chosen)
    return {key: made_run.metrics[key] for key in trial.figures}


def knobs() -> list[Knob]:
    """Those that KNOBS picks; all of them unless it is set."""
    word = os.environ.get("KNOBS", "")
    return [knob for knob in (*KEYS, *CONSTANTS) if word in knob.name]


def check(knob: Knob) -> None:
    """Refuse a row whose `chosen` is not what is built in any more."""
    if not knob.text:
        return
    mechanism = knob.name.partition(".")[0]
    start = STARTS.get(mechanism, "version: 1\n")
    said = knob.text.format(knob.chosen)
    one, other = (
        policy.load([("start", start), *rest]) for rest in ([], [("said", said)])
    )
    at = ("grpc", "cart", "shop.Cart", "GetCart")
    if one.policy_for(*at) != other.policy_for(*at) or (
        one.channel_for("cart") != other.channel_for("cart")
    ):
        msg = f"{knob.name}: {knob.chosen} is not built in"
        raise ValueError(msg)


def seeds() -> list[int]:
    """Those that SEEDS names; one unless it is set."""
    first, _, last = os.environ.get("SEEDS", "1").partition("-")
    return [*range(int(first), int(last or first) + 1)]


def _together(key: str, values: Sequence[float | None]) -> float | None:
    """Of several seeds: the worst time, the mean of all else; None: it never came."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return max(known) if key in TIMES | COUNTS else statistics.fmean(known)


def _place(key: str, values: Sequence[float | None], chosen: int) -> str:
    """How many of *values* are better than the chosen one, plus one."""
    worst = float("inf")
    sign = -1.0 if key in MORE_IS_BETTER else 1.0
    scores = [worst if value is None else sign * value for value in values]
    return f"{1 + sum(score < scores[chosen] for score in scores)}/{len(scores)}"


def lines_of(
    knob: Knob, found: dict[tuple[object, int, str], float | None]
) -> Iterator[str]:
    """The table of one value."""
    columns = [
        (number, key)
        for number, trial in enumerate(knob.trials)
        for key in trial.figures
    ]
    chosen = knob.values.index(knob.chosen)
    titles = [f"{knob.trials[n].scenario} {key}" for n, key in columns]
    widths = [max(10, len(title)) for title in titles]
    heads = "  ".join(t.rjust(w) for t, w in zip(titles, widths, strict=True))
    yield f"{knob.name:34}{heads}"
    for index, value in enumerate(knob.values):
        texts = "  ".join(
            show(key, found[value, n, key]).rjust(width)
            for (n, key), width in zip(columns, widths, strict=True)
        )
        yield f"  {value!s:>20} {'*' if index == chosen else ' '}          {texts}"
    places = "  ".join(
        _place(key, [found[v, n, key] for v in knob.values], chosen).rjust(width)
        for (n, key), width in zip(columns, widths, strict=True)
    )
    yield f"  {'place':>20}            {places}"


def report() -> str:
    """All tables as text."""
    chosen, many = knobs(), seeds()
    for knob in chosen:
        check(knob)
    points = [
        Point(knob, value, trial, seed)
        for knob in chosen
        for value in knob.values
        for trial in knob.trials
        for seed in many
    ]
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        results = dict(zip(points, pool.map(figures_at, points), strict=True))
    lines = [f"seeds {many}; *: built in; place: among the values tried, 1 is best"]
    for knob in chosen:
        found = {
            (value, number, key): _together(
                key,
                [results[Point(knob, value, trial, seed)][key] for seed in many],
            )
            for value in knob.values
            for number, trial in enumerate(knob.trials)
            for key in trial.figures
        }
        lines += lines_of(knob, found)
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
