"""What the gauges of limiters show: limit, use and queue, by scope label.

Read from the snapshots of engines that are watched, so limiters count nothing for it.
Bounded: the scopes with the most in flight and waiting are named, the rest summed up.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from . import names
from .labels import scope_label
from .states import SHOWN


def read(seen: Mapping[str, Any], field: str) -> list[tuple[str, int]]:
    """The *field* of all limiters in the snapshot *seen*: scope label, sum."""
    found: dict[str, list[int]] = {}
    for scope in seen["scopes"]:
        for limiter in scope.get("limiters", ()):
            sums = found.setdefault(scope_label(scope["scope"]), [0, 0])
            sums[0] += limiter[field]
            sums[1] += limiter["in_flight"] + limiter["waiting"]
    busiest = sorted(found.items(), key=lambda item: -item[1][1])
    shown = [(label, sums[0]) for label, sums in busiest[:SHOWN]]
    return shown + _rest(sums[0] for _, sums in busiest[SHOWN:])


def _rest(values: Iterable[int]) -> list[tuple[str, int]]:
    left = [*values]
    return [(names.OTHER, sum(left))] if left else []
