"""What a breaker looks at when a tick is complete: windows over its ticks.

How far back each window goes, and who is alone with what it has seen. Verdicts are the
admission's.
"""

import math
from collections.abc import Callable
from functools import partial

from .admission import AdaptiveRule, Fresh
from .policy import BreakerPolicy
from .streak import Streak
from .ticks import LENGTH, NO_SUMS, Rows, Sums, look_back, total_alone, total_of


FURTHEST = 5
"""No evidence older than this many attempt timeouts counts."""
USUAL_SHARE = 0.01
"""What one answer moves what is usual by; one is looked at in each tick."""
SLOW_TICKS = 3
"""A slow answer that is older than this says nothing about now."""


def patience(policy: BreakerPolicy, usual_s: float) -> tuple[float, float]:
    """Seconds after which an answer is bad, and after which it is slow.

    Args:
        policy: whose words they are; where it has none, no answer is too slow.
        usual_s: what answers take while all may pass.
    """
    rule, unit_s = policy.rule, policy.unit_s
    slow_s = max(rule.slow_beyond * unit_s, rule.usual_times * usual_s)
    if policy.slow_call_s is not None:
        return policy.slow_call_s, slow_s
    if not policy.is_timed:
        return math.inf, slow_s
    return max(rule.answered_within * unit_s, 1.5 * rule.usual_times * usual_s), slow_s


class View:
    """How one scope's ticks are looked at, at one moment. Nothing is added up twice."""

    # fmt: off
    __slots__ = (
        "_furthest", "_known", "_rng", "_rule", "_total", "lag", "per_unit", "worst",
    )
    # fmt: on

    def __init__(
        self,
        total: Callable[[int], Sums],
        worst: Callable[[int, int], int],
        rule: AdaptiveRule,
        *,
        furthest: int,
        per_unit: int,
        lag: int,
        rng: Callable[[], float] | None,
    ) -> None:
        self._total = total
        self.worst = worst
        """What the worst process has seen fail from one tick to another."""
        self._rule = rule
        self._furthest = furthest
        """No tick older than this many counts."""
        self.per_unit = per_unit
        """Ticks in an attempt timeout."""
        self.lag = lag
        """Ticks until all see the same."""
        self._rng = rng
        """None: draws are to be the same for all who see the same."""
        self._known: dict[int, Sums] = {}

    def total(self, tick: int) -> Sums:
        """What was seen in *tick*."""
        sums = self._known.get(tick)
        if sums is None:
            sums = self._total(tick)
            # One object for all that is empty is quick to recognise.
            sums = self._known[tick] = sums if any(sums) else NO_SUMS
        return sums

    def until(self, tick: int, cut_tick: int) -> "Seen":
        """What was seen up to *tick*, where the last cut was in *cut_tick*."""
        return Seen(self, self._rule, tick, cut_tick, max(0, tick - self._furthest))

    def draw(self, sums: Sums) -> float:
        """A number on [0, 1); where many see *sums*, it comes from them."""
        return hash(sums) % 997 / 997 if self._rng is None else self._rng()


class Seen:
    """The `Evidence` of one tick."""

    __slots__ = ("_cut_tick", "_newest", "_oldest", "_rule", "_view", "tick")

    def __init__(
        self, view: View, rule: AdaptiveRule, tick: int, cut_tick: int, oldest: int
    ) -> None:
        self._view = view
        self._rule = rule
        self._newest = tick
        self._cut_tick = cut_tick
        self._oldest = oldest
        self.tick = view.total(tick)

    @property
    def age(self) -> float:
        """Attempt timeouts since the last cut."""
        view = self._view
        return (self._newest + 1 + view.lag - self._cut_tick) / view.per_unit

    def short(self) -> Sums:
        """The newest ticks."""
        rule = self._rule
        sums, tick = self._back(
            rule.short_ticks, lambda s: s.results >= rule.least_results
        )
        return sums._replace(worst=self._view.worst(tick, self._newest))

    def life(self) -> Sums:
        """The newest results since the last cut, of an attempt timeout at most."""
        rule = self._rule
        unit = round(rule.life_units * self._view.per_unit)
        return self._since_cut(rule.short_ticks, rule.life_results, unit)

    def past(self) -> Sums:
        """More of them."""
        rule = self._rule
        return self._since_cut(rule.long_ticks, rule.past_results, LENGTH)

    def _since_cut(self, ticks: int, results: int, most: int) -> Sums:
        newest = self._newest
        oldest = max(self._oldest, self._cut_tick + 1, newest + 1 - most)
        return look_back(
            self._view.total,
            newest,
            oldest,
            ticks=ticks,
            enough=lambda s: s.fresh >= results,
        )[0]

    def long(self) -> Sums:
        """More of them."""
        rule = self._rule
        return self._back(rule.long_ticks, lambda s: s.offered >= rule.least_results)[0]

    def _back(self, ticks: int, enough: Callable[[Sums], bool]) -> tuple[Sums, int]:
        return look_back(
            self._view.total, self._newest, self._oldest, ticks=ticks, enough=enough
        )

    def fresh(self) -> Fresh:
        """Results since the last cut, the newest first."""
        view, ticks = self._view, self._rule.fresh_ticks
        oldest = max(self._oldest, self._cut_tick + 1)
        ok = bad = slow = slow_now = sent = answered = 0
        for back in range(self._newest - oldest + 1):
            sums = view.total(self._newest - back)
            if sums is not NO_SUMS:
                if back < ticks or not (ok or bad):
                    ok += sums.fresh_ok
                    bad += sums.fresh_bad
                    slow += sums.fresh_slow
                if back <= view.per_unit:
                    answered += sums.fresh_ok + sums.fresh_bad
                    if back < SLOW_TICKS:
                        slow_now += sums.fresh_slow
                    if back >= SLOW_TICKS - 1:
                        sent += sums.sent
            if back >= view.per_unit and (ok or bad):
                break
        return Fresh(ok, bad, slow, slow_now, max(0, sent - answered))

    def draw(self) -> float:
        """A number on [0, 1) by which pauses differ."""
        return self._view.draw(self.long())


def _nobody(oldest: int, newest: int) -> int:  # noqa: ARG001 - as `Rows.worst`
    """Where only one process counts there is none that is worse than others."""
    return 0


def view_of(
    rows: Rows,
    policy: BreakerPolicy,
    *,
    furthest: int,
    per_unit: int,
    rng: Callable[[], float] | None,
) -> View:
    """How the ticks of *rows* are looked at; *rng*: where only this process counts."""
    is_alone = rng is not None
    return View(
        partial(total_alone, rows.own) if is_alone else rows.total,
        _nobody if is_alone else rows.worst,
        policy.rule,
        furthest=furthest,
        per_unit=per_unit,
        lag=rows.lag,
        rng=rng,
    )


def is_lonely(rows: Rows, streak: Streak, newest: int, rule: AdaptiveRule) -> bool:
    """Is this process alone with what it sees, everything failing, up to *newest*?

    It is where the others see little fail, and where they have next to nothing to say:
    then what it sees is all that is known. Theirs counts from when its row of failures
    began: what they saw before says nothing.
    """
    if streak.length < rule.lonely_bad:
        return False
    others_bad = others = 0
    for tick in range(
        max(streak.begun, newest - LENGTH + rule.short_ticks), newest + 1
    ):
        host, own = rows.total(tick), total_of((rows.own,), tick)
        others_bad += host.bad - own.bad
        others += host.results - own.results
    return others < rule.lonely_bad or others_bad <= rule.trip_share * others
