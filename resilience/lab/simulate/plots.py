"""A picture for each metric over time: one panel per topology, one line per policy.

Lines are means over seeds. Drawn with matplotlib's canvas, without its global state, so
that a program which plots for itself is not disturbed.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .faults import span
from .outcome import Simulation
from .results import Run
from .rivals import RIVALS
from .summary import Row


@dataclass(frozen=True, slots=True)
class Metric:
    """Something that is drawn over time."""

    name: str
    """Also the name of its file."""
    title: str
    part: str
    """A series of a run."""
    whole: str | None
    """The series that it is a share of; None: it is drawn as it is."""


METRICS = (
    Metric(
        "goodput",
        "goodput: calls answered in time, of those offered",
        "good",
        "offered",
    ),
    Metric(
        "critical", "goodput of critical calls", "critical_good", "critical_offered"
    ),
    Metric(
        "amplification", "attempts at the last service per call", "attempts", "offered"
    ),
    Metric("unsent", "calls refused unsent, of those offered", "unsent", "offered"),
    Metric("queue", "requests waiting at the servers", "queued", None),
)
_COLORS = (
    "#7f7f7f", "#d62728", "#ff7f0e", "#2ca02c", "#9467bd",
    "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#000000",
)  # fmt: skip  # a table
_OURS = ("#1f4fd8", "#0a9396", "#5e2ca5")


def write_plots(found: Simulation, folder: Path) -> list[Path]:
    """Write a PNG for each metric into *folder*, made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for metric in METRICS:
        path = folder / f"{found.scenario.name}-{metric.name}.png"
        path.write_bytes(png(found, metric))
        written.append(path)
    return written


def png(found: Simulation, metric: Metric) -> bytes:
    """One metric over time, as a PNG; the same bytes for the same runs."""
    rows = _drawn(found)
    topologies = [*dict.fromkeys(row.topology for row in rows)]
    names = [*RIVALS]
    figure = Figure(figsize=(6.0 * len(topologies), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(topologies), squeeze=False, sharey=True)[0]
    for panel, topology in zip(panels, topologies, strict=True):
        _faults(panel, found)
        ours = 0
        for row in rows:
            if row.topology != topology:
                continue
            if row.runs[0].is_ours:
                color, width = _OURS[ours % len(_OURS)], 2.2
                ours += 1
            else:
                # A policy has its colour in every picture.
                place = names.index(row.policy)
                color, width = _COLORS[place % len(_COLORS)], 1.1
            values = mean_of(row.runs, metric)
            panel.plot(
                [second + 0.5 for second in range(len(values))],
                values,
                color=color,
                linewidth=width,
                label=row.policy,
                zorder=3 if row.runs[0].is_ours else 2,
            )
        panel.set_title(f"{topology} processes", fontsize=9)
        panel.set_xlabel("seconds", fontsize=8)
        panel.set_ylim(bottom=0)
        panel.set_xlim(0, found.scenario.duration)
        panel.tick_params(labelsize=8)
        panel.grid(visible=True, alpha=0.25, linewidth=0.5)
    panels[0].legend(fontsize=7, loc="best", framealpha=0.8)
    figure.suptitle(f"{found.scenario.name}: {metric.title}", fontsize=10)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    return out.getvalue()


def _drawn(found: Simulation) -> list[Row]:
    """The rows at one load: where there are several, the highest that all have."""
    rows = found.rows
    by_policy: dict[tuple[str, str], set[float]] = {}
    for row in rows:
        by_policy.setdefault((row.policy, row.topology), set()).add(row.load)
    shared = set.intersection(*by_policy.values())
    load = max(shared) if shared else min(row.load for row in rows)
    return [row for row in rows if row.load == load]


def _faults(panel: Any, found: Simulation) -> None:
    if any(fault.lasts is not None for fault in found.scenario.faults):
        first, last = span(found.scenario)
        panel.axvspan(first, last, color="#d62728", alpha=0.08, linewidth=0)


def mean_of(runs: Sequence[Run], metric: Metric) -> list[float]:
    """The metric for each second, the mean of all seeds."""
    each = [_of(run, metric) for run in runs]
    return [sum(values) / len(values) for values in zip(*each, strict=True)]


def _of(run: Run, metric: Metric) -> tuple[float, ...]:
    if metric.whole is None:
        return tuple(total / 10 for total in run.per_second(metric.part))
    return run.per_second(metric.part, metric.whole)
