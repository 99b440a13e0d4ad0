"""Assertions over results: `amplification <= 1.2`, `recovery <= none.recovery + 2s`.

An assertion holds when it holds for every run of ours: each topology, load and seed. A
rival's figure is the one of the same topology, load and seed. What never happened is
later than anything.
"""

import difflib
import math
import operator
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from resilience.policy.durations import DurationError, parse

from .results import Run
from .summary import NEVER


_OPERATORS = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
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


def check(
    wanted: Iterable[Wanted], figures: Sequence[str], rivals: Sequence[str]
) -> None:
    """Tell before the runs what `judge` would tell after them.

    Args:
        wanted: the assertions.
        figures: names of those that a run will have.
        rivals: who will be run.

    Raises:
        AssertionSyntaxError: an assertion names a figure or a rival that is not there.
    """
    for one in wanted:
        key_of(one.metric, figures, one.text)
        if one.rival:
            _known(one.rival, rivals, one.text)
            key_of(one.rival_metric, figures, one.text)


def _known(rival: str, rivals: Collection[str], text: str) -> None:
    if rival not in rivals:
        msg = f"{text!r}: {rival} was not run (--against)"
        raise AssertionSyntaxError(msg)


def key_of(name: str, figures: Collection[str], text: str) -> str:
    """The figure that an assertion calls *name*.

    Raises:
        AssertionSyntaxError: there is none; says which there are.
    """
    for spelled in (name, f"{name}_s", f"latency_{name}_s"):
        if spelled in figures:
            return spelled
    known = [figure.removesuffix("_s") for figure in figures]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    msg = f"{text!r}: there is no figure {name} ({', '.join(known)}){hint}"
    raise AssertionSyntaxError(msg)


def judge(wanted: Iterable[Wanted], runs: Iterable[Run]) -> list[Verdict]:
    """Hold each assertion against the *runs* of ours.

    Raises:
        AssertionSyntaxError: it names a figure or a rival that is not there.
    """
    ours: list[Run] = []
    others: dict[tuple[str, str, float, int], Run] = {}
    for run in runs:
        if run.is_ours:
            ours.append(run)
        else:
            others[run.policy, run.topology, run.load, run.seed] = run
    return [_judge(one, ours, others) for one in wanted]


def _judge(
    wanted: Wanted,
    ours: Iterable[Run],
    others: Mapping[tuple[str, str, float, int], Run],
) -> Verdict:
    details: list[str] = []
    for run in ours:
        left = _figure(run, wanted.metric, wanted.text)
        right = wanted.number
        if wanted.rival:
            _known(wanted.rival, {key[0] for key in others}, wanted.text)
            other = others.get((wanted.rival, run.topology, run.load, run.seed))
            if other is None:
                continue  # a search left it out: it had not healed at less
            theirs = _figure(other, wanted.rival_metric, wanted.text)
            right = _changed(theirs, wanted.change, wanted.number)
        if not _OPERATORS[wanted.compare](left, right):
            details.append(
                f"{run.policy} {run.topology} load {run.load:g} seed {run.seed}: "
                f"{left:.4g} against {right:.4g}"
            )
    return Verdict(text=wanted.text, holds=not details, details=tuple(details))


def _figure(run: Run, name: str, text: str) -> float:
    key = key_of(name, run.metrics, text)
    value = run.metrics[key]
    if value is None:
        return math.inf if key in NEVER else math.nan
    return value


def _changed(value: float, change: str, number: float) -> float:
    if change == "*":
        return value * number
    return value + number if change == "+" else value - number


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return parse(text)
    except DurationError:
        msg = f"{whole!r}: {text!r} is neither a number nor a time such as 2s"
        raise AssertionSyntaxError(msg) from None
