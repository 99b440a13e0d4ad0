"""The adaptive circuit breaker: one admitted fraction, from evidence that is shared.

It is the breaker, the ramp after it and the shedding of the least critical in one
number. Evidence comes in ticks, from this process and from its peers on the host;
verdicts are each process's own, and the same for all: whoever had no call for a while
judges the ticks that it missed, one by one. What passes while it is open is a probe.
"""

import threading
from collections.abc import Callable

from .admission import Admission
from .breaker import Caller, Permit, Refusal, State, shown
from .classify import Evidence as Shown
from .levels import Levels
from .policy import BreakerPolicy
from .record import BreakerChanged
from .sight import FURTHEST, USUAL_SHARE, is_lonely, patience, view_of
from .streak import Streak
from .ticks import (
    BAD,
    FRESH_BAD,
    FRESH_OK,
    FRESH_SLOW,
    LENGTH,
    MASK,
    OFFERED,
    OK,
    RATE,
    SENT,
    OwnRows,
    Rows,
    begin,
    place_of,
    smoothed,
    tick_s_of,
)


_FIRST_PERMIT = Permit(1, 0)
"""Of every breaker's first generation: one for all, to be light."""
_BY_HAND = frozenset({"forced-open", "disabled", "shadow"})


class AdaptiveBreaker:
    """One scope's breaker, in one process. Safe to share between threads."""

    # There may be ten thousand of them. A name a line would fill a screen.
    # fmt: off
    __slots__ = (
        "_admission", "_at", "_closed_permit", "_cut_tick", "_evidence", "_furthest",
        "_good_s", "_is_alone", "_judged", "_levels", "_lock", "_per_unit", "_quick_s",
        "_rate", "_rows", "_slow_s", "_streak", "_tick", "_tick_s", "_turn_at",
        "_unit_s", "_usual_s", "changes", "generation", "openings", "own_faults",
        "policy", "probes", "rejected", "scope", "since", "state",
    )
    # fmt: on

    def __init__(
        self, policy: BreakerPolicy, scope: str, rows: Rows | None = None
    ) -> None:
        self.policy = policy
        self.scope = scope
        self.state: State = "closed"
        self.since = 0.0
        self.generation = 1
        """Rises with each cut: results of older permits are not fresh."""
        self.openings = 0
        """Episodes: cuts from closed."""
        self.rejected = 0
        self.probes = 0
        """Probes that were let through."""
        self.own_faults = 0
        """Faults of this side (DNS, no route, local TLS): not the target's."""
        self.changes: list[BreakerChanged] = []
        unit_s = policy.unit_s
        self._unit_s = unit_s
        self._tick_s = tick_s_of(unit_s)
        self._per_unit = max(1, round(unit_s / self._tick_s))
        self._furthest = min(LENGTH - 4, FURTHEST * self._per_unit)
        self._rows: Rows = OwnRows() if rows is None else rows
        self._admission = Admission(policy.rule)
        self._usual_s = 0.0
        """What answers usually take while all may pass."""
        self._see_usual(0.0)
        self._tick = self._judged = self._cut_tick = -1
        self._at = self._rows.own, begin(self._rows.own, 0)
        """The ring and the place of the running tick: in one, for they change at once
        and are read without the lock."""
        self._turn_at = float("-inf")
        self._rate = 0.0
        self._is_alone = False
        """Was the last cut by this process's own evidence, not by the host's?"""
        self._streak = Streak(self._furthest, self._per_unit)
        self._levels = Levels(self._rows)
        self._evidence = ""
        self._closed_permit = _FIRST_PERMIT
        self.renew()
        if policy.forced:
            self.state = "forced-open" if policy.forced == "open" else "disabled"

    def renew(self) -> None:
        """Make the lock new, after a fork."""
        self._lock = threading.Lock()

    @property
    def fraction(self) -> float:
        """The share of calls that may pass, probes apart: 0.0 to 1.0."""
        return self._admission.fraction

    @property
    def allows_retries(self) -> bool:
        """Whether retries and hedges may add load now.

        Only while all may pass, and a failure that may be overload is followed by a
        sign of life.
        """
        if self._admission.fraction < self.policy.rule.shallow:
            return False
        return self._streak.allows_more(self._rows, self._tick)

    def will_refuse(self, moment: float) -> bool:  # noqa: ARG002 - it may always rise
        """Is it sure by now to refuse at *moment*, if nobody acts by hand?"""
        return self.state == "forced-open"

    # -- admission ---------------------------------------------------------------

    def admit(
        self,
        now: float,
        rng: Callable[[], float],
        deadline: float | None = None,  # noqa: ARG002 - permits hold nothing here
        *,
        caller: Caller | None = None,
        repeat: bool = False,
    ) -> Permit | Refusal:
        """Ask for leave; see `Breaker.admit`."""
        if now >= self._turn_at:
            with self._lock:
                self._turn_locked(now, rng)
            if caller is not None:
                self._levels.see(caller.level)
        if not repeat:
            own, place = self._at
            own[place + OFFERED] += 1  # a lost update costs nothing
        if self.state == "closed":
            return self._closed_permit
        with self._lock:
            if caller is None:
                return self._admit_locked(now, rng(), is_marked=False)
            return self._admit_locked(now, caller.level, is_marked=caller.is_marked)

    def _admit_locked(
        self, now: float, level: float, *, is_marked: bool
    ) -> Permit | Refusal:
        state = self.state
        if state in _BY_HAND:
            if state != "forced-open":
                return self._closed_permit
            self.rejected += 1
            return self._refusal(None)
        admission = self._admission
        fraction = admission.fraction
        if fraction >= 1:
            return self._closed_permit
        needed = self._levels.needed(level)
        age = (now - self._cut_tick * self._tick_s) / self._unit_s
        if not is_marked and (needed > fraction or admission.passes_nothing(age)):
            self.rejected += 1
            more_s = (admission.reaches(needed, age) - age) * self._unit_s
            return self._refusal(now + max(self._tick_s, more_s))
        own, place = self._at
        own[place + SENT] += 1
        if not (is_marked or admission.is_open):
            return self._closed_permit
        self.probes += 1
        return Permit(self.generation, self.probes)

    def _refusal(self, retry_at: float | None) -> Refusal:
        evidence = f" ({self._evidence})" if self._evidence else ""
        message = f"breaker {self.state} for {self.scope}{evidence}"
        return Refusal(self.state, retry_at, message)

    # -- results -----------------------------------------------------------------

    def succeeded(
        self,
        permit: Permit,
        elapsed_s: float,
        now: float,
        rng: Callable[[], float],
    ) -> bool:
        """Count a quick answer of a closed breaker; see `Breaker.succeeded`."""
        if (
            permit is not self._closed_permit
            or self.state != "closed"
            or elapsed_s > self._quick_s
        ):
            return False
        if now >= self._turn_at:
            with self._lock:
                self._turn_locked(now, rng)
            if permit is not self._closed_permit:
                return False  # it was sent before a cut that was seen only now
            self._see_usual(elapsed_s)
        own, place = self._at
        own[place + OK] += 1
        own[place + FRESH_OK] += 1
        return True

    def done(
        self,
        permit: Permit,
        evidence: Shown,
        elapsed_s: float,
        now: float,
        rng: Callable[[], float],
        *,
        hint_s: float | None = None,  # noqa: ARG002 - the accept rate says more
        long: bool = False,
    ) -> None:
        """Give a permit back with what the attempt showed; see `Breaker.done`."""
        if evidence == "own":
            self.own_faults += 1
        if evidence in {"neutral", "own"} or self.state == "disabled":
            own, place = self._at
            own[place + SENT] -= own[place + SENT] > 0  # nobody need wait for it
            return
        is_ok = evidence == "success" and (long or elapsed_s <= self._good_s)
        with self._lock:
            if now >= self._turn_at:
                self._turn_locked(now, rng)
                if is_ok and not long and self._admission.fraction >= 1:
                    self._see_usual(elapsed_s)
            is_fresh = permit.generation == self.generation
            is_slow = not long and elapsed_s > (self._slow_s if is_ok else self._good_s)
            self._count_locked(is_ok=is_ok, is_fresh=is_fresh, is_slow=is_slow)
            if is_fresh and (evidence == "overload" or (is_ok and is_slow)):
                own, place = self._at
                own[place + FRESH_SLOW] += 1

    def _see_usual(self, elapsed_s: float) -> None:
        """What is slow follows what is usual, where that takes a while."""
        self._usual_s += (elapsed_s - self._usual_s) * USUAL_SHARE
        self._good_s, self._slow_s = patience(self.policy, self._usual_s)
        self._quick_s = min(self._good_s, self._slow_s)

    def _count_locked(self, *, is_ok: bool, is_fresh: bool, is_slow: bool) -> None:
        own, place = self._at
        own[place + (OK if is_ok else BAD)] += 1
        if is_fresh:
            own[place + (FRESH_OK if is_ok else FRESH_BAD)] += 1
        if not is_ok:
            tick = self._tick
            self._streak.add(self._rows, tick, is_slow=is_slow)
            self._rows.alarm(tick)
            if self._rows.own is not own:
                self._at = self._rows.own, place_of(self._rows.own, tick)

    # -- ticks -------------------------------------------------------------------

    def _load(self, *, is_alone: bool = False) -> float:
        """What is offered in an attempt timeout, by all who count."""
        others = 0.0 if is_alone or self._is_alone else self._rows.rate()
        return max(self._rate, others) * self._unit_s

    def _turn_locked(self, now: float, rng: Callable[[], float]) -> None:
        """Begin the tick of *now*, and judge those that are complete."""
        tick, last = int(now / self._tick_s), self._tick
        if tick <= last:
            return
        self._turn_at = (tick + 1) * self._tick_s
        own, place = self._at
        if last < 0:
            self._judged = tick + self._per_unit  # who is new has seen too little
        else:
            offered = own[place + OFFERED]
            self._rate = smoothed(self._rate, offered, tick - last, self._tick_s)
            own[RATE] = min(MASK, int(self._rate * 1000))
        fraction = 0.0 if self.state == "forced-open" else self._admission.fraction
        self._rows.turn(now, tick, self._tick_s, fraction)
        own = self._rows.own
        self._at = own, begin(own, tick)  # those between are older, by their numbers
        self._tick = tick
        newest = tick - 1 - self._rows.lag
        if last < 0 or newest - self._judged > self._furthest:
            self._catch_up_locked(newest, now)
        judged = self._judged
        if newest > judged:
            if (
                self._admission.fraction < 1
                or self._streak.newest > judged
                or self._rows.is_alarmed(judged + 1)
            ) and self.state not in _BY_HAND:
                self._judge_locked(newest, now, rng)
            self._judged = newest

    def _judge_locked(self, newest: int, now: float, rng: Callable[[], float]) -> None:
        """Judge all ticks up to *newest* that were not judged, one by one."""
        admission, rows, judged = self._admission, self._rows, self._judged
        is_shared = rows.is_shared()
        is_alone = is_shared and (
            self._is_alone
            or (
                admission.fraction >= 1
                and self._streak.newest > judged
                and is_lonely(rows, self._streak, newest, self.policy.rule)
            )
        )
        rate = self._load(is_alone=is_alone)
        view = view_of(
            rows,
            self.policy,
            furthest=self._furthest,
            per_unit=self._per_unit,
            rng=rng if is_alone or not is_shared else None,
        )
        for tick in range(max(judged + 1, newest - self._furthest, 0), newest + 1):
            was_whole = admission.fraction >= 1
            if was_whole and not view.total(tick).bad:
                continue
            seen = view.until(tick, self._cut_tick)
            if admission.judge(seen, rate, 1 / self._per_unit):
                self._is_alone = is_alone
                # In the tick in which those saw it that had a call.
                self._cut_tick = tick + 1 + rows.lag
                self.generation += 1
                self._closed_permit = Permit(self.generation, 0)
                self.openings += was_whole
                short = seen.short()
                self._evidence = f"{short.bad} of {short.results} bad"
        if is_shared and not is_alone:
            rows.tell(admission.verdict(newest, self._cut_tick))
        self._name_locked(now)

    def _catch_up_locked(self, newest: int, now: float) -> None:
        """Go on from what the others know, who saw what this process did not."""
        told, admission = self._rows.told(newest - self._furthest), self._admission
        was = admission.fraction
        if told is None or self.state in _BY_HAND or min(told.fraction, was) >= 1:
            return
        self.openings += was >= 1
        admission.adopt(told, self._load())
        self._judged, self._cut_tick, self._is_alone = told.judged, told.cut_tick, False
        self.generation += 1
        self._closed_permit = Permit(self.generation, 0)
        self._evidence = "told by another process"
        self._name_locked(now)

    def _name_locked(self, now: float) -> None:
        """Call the state by its name; a change of name is a change to tell."""
        name = self._admission.name
        if name != self.state:
            self._tell_locked(name, now)
        if name == "closed":
            self._is_alone = False

    def _tell_locked(self, state: State, now: float) -> None:
        evidence = f"{self._evidence}, {self._admission.fraction:.0%} admitted"
        old, self.state, self.since = self.state, state, now
        self.changes.append(
            BreakerChanged(self.scope, old, state, evidence.lstrip(", "), None, now)
        )
        if state == "closed":
            self._evidence = ""

    # -- by hand -----------------------------------------------------------------

    def move(self, state: State, now: float, until: float | None = None) -> None:  # noqa: ARG002 - it finds out by itself
        """Put it into *state* by hand; a plain `open` cuts to the floor."""
        with self._lock:
            self._evidence = "by hand"
            self._admission.reset()
            self.generation += 1
            self._closed_permit = Permit(self.generation, 0)
            if state == "open":
                self._admission.shut(self.policy.rule.floor, self._load(), 0.5)
                self._cut_tick = self._tick
            self._tell_locked(state, now)

    def drain(self) -> tuple[BreakerChanged, ...]:
        """Collect the changes since the last time; each is given out once."""
        with self._lock:
            changes, self.changes = tuple(self.changes), []
            return changes

    def snapshot(self, now: float) -> dict[str, object]:
        """State and evidence as plain data for `engine.snapshot()`."""
        with self._lock:
            return shown(
                self,
                now,
                kind="adaptive",
                admitted=round(self._admission.fraction, 4),
                evidence=self._evidence,
                rate=round(self._rate, 3),
                probes=self.probes,
            )
