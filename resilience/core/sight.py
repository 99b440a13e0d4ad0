"""What a breaker looks at when a tick is complete: windows over its ticks.

How far back each window goes, who is alone with what it has seen, and what is a sign of
life. Verdicts are the admission's.
"""

from collections.abc import Callable
from typing import NamedTuple

from .admission import AdaptiveRule, Evidence
from .ticks import NO_SUMS, OFFERED, OK, Rows, Sums, look_back, place_of, total_of


SLOW_TICKS = 3
"""A slow answer that is older than this says nothing about now."""
QUIET_UNITS = 3
"""Attempt timeouts in which a process without calls may miss a sign of life."""


class View(NamedTuple):
    """How one scope's ticks are looked at."""

    total: Callable[[int], Sums]
    """What was seen in a tick."""
    rule: AdaptiveRule
    furthest: int
    """No tick older than this many counts."""
    per_unit: int
    """Ticks in an attempt timeout."""
    lag: int
    """Ticks until all see the same."""


def look(view: View, tick: int, cut_tick: int) -> Evidence:
    """What was seen up to *tick*, the newest complete one.

    Args:
        view: how to look.
        tick: the newest tick to look at.
        cut_tick: the last cut was in it.
    """
    total, rule = view.total, view.rule
    least, oldest = rule.least_results, max(0, tick - view.furthest)
    since = max(oldest, cut_tick + 1)
    short = look_back(
        total,
        tick,
        oldest,
        ticks=rule.short_ticks,
        enough=lambda sums: sums.results >= least,
    )
    long = look_back(
        total,
        tick,
        oldest,
        ticks=rule.long_ticks,
        enough=lambda sums: sums.offered >= least,
    )
    fresh = look_back(
        total,
        tick,
        since,
        ticks=rule.fresh_ticks,
        enough=lambda sums: sums.fresh >= 1,
    )
    slow = sent = answered = 0
    for back in range(min(view.per_unit, tick - since) + 1):
        sums = total(tick - back)
        answered += sums.fresh
        if back < SLOW_TICKS:
            slow += sums.fresh_slow
        if back >= SLOW_TICKS - 1:
            sent += sums.sent
    return Evidence(
        total(tick),
        short,
        long,
        fresh,
        slow,
        max(0, sent - answered),
        (tick + 1 + view.lag - cut_tick) / view.per_unit,
    )


def remembering(total: Callable[[int], Sums]) -> Callable[[int], Sums]:
    """The same for one moment: nothing is added up twice."""
    known: dict[int, Sums] = {}

    def found(tick: int) -> Sums:
        sums = known.get(tick)
        if sums is None:
            sums = total(tick)
            # One object for all that is empty is quick to recognise.
            sums = known[tick] = sums if any(sums) else NO_SUMS
        return sums

    return found


def is_lonely(rows: Rows, newest_bad: int, newest: int, rule: AdaptiveRule) -> bool:
    """Did nearly nobody else see anything bad around this process's *newest_bad*?"""
    last = min(newest, newest_bad + rule.short_ticks)
    others_bad = others = 0
    for tick in range(max(0, last - rule.long_ticks), last + 1):
        host, own = rows.total(tick), total_of((rows.own,), tick)
        others_bad += host.bad - own.bad
        others += host.results - own.results
    return others_bad <= rule.trip_share * others


def shows_life(rows: Rows, tick: int, per_unit: int) -> bool:
    """Did the target answer anybody of this host within the last attempt timeout?"""
    own = rows.own
    place = place_of(own, tick)
    if own[place + OK]:
        return True
    newest = tick - 1
    return any(
        total_of((own,), seen).ok or (seen <= newest - rows.lag and rows.total(seen).ok)
        for seen in range(newest, max(-1, newest - rows.lag - per_unit), -1)
    )


def could_show_life(rows: Rows, tick: int, per_unit: int) -> bool:
    """Was anybody else there to be answered, of late?

    The attempt that failed is one of those that were offered.
    """
    own = rows.own
    offered = own[place_of(own, tick) + OFFERED]
    newest = tick - 1
    for seen in range(newest, max(-1, newest - QUIET_UNITS * per_unit), -1):
        is_settled = seen <= newest - rows.lag
        sums = rows.total(seen) if is_settled else total_of((own,), seen)
        offered += sums.offered
        if offered > 1:
            return True
    return False


def has_answered(rows: Rows, after: int, tick: int) -> bool:
    """Was this process answered later than in the tick *after*, up to *tick*?"""
    own = rows.own
    return any(total_of((own,), seen).ok for seen in range(after + 1, tick + 1))
