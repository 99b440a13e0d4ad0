"""Timing on a busy machine: candidates take turns, medians and ratios are told.

One round times each candidate once, so whatever else runs hits all of them alike. A
figure is the median of its rounds; the least median of a few groups of rounds is what
the machine can do when it is left alone.
"""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Figure(NamedTuple):
    """What one candidate costs."""

    name: str
    median_us: float
    """Over all rounds."""
    least_us: float
    """The least of the medians of `GROUPS` groups of rounds."""


ROUNDS = 30
GROUPS = 5
CALLS = 1_500


def compare(
    candidates: Mapping[str, Callable[[], object]],
    *,
    calls: int = CALLS,
    rounds: int = ROUNDS,
) -> list[Figure]:
    """Time the candidates in turns.

    Args:
        candidates: by name; each is one operation without arguments.
        calls: operations in one timing.
        rounds: timings of each candidate, a multiple of `GROUPS`.
    """
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for fn in candidates.values():
        _time(fn, calls)
    for _ in range(rounds):
        for name, fn in candidates.items():
            found[name].append(_time(fn, calls))
    return [Figure(name, *_medians(times)) for name, times in found.items()]


def _time(fn: Callable[[], object], calls: int) -> float:
    # The thread's own time: what other processes take is not ours. Nothing here waits.
    gc.collect()
    gc.disable()
    try:
        started = time.thread_time()
        for _ in range(calls):
            fn()
        return (time.thread_time() - started) / calls * 1e6
    finally:
        gc.enable()


def _medians(times: list[float]) -> tuple[float, float]:
    size = len(times) // GROUPS
    groups = [times[at : at + size] for at in range(0, size * GROUPS, size)]
    return statistics.median(times), min(map(statistics.median, groups))


def table(title: str, figures: list[Figure], unit: str) -> str:
    """The figures as text; ratios are to the one called *unit*."""
    base = next(figure.median_us for figure in figures if figure.name == unit)
    lines = [title, f"{'':44}{'median':>10}{'least':>10}{'ratio':>8}"]
    lines += [
        f"{f.name:44}{f.median_us:>7.2f} us{f.least_us:>7.2f} us"
        f"{f.median_us / base:>8.2f}"
        for f in figures
    ]
    return "\n".join(lines)
