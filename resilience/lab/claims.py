"""Assertions over figures: `amplification <= 1.2`, `retries <= recorded.retries * 2`.

The grammar that `simulate` and `replay` share; whose figures they are held against is
theirs to say. A drill compares with numbers only (`resilience/drilling/expecting.py`).
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from resilience.policy import comparisons


_FORM = re.compile(r"\s*([a-z0-9_]+)\s*(<=|>=|<|>)\s*(.+?)\s*")
_RIVAL = re.compile(r"([a-z0-9-]+)\.([a-z0-9_]+)\s*(?:([-+*])\s*(\S+))?")


class AssertionSyntaxError(ValueError):
    """An assertion that cannot be read, or that names no figure of the scenario."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One assertion, read."""

    text: str
    metric: str
    compare: str
    rival: str
    """Whose figure is on the right; empty: a number is."""
    rival_metric: str
    change: str
    """`+`, `-` or `*`: what is done to the rival's figure."""
    number: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one assertion."""

    text: str
    holds: bool
    details: tuple[str, ...] = ()
    """The runs in which it does not hold, each with both figures."""


def read(text: str) -> Wanted:
    """Read one assertion.

    Raises:
        AssertionSyntaxError: it has not the form `figure <= number`.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        msg = f"{text!r} has not the form `amplification <= 1.2`"
        raise AssertionSyntaxError(msg)
    metric, compare, right = found.groups()
    rival = _RIVAL.fullmatch(right)
    # `0.5` looks like a rival called 0.
    if rival is None or rival[1].isdigit():
        return Wanted(
            text=text,
            metric=metric,
            compare=compare,
            rival="",
            rival_metric="",
            change="+",
            number=_number(right, text),
        )
    return Wanted(
        text=text,
        metric=metric,
        compare=compare,
        rival=rival[1],
        rival_metric=rival[2],
        change=rival[3] or "+",
        number=_number(rival[4], text) if rival[4] else 0.0,
    )


def key_of(name: str, figures: Collection[str], text: str) -> str:
    """The figure that an assertion calls *name*.

    Raises:
        AssertionSyntaxError: there is none; says which there are.
    """
    try:
        return comparisons.figure(name, figures, prefixes=("", "latency_"))
    except ValueError as error:
        msg = f"{text!r}: {error}"
        raise AssertionSyntaxError(msg) from None


def holds(wanted: Wanted, left: float, right: float) -> bool:
    """Is the figure on the left as it is wanted to be?"""
    return comparisons.OPERATORS[wanted.compare](left, right)


def changed(value: float, change: str, number: float) -> float:
    """*value* with *change* (`+`, `-`, `*`) by *number* done to it."""
    if change == "*":
        return value * number
    return value + number if change == "+" else value - number


def _number(text: str, whole: str) -> float:
    try:
        return comparisons.number(text)
    except ValueError as error:
        msg = f"{whole!r}: {error}"
        raise AssertionSyntaxError(msg) from None
