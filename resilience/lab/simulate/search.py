"""The safe load: the highest from which the fault heals in time, in every seed.

Loads are tried upwards. For rivals the search stops at the first that does not heal;
for ours all are run, so that a hole in the middle shows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .model import Scenario
from .results import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Safe:
    """What one policy reaches in one topology."""

    policy: str
    topology: str
    safe: float
    """Share of capacity; 0.0: not even the least load tried."""
    recoveries: tuple[tuple[float, float | None], ...]
    """Each load tried with the worst recovery of all seeds; None: never."""

    def as_dict(self) -> dict[str, object]:
        """As plain data."""
        return {
            "policy": self.policy,
            "topology": self.topology,
            "safe": self.safe,
            "recoveries": [[load, worst] for load, worst in self.recoveries],
        }


def capacity(scenario: Scenario) -> float:
    """Calls that all servers together can answer in a second."""
    server = scenario.server
    service = server.service
    mean = service.mean * (1 + service.straggler_ratio * (service.straggler_factor - 1))
    return server.workers / mean * server.replicas * server.shards


def heals(scenario: Scenario, run: Run) -> bool:
    """Did the fault of *run* heal in time?"""
    wanted = scenario.safe_load
    recovery = run.metrics["recovery_s"]
    return (
        wanted is not None
        and recovery is not None
        and (recovery <= wanted.heals_within)
    )


def safe_loads(scenario: Scenario, runs: Iterable[Run]) -> list[Safe]:
    """What each policy reaches in each topology."""
    groups: dict[tuple[str, str], dict[float, list[Run]]] = {}
    for run in runs:
        by_load = groups.setdefault((run.policy, run.topology), {})
        by_load.setdefault(run.load, []).append(run)
    whole = capacity(scenario)
    found: list[Safe] = []
    for (policy, topology), by_load in groups.items():
        safe, is_whole = 0.0, True
        recoveries: list[tuple[float, float | None]] = []
        for load in sorted(by_load):
            tried = by_load[load]
            share = round(load / whole, 4)
            recoveries.append((share, _worst(tried)))
            is_whole = is_whole and all(heals(scenario, run) for run in tried)
            if is_whole:
                safe = share
        found.append(
            Safe(
                policy=policy,
                topology=topology,
                safe=safe,
                recoveries=tuple(recoveries),
            )
        )
    return found


def _worst(runs: Sequence[Run]) -> float | None:
    values = [run.metrics["recovery_s"] for run in runs]
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None
