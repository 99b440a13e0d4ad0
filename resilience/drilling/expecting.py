"""Expectations over a drill's figures: `success >= 0.99`, `recovery <= 2s`.

Read before the drill, judged after it. What never happened is later than anything.
"""

import math
import re
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from resilience.policy import comparisons


FIGURES: Final = (
    "success",
    "success_baseline",
    "success_fault",
    "success_after",
    "calls",
    "attempts",
    "injected",
    "overruns",
    "duplicates",
    "repeated",
    "amplification",
    "amplification_run",
    "recovery_s",
    "latency_recovery_s",
    "latency_baseline_p50_s",
    "latency_baseline_p99_s",
    "latency_fault_p50_s",
    "latency_fault_p99_s",
    "latency_after_p50_s",
    "latency_after_p99_s",
)
"""What a drill measures; `measuring.py` says how."""
NEWEST: Final = ("success", "overruns", "duplicates", "amplification")
"""What may stop a drill."""
NEVER: Final = frozenset({"recovery_s", "latency_recovery_s"})
"""Moments: without a value they have not come."""
DEFAULTS: Final = (
    "success >= 0.99",
    "overruns <= 0",
    "duplicates <= 0",
    "amplification <= 1.5",
    "recovery <= 5s",
    "latency_recovery <= 5s",
)
"""What is expected where a drill says nothing."""
_FORM: Final = re.compile(r"\s*([a-z0-9_]{1,60})\s*(<=|>=|<|>)\s*(\S{1,40})\s*")


class ExpectationError(ValueError):
    """An expectation that cannot be read, or that names no figure."""


class Expectation(NamedTuple):
    """One expectation, read."""

    text: str
    figure: str
    compare: str
    number: float

    def holds(self, value: float | None) -> bool:
        """Does it hold of the figure's *value*? None: there is none."""
        if value is None:
            value = math.inf if self.figure in NEVER else math.nan
        return comparisons.OPERATORS[self.compare](value, self.number)


def read(text: str, figures: Collection[str] | None = FIGURES) -> Expectation:
    """Read one expectation; *figures* None: any name will do.

    Raises:
        ExpectationError: it has not the form `figure <= number`, or names no figure.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        msg = "it is written `success >= 0.99` or `recovery <= 2s`"
        raise ExpectationError(msg)
    name, compare, right = found.groups()
    try:
        number = comparisons.number(right)
    except ValueError as error:
        raise ExpectationError(str(error)) from None
    return Expectation(text.strip(), _figure(name, figures), compare, number)


def _figure(name: str, figures: Collection[str] | None) -> str:
    known = FIGURES if figures is None else figures
    try:
        return comparisons.figure(name, known, prefixes=("",))
    except ValueError as error:
        if figures is None:
            return name
        raise ExpectationError(str(error)) from None


def value_of(figures: Mapping[str, float | None], figure: str) -> float | None:
    """The value of *figure*, as expectations name it.

    Raises:
        ExpectationError: there is none of that name.
    """
    return figures[_figure(figure, figures)]
