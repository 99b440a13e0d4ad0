"""Assertions over results: `amplification <= 1.2`, `recovery <= none.recovery + 2s`.

An assertion holds when it holds for every run of ours: each topology, load and seed. A
rival's figure is the one of the same topology, load and seed. What never happened is
later than anything.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from resilience.lab.claims import (
    AssertionSyntaxError,
    Verdict,
    Wanted,
    changed,
    holds,
    key_of,
    read,
)

from .results import Run
from .summary import NEVER


__all__ = [
    "AssertionSyntaxError",
    "Verdict",
    "Wanted",
    "check",
    "judge",
    "key_of",
    "read",
]


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
            right = changed(theirs, wanted.change, wanted.number)
        if not holds(wanted, left, right):
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
