"""Many runs -> one row for each policy, topology and load: means, and the worst seed.

Which direction is worse is known here: less goodput, more of everything else. A figure
that a run does not have (it never recovered) is the worst there is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .results import Run


MORE_IS_BETTER = frozenset(
    {
        "goodput",
        "goodput_fault",
        "goodput_after",
        "critical_goodput",
        "critical_goodput_fault",
        "healthy_goodput",
    }
)
"""Of all other figures, less is better."""
NEVER = frozenset({"recovery_s", "all_connected_s"})
"""Figures whose absence means that it did not happen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """All seeds of one policy in one topology at one load."""

    policy: str
    topology: str
    load: float
    runs: tuple[Run, ...]
    mean: Mapping[str, float | None]
    """By name; None: a run has no such figure."""
    worst: Mapping[str, float | None]
    """Of the seed that has the worst; None where any has none."""

    def as_dict(self) -> dict[str, object]:
        """The row as plain data; the same bytes for the same runs."""
        return {
            "policy": self.policy,
            "topology": self.topology,
            "load": self.load,
            "mean": _rounded(self.mean),
            "worst": _rounded(self.worst),
            "runs": [
                {"seed": run.seed, "metrics": _rounded(run.metrics)}
                for run in self.runs
            ],
        }


_Fold: TypeAlias = Callable[[str, Sequence[float | None]], float | None]
"""One figure of one metric over the seeds."""


def summarize(runs: Iterable[Run]) -> list[Row]:
    """The rows of *runs*, in the order in which each first appears."""
    groups: dict[tuple[str, str, float], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.policy, run.topology, run.load), []).append(run)
    return [
        Row(
            policy=policy,
            topology=topology,
            load=load,
            runs=tuple(found),
            mean=_each(found, _mean),
            worst=_each(found, _worst),
        )
        for (policy, topology, load), found in groups.items()
    ]


def _each(runs: Sequence[Run], fold: _Fold) -> dict[str, float | None]:
    names = runs[0].metrics
    return {name: fold(name, [run.metrics[name] for run in runs]) for name in names}


def _mean(_: str, values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _worst(name: str, values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return min(known) if name in MORE_IS_BETTER else max(known)


def _rounded(metrics: Mapping[str, float | None]) -> dict[str, float | None]:
    return {k: None if v is None else round(v, 6) for k, v in metrics.items()}
