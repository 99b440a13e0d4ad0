"""Everything that one `resilience simulate` found, as data."""

from dataclasses import dataclass

from .asserting import Verdict
from .model import Scenario
from .results import Run
from .search import Safe, safe_loads
from .summary import Row, summarize


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A scenario, its runs and what became of the assertions."""

    scenario: Scenario
    runs: tuple[Run, ...]
    verdicts: tuple[Verdict, ...] = ()
    command: str = ""
    """What repeats it."""

    @property
    def rows(self) -> list[Row]:
        """One for each policy, topology and load."""
        return summarize(self.runs)

    @property
    def safe(self) -> list[Safe]:
        """What each policy reaches; empty where the scenario does not ask."""
        if self.scenario.safe_load is None:
            return []
        return safe_loads(self.scenario, self.runs)

    @property
    def is_ok(self) -> bool:
        """Do all assertions hold?"""
        return all(verdict.holds for verdict in self.verdicts)

    def as_dict(self) -> dict[str, object]:
        """Plain data with stable keys; the same bytes for the same runs."""
        return {
            "ok": self.is_ok,
            "scenario": self.scenario.name,
            "title": self.scenario.title,
            "seeds": sorted({run.seed for run in self.runs}),
            "rows": [row.as_dict() for row in self.rows],
            "safe_load": [one.as_dict() for one in self.safe],
            "assertions": [
                {"text": v.text, "holds": v.holds, "details": list(v.details)}
                for v in self.verdicts
            ],
            "repeat": self.command,
        }
