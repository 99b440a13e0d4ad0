"""Expectations over a drill's figures: `success >= 0.99`, `recovery <= 2s`.

Read before the drill, judged after it. What never happened is later than anything.
"""

import difflib
import math
import operator
import re
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from resilience.policy.durations import DurationError, parse


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
_OPERATORS: Final = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
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
        return bool(_OPERATORS[self.compare](value, self.number))


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
        number = float(right)
    except ValueError:
        try:
            number = parse(right)
        except DurationError:
            msg = f"{right!r} is neither a number nor a time such as 2s"
            raise ExpectationError(msg) from None
    return Expectation(text.strip(), _figure(name, figures), compare, number)


def _figure(name: str, figures: Collection[str] | None) -> str:
    for spelled in (name, f"{name}_s"):
        if spelled in (FIGURES if figures is None else figures):
            return spelled
    if figures is None:
        return name
    known = [figure.removesuffix("_s") for figure in figures]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    msg = f"there is no figure {name} ({', '.join(known)}){hint}"
    raise ExpectationError(msg)


def value_of(figures: Mapping[str, float | None], figure: str) -> float | None:
    """The value of *figure*, as expectations name it.

    Raises:
        ExpectationError: there is none of that name.
    """
    return figures[_figure(figure, figures)]
