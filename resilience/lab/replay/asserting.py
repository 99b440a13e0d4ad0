"""Assertions over a replay: `retries <= recorded.retries * 1.2`, `unknown <= 0`."""

from collections.abc import Iterable, Sequence

from resilience.lab.claims import (
    AssertionSyntaxError,
    Verdict,
    Wanted,
    changed,
    holds,
    key_of,
    read,
)

from .result import Replayed


RECORDED = "recorded"
"""Whose figures may stand on the right."""


def read_all(texts: Iterable[str]) -> list[Wanted]:
    """Read assertions.

    Raises:
        AssertionSyntaxError: one has another form, or is compared with something else
            than `recorded`.
    """
    found = [read(text) for text in texts]
    for one in found:
        if one.rival not in {"", RECORDED}:
            msg = (
                f"{one.text!r}: there is {RECORDED}.{one.rival_metric}, no {one.rival}"
            )
            raise AssertionSyntaxError(msg)
    return found


def judge(wanted: Sequence[Wanted], found: Replayed) -> list[Verdict]:
    """Hold each assertion against what was *found*.

    Raises:
        AssertionSyntaxError: one names a figure that is not there.
    """
    ours, theirs = found.figures(), found.recorded_figures()
    verdicts: list[Verdict] = []
    for one in wanted:
        left, right = ours[key_of(one.metric, ours, one.text)], one.number
        if one.rival:
            recorded = theirs[key_of(one.rival_metric, theirs, one.text)]
            right = changed(recorded, one.change, one.number)
        is_kept = holds(one, left, right)
        details = () if is_kept else (f"{left:.6g} against {right:.6g}",)
        verdicts.append(Verdict(text=one.text, holds=is_kept, details=details))
    return verdicts
