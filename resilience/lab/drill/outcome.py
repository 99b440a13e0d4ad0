"""What came of a drill: its figures, its verdicts, and how to repeat it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from resilience.drilling.expecting import Expectation, value_of
from resilience.drilling.model import Drill


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one expectation."""

    text: str
    holds: bool
    value: float | None
    """What was measured; None: it never happened, or nothing was there to measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A drill that is over."""

    drill: Drill
    figures: Mapping[str, float | None]
    injected: Mapping[str, int]
    """How many attempts each kind of fault has hit."""
    verdicts: tuple[Verdict, ...]
    codes: Mapping[str, int]
    """What operations ended in, and how many."""
    stopped: str = ""
    """Why it ended before its time; empty: it did not."""
    notes: tuple[str, ...] = ()

    @property
    def is_ok(self) -> bool:
        """Did it run to its end, hit something, and meet what was expected?"""
        proves = not self.stopped and bool(self.injected)
        return proves and all(one.holds for one in self.verdicts)

    def as_dict(self) -> dict[str, Any]:
        """The outcome as plain data, ready for JSON; keys are stable."""
        return {
            "ok": self.is_ok,
            "drill": self.drill.name,
            "title": self.drill.title,
            "seed": self.drill.seed,
            "duration_s": self.drill.duration,
            "stopped": self.stopped,
            "injected": dict(self.injected),
            "codes": dict(self.codes),
            "figures": {key: _finite(value) for key, value in self.figures.items()},
            "verdicts": [
                {"text": one.text, "holds": one.holds, "value": _finite(one.value)}
                for one in self.verdicts
            ],
            "notes": list(self.notes),
        }


def judge(
    wanted: Iterable[Expectation], figures: Mapping[str, float | None]
) -> tuple[Verdict, ...]:
    """Hold each expectation against the *figures*.

    Raises:
        ExpectationError: one names a figure that is not there.
    """
    found: list[Verdict] = []
    for one in wanted:
        value = value_of(figures, one.figure)
        found.append(Verdict(text=one.text, holds=one.holds(value), value=value))
    return tuple(found)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
