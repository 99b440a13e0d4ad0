"""What a breaker looks at when a tick is complete: windows over its ticks.

How far back each window goes, and who is alone with what it has seen. Verdicts are the
admission's.
"""

from collections.abc import Callable

from .admission import AdaptiveRule, Evidence
from .ticks import Rows, Sums, look_back, total_of


def look(
    total: Callable[[int], Sums],
    newest: int,
    rule: AdaptiveRule,
    *,
    oldest: int,
    cut_tick: int,
    judged: int,
) -> Evidence:
    """What *total* says about the ticks up to *newest*.

    Args:
        total: what was seen in a tick.
        newest: the newest complete one.
        rule: how far back to look.
        oldest: nothing before it counts.
        cut_tick: the last cut was in it.
        judged: the newest tick that was judged before.
    """
    least = rule.least_results
    short = look_back(
        total,
        newest,
        oldest,
        ticks=rule.short_ticks,
        enough=lambda sums: sums.results >= least,
    )
    long = look_back(
        total,
        newest,
        oldest,
        ticks=rule.long_ticks,
        enough=lambda sums: sums.offered >= least,
    )
    fresh = look_back(
        total,
        newest,
        max(oldest, cut_tick + 1),
        ticks=rule.short_ticks,
        enough=lambda sums: sums.fresh >= least,
    )
    judged = max(judged, oldest - 1)
    new_bad = sum(total(tick).bad for tick in range(judged + 1, newest + 1))
    return Evidence(new_bad, short, long, fresh)


def is_lonely(rows: Rows, newest_bad: int, newest: int, rule: AdaptiveRule) -> bool:
    """Did nearly nobody else see anything bad around this process's *newest_bad*?"""
    last = min(newest, newest_bad + rule.short_ticks)
    others_bad = others = 0
    for tick in range(max(0, last - rule.long_ticks), last + 1):
        host, own = rows.total(tick), total_of((rows.own,), tick)
        others_bad += host.bad - own.bad
        others += host.results - own.results
    return others_bad <= rule.trip_share * others
