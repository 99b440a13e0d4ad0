"""How much of what is offered may pass: the adaptive breaker's rule, as pure numbers.

One fraction stands for closed (1), limiting, open (the floor) and recovering (on its
way up). It is cut to the share that was measured to be accepted, never by a blind
factor, and rises only while answers to what was sent after the cut come back quickly.
All times are in units of the attempt timeout. The constants were found by search over
outages, brownouts and overload in three topologies; `AdaptiveRule` says what each does.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from .ticks import LENGTH, Sums


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveRule:
    """The constants of the rule."""

    answered_within: float = 0.6
    """An answer that took more of its attempt's timeout than this is bad."""
    slow_beyond: float = 0.12
    """Fresh answers slower than this share of the timeout stop the recovery: the
    server's queue grows. They are no failures."""
    trip_share: float = 0.1
    """Bad results above this share of the newest ticks cut."""
    least_bad: int = 2
    """One lone bad result never cuts."""
    headroom: float = 1.05
    """A cut leaves this much of the measured accept rate."""
    floor: float = 0.01
    """The least fraction; probes come on top."""
    shallow: float = 0.97
    """A cut to more than this is none, and retries stop below it."""
    short_ticks: int = 3
    """The newest ticks that a cut looks at first."""
    long_ticks: int = 10
    """The ticks over which the accept rate is measured."""
    least_results: int = 3
    """Where fewer results are inside, the look goes further back."""
    fresh_bad_share: float = 0.125
    """More bad results than this among fresh ones stop the recovery."""
    slow_share: float = 0.5
    """The same for slow ones."""
    growth: float = 0.1
    """The first step up adds this share; for processes of few calls, more."""
    acceleration: float = 1.5
    """Each further step adds this much more: from the floor to 1 in about 2 s."""
    most_growth: float = 3.0
    """No step adds more than this share."""
    probe_share: float = 0.06
    """Probes as a share of what a host offers at `usual_rate`."""
    usual_rate: float = 80.0
    """Calls per attempt timeout at which the share and the growth hold as written."""
    probe_power: float = 0.3
    """Hosts of lower rates probe with a larger share, by this power of the ratio."""
    growth_power: float = 0.7
    """The same for the first step up."""
    least_gap: float = 0.05
    """Attempt timeouts between the probes of a host, at least."""
    most_gap: float = 2.0
    """And at most."""

    def probe_gap(self, rate: float) -> float:
        """Between two probes of a host that offers *rate* calls per timeout."""
        rate = max(rate, 1e-3)
        share = self.probe_share * math.pow(rate / self.usual_rate, -self.probe_power)
        gap = 1 / (min(1.0, share) * rate)
        return min(max(gap, self.least_gap), self.most_gap)

    def first_growth(self, rate: float) -> float:
        """The first step up, for a host that offers *rate* calls per timeout."""
        ratio = self.usual_rate / max(rate, 1e-3)
        return min(self.most_growth, self.growth * math.pow(ratio, self.growth_power))


RULE = AdaptiveRule()


class Evidence(NamedTuple):
    """What is looked at when a tick is judged."""

    new_bad: int
    """Bad results since the last judgement."""
    short: Sums
    """The newest ticks: is it bad now? Where many processes look, what the worst of
    them has seen counts for nothing: its own network may be broken."""
    long: Sums
    """What was offered and what was accepted of it."""
    fresh: Sums
    """Results since the last cut, the newest first."""


class Admission:
    """The admitted fraction of one scope, in one process. Its owner locks."""

    __slots__ = ("_first_growth", "_growth", "_is_good", "fraction", "rule")

    def __init__(self, rule: AdaptiveRule = RULE) -> None:
        self.rule = rule
        self.fraction = 1.0
        self._is_good = False
        self._growth = self._first_growth = rule.growth

    @property
    def is_good(self) -> bool:
        """Is it on its way up?"""
        return self._is_good and self.fraction < 1

    def judge(self, evidence: Evidence, rate: float, ticks: int) -> bool:
        """Judge *evidence*, *ticks* after the last time; True: it was cut.

        Args:
            evidence: completed ticks only.
            rate: what the host offers, in calls per attempt timeout.
            ticks: since the last judgement, 1 or more.
        """
        if self._is_cut(evidence):
            self._growth = self._first_growth = self.rule.first_growth(rate)
            self._is_good = False
            return True
        if self.fraction < 1:
            self._look_up(evidence.fresh)
            if self._is_good:
                self._rise(min(ticks, LENGTH))
        return False

    def is_bad(self, short: Sums) -> bool:
        """Do the newest results, but for those of the worst process, call for a cut?"""
        rule = self.rule
        bad = short.bad - short.worst
        if short.bad < rule.least_bad or not bad:
            return False
        return bad > rule.trip_share * short.results

    def _is_cut(self, evidence: Evidence) -> bool:
        rule, short, long = self.rule, evidence.short, evidence.long
        if not evidence.new_bad or not self.is_bad(short):
            return False
        if self.fraction < rule.shallow and not evidence.fresh.fresh_bad:
            return False  # what is bad was sent before the last cut
        accepted = rule.headroom * long.ok / max(1, long.offered)
        fraction = max(rule.floor, min(self.fraction, accepted))
        if fraction >= rule.shallow:
            return False
        self.fraction = fraction
        return True

    def _look_up(self, fresh: Sums) -> None:
        if not fresh.fresh:
            return
        rule, results = self.rule, fresh.fresh
        self._is_good = (
            fresh.fresh_bad <= rule.fresh_bad_share * results
            and fresh.fresh_slow <= rule.slow_share * results
        )
        if not self._is_good:
            self._growth = self._first_growth

    def _rise(self, ticks: int) -> None:
        rule, fraction, growth = self.rule, self.fraction, self._growth
        for _ in range(ticks):
            fraction *= 1 + growth
            growth = min(rule.most_growth, growth * rule.acceleration)
            if fraction >= 1:
                fraction = 1.0
                break
        self.fraction, self._growth = fraction, growth

    def reset(self) -> None:
        """Let everything pass."""
        self.fraction, self._is_good = 1.0, False
        self._growth = self._first_growth
