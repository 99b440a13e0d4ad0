"""How much of what is offered may pass: the adaptive breaker's rule, as pure numbers.

One fraction stands for closed (1), limiting, open (near the floor) and recovering (on
its way up). Evidence moves it down, to the share that was measured to be accepted and
never by a blind factor. Good answers move it up at once; silence moves it up too, but
after a pause, so that nobody stays shut out for want of calls to learn from. An answer
that is slow, or that does not come, holds it where it is.

All times are in units of the attempt timeout. The constants were found by search over
outages, brownouts and overload in three topologies; `AdaptiveRule` says what each does.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from .ticks import Sums
from .verdict import Verdict


_FURTHEST_AGE = 10.0
"""The climb does not get steeper after this: the fraction is 1 long before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveRule:
    """The constants of the rule."""

    answered_within: float = 0.6
    """An answer that took more of its attempt's timeout than this is bad."""
    slow_beyond: float = 0.12
    """Fresh answers slower than this share of the timeout hold the fraction: the
    server's queue grows. They are no failures."""
    usual_times: float = 2.0
    """No answer is slow, and 1.5 times that none bad, before it took this many times
    what is usual."""
    trip_share: float = 0.2
    """Bad results above this share of the newest ticks cut what was whole."""
    least_bad: int = 2
    """One lone bad result never does."""
    lonely_bad: int = 5
    """So many bad results in a row cut where the other processes of the host see
    nothing bad: the fault may be this process's own, its calls must not be many."""
    headroom: float = 1.05
    """A cut leaves this much of the measured accept rate."""
    floor: float = 0.08
    """No cut leaves less; but at twice this or less nothing passes in the pause."""
    shallow: float = 0.85
    """A first cut to more than this is none, and retries stop below it."""
    partial: float = 0.03
    """Quick answers above this share of the results show that the target keeps up with
    what it gets: what fails beside them fails for another reason, and would fail as
    often if less were sent. That is no reason to shed."""
    life_results: int = 4
    """So many of the newest results are looked at for it..."""
    life_units: float = 1.5
    """...or those of so many attempt timeouts."""
    past_results: int = 50
    """So many older ones show whether it was as bad before."""
    sudden_bad: float = 0.8
    """More than this share of one tick cuts at once, where all was well before..."""
    sudden_results: int = 8
    """...of at least so many results."""
    short_ticks: int = 2
    """The newest ticks that a first cut looks at."""
    long_ticks: int = 10
    """The ticks over which the accept rate is measured."""
    least_results: int = 3
    """Where fewer results are inside, the look goes further back."""
    fresh_ticks: int = 3
    """The newest ticks whose fresh results count; further back until there is one."""
    fresh_bad_share: float = 0.28
    """A bad result above this share of the fresh ones cuts again."""
    slow_share: float = 0.5
    """Slow and missing answers above this share of the fresh ones hold."""
    creep: float = 0.01
    """While it is held, the fraction grows by this share in an attempt timeout: what
    was slow may be usual now."""
    growth: float = 0.46
    """The first step up after a good answer adds this share."""
    growth_power: float = 0.4
    """Hosts that offer less step higher, by this power of the ratio of rates."""
    acceleration: float = 1.75
    """Each further step adds this much more."""
    most_growth: float = 3.75
    """No step adds more than this share."""
    pause: float = 0.5
    """So long after a cut nothing rises that no good answer raises."""
    pause_power: float = 0.28
    """Hosts that offer less pause longer: each of their attempts is a larger share."""
    spread: float = 0.3
    """Pauses differ by this share, so that processes do not rise in step."""
    climb: float = 2.0
    """After the pause the logarithm of the fraction rises so fast, per timeout."""
    climb_power: float = -0.3
    """Hosts that offer less climb more slowly."""
    climb_acceleration: float = 1.32
    """And this many times faster for each timeout since the cut."""
    usual_rate: float = 80.0
    """Calls per attempt timeout of a host for which the numbers hold as written."""
    least_rate: float = 1.0
    """A host that offers less is taken for one that offers this."""

    def scaled(self, number: float, power: float, rate: float) -> float:
        """*number*, for a host that offers *rate* calls per timeout."""
        return number * math.pow(self.usual_rate / max(rate, self.least_rate), power)

    def pause_of(self, rate: float, draw: float) -> float:
        """How long nothing rises after a cut; *draw* is uniform on [0, 1)."""
        spread = 1 + self.spread * (2 * draw - 1)
        return self.scaled(self.pause, self.pause_power, rate) * spread


