"""Results as plain frozen data, ready to be compared, sent to another process, JSON."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: a policy, a topology and a seed in a scenario."""

    scenario: str
    policy: str
    """Name of ours, or of a rival."""
    is_ours: bool
    topology: str
    """Hosts x processes."""
    load: float
    """Calls offered in a second."""
    seed: int
    metrics: Mapping[str, float | None]
    """By name; defined in `metrics`. None: there is no such figure in this run."""
    series: Mapping[str, tuple[float, ...]]
    """Counts by tenths of a second: offered, good, critical_offered, critical_good,
    attempts, unsent, queued, and `watched` where something was."""
    wall_s: float
    """Seconds that the run took; no part of what repeats."""

    def per_second(self, name: str, over: str | None = None) -> tuple[float, ...]:
        """A series by seconds; with *over*, its share of another series."""
        sums = _by_second(self.series[name])
        if over is None:
            return sums
        wholes = _by_second(self.series[over])
        return tuple(
            part / whole if whole else 0.0
            for part, whole in zip(sums, wholes, strict=True)
        )

    @property
    def goodput(self) -> tuple[float, ...]:
        """Goodput of each second."""
        return self.per_second("good", "offered")


def _by_second(tenths: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(sum(tenths[i : i + 10]) for i in range(0, len(tenths), 10))