RULE = AdaptiveRule()


class Fresh(NamedTuple):
    """What became of attempts that were sent since the last cut."""

    ok: int
    bad: int
    slow: int
    """What tells of load: slow ones of the ok, and refusals for want of room."""
    slow_now: int
    """Of these, in the newest ticks alone."""
    missing: int
    """Attempts, slow by now, that nobody has answered."""

    @property
    def results(self) -> int:
        """Attempts that ended with something to say."""
        return self.ok + self.bad


class Evidence(Protocol):
    """What is looked at when a tick is judged; most of it seldom."""

    @property
    def tick(self) -> Sums:
        """The tick itself."""
        ...

    @property
    def age(self) -> float:
        """Attempt timeouts since the last cut."""
        ...

    def short(self) -> Sums:
        """The newest ticks: is it bad now?

        Where many processes look, what the worst of them has seen counts for nothing:
        its own network may be broken.
        """
        ...

    def life(self) -> Sums:
        """The newest results since the last cut, of an attempt timeout at most."""
        ...

    def past(self) -> Sums:
        """More of them, as far back as any count."""
        ...

    def long(self) -> Sums:
        """What was offered and what was accepted of it."""
        ...

    def fresh(self) -> Fresh:
        """Results since the last cut, the newest first."""
        ...

    def draw(self) -> float:
        """A number on [0, 1) by which pauses differ."""
        ...


class Admission:
    """The admitted fraction of one scope, in one process. Its owner locks."""

    __slots__ = ("_growth", "_pause", "_rate", "fraction", "is_good", "is_open", "rule")

    def __init__(self, rule: AdaptiveRule = RULE) -> None:
        self.rule = rule
        self.reset()

    def reset(self) -> None:
        """Let everything pass."""
        self.fraction = 1.0
        self.is_good = False
        """Is it on its way up, by good answers?"""
        self.is_open = False
        """Is nothing known since a cut to the floor?"""
        self._growth = 0.0
        self._pause = 0.0
        self._rate = self.rule.usual_rate

    def verdict(self, judged: int, cut_tick: int) -> Verdict:
        """What others may go on from, as of tick *judged*."""
        return Verdict(judged, self.fraction, cut_tick, self._pause, self.is_open)

    def adopt(self, verdict: Verdict, rate: float) -> None:
        """Go on from where another process of the host is."""
        self.fraction = verdict.fraction
        self.is_good = False
        self.is_open = verdict.is_open
        self._growth = 0.0
        self._pause = verdict.pause
        self._rate = rate

    @property
    def name(self) -> Literal["closed", "open", "recovering", "limiting"]:
        """What people call it: open where nothing is known since a deep cut."""
        if self.fraction >= 1:
            return "closed"
        if self.is_open:
            return "open"
        return "recovering" if self.is_good else "limiting"

    def passes_nothing(self, age: float) -> bool:
        """Is it open and pausing, *age* after the cut?"""
        return self.is_open and age < self._pause

    def reaches(self, fraction: float, age: float) -> float:
        """The age at which silence alone will have raised it to *fraction*.

        Args:
            fraction: what is waited for.
            age: attempt timeouts since the cut, by now.
        """
        faster = self.rule.climb_acceleration
        more = math.log(max(1.0, fraction / self.fraction)) / self._pace
        steepness = faster ** max(age, self._pause) + more * math.log(faster)
        return math.log(steepness, faster)

    @property
    def _pace(self) -> float:
        return self.rule.scaled(self.rule.climb, self.rule.climb_power, self._rate)

    def judge(self, seen: Evidence, rate: float, span: float) -> bool:
        """Judge one tick more; True: it was cut.

        Args:
            seen: completed ticks only.
            rate: what the host offers, in calls per attempt timeout.
            span: the tick's length.
        """
        if self.fraction >= 1:
            return bool(seen.tick.bad) and (
                self._is_sudden(seen, rate) or self._is_first(seen, rate)
            )
        fresh = seen.fresh()
        is_borne = (
            fresh.bad <= self.rule.fresh_bad_share * fresh.results
            or self._keeps_up(seen.life())
            or (fresh.ok > fresh.slow and self._is_steady(seen))
        )
        # What is bad and was sent before the last cut is no news.
        if seen.tick.fresh_bad and not is_borne:
            self._cut_again(seen, rate)
            return True
        self._rise(fresh, seen.age, span, is_borne=is_borne)
        return False

    def _keeps_up(self, life: Sums) -> bool:
        """Are there quick answers beside what fails?"""
        return life.fresh_ok - life.fresh_slow > self.rule.partial * life.fresh

    def _is_steady(self, seen: Evidence) -> bool:
        """Was it as bad a while ago, with quick answers all the time?"""
        past, life = seen.past(), seen.life()
        bad, results = past.fresh_bad - life.fresh_bad, past.fresh - life.fresh
        share = self.rule.partial
        return bad > self.rule.fresh_bad_share * results and (
            past.fresh_ok - past.fresh_slow > max(1, share * past.fresh)
        )

    def _is_sudden(self, seen: Evidence, rate: float) -> bool:
        """Does nearly all fail from one tick to the next? It is cut, then."""
        rule, tick = self.rule, seen.tick
        if (
            tick.results < rule.sudden_results
            or tick.bad - tick.worst < rule.least_bad
            or tick.bad - tick.fresh_slow <= rule.sudden_bad * tick.results
        ):
            return False
        long = seen.long()
        before = long.bad - tick.bad + long.fresh_slow - tick.fresh_slow
        if before >= rule.trip_share * (long.results - tick.results):
            return False  # or there was nothing
        accepted = rule.headroom * tick.ok / tick.results
        self.shut(max(rule.floor, accepted), rate, seen.draw())
        return True

    def is_bad(self, short: Sums) -> bool:
        """Do the newest results, but for those of the worst process, call for a cut?"""
        rule = self.rule
        bad = short.bad - short.worst
        if short.bad < rule.least_bad or not bad:
            return False
        return bad > rule.trip_share * (short.results - short.worst)

    def _is_first(self, seen: Evidence, rate: float) -> bool:
        """Is it bad by now? What was whole is cut, then."""
        rule, short = self.rule, seen.short()
        if (
            not self.is_bad(short)
            or self._keeps_up(seen.life())
            or self._is_steady(seen)
        ):
            return False
        long = seen.long()
        fraction = self._accepted(long)
        # Of few results some are still under way: that is no loss yet. And one call's
        # own attempts are one opinion.
        answered = rule.headroom * long.ok / max(1, long.results)
        is_shallow = max(fraction, answered) >= rule.shallow
        if is_shallow or long.offered < rule.least_bad:
            return False
        self.shut(fraction, rate, seen.draw())
        return True

    def _cut_again(self, seen: Evidence, rate: float) -> None:
        self.shut(min(self.fraction, self._accepted(seen.long())), rate, seen.draw())

    def _accepted(self, long: Sums) -> float:
        """What a cut leaves: what was accepted, and a little more."""
        rule = self.rule
        return max(rule.floor, min(1, rule.headroom * long.ok / max(1, long.offered)))

    def shut(self, fraction: float, rate: float, draw: float) -> None:
        """Cut to *fraction*; *draw*, uniform on [0, 1), is for the pause after it."""
        self.fraction = fraction
        self.is_good = False
        self.is_open = fraction <= 2 * self.rule.floor
        self._growth = 0.0
        self._rate = rate
        self._pause = self.rule.pause_of(rate, draw)

    def _rise(self, fresh: Fresh, age: float, span: float, *, is_borne: bool) -> None:
        rule = self.rule
        if fresh.ok:
            self.is_open = False
        doubts = fresh.slow + fresh.missing
        if (fresh.slow_now or fresh.missing) and (
            doubts > rule.slow_share * (fresh.results + fresh.missing)
        ):
            self.is_good = False
            self._growth = 0.0
            self._times(1 + rule.creep * span)
        elif fresh.ok and is_borne:
            self.is_good = True
            growth = self._growth * rule.acceleration or rule.scaled(
                rule.growth, rule.growth_power, self._rate
            )
            self._growth = min(rule.most_growth, growth)
            self._times(1 + self._growth)
        elif age >= self._pause:
            steepness = rule.climb_acceleration ** min(age, _FURTHEST_AGE)
            self._times(math.exp(self._pace * steepness * span))

    def _times(self, factor: float) -> None:
        self.fraction = min(1.0, self.fraction * factor)
        if self.fraction >= 1:
            self.is_good = self.is_open = False
