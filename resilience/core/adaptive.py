"""The adaptive circuit breaker: one admitted fraction, from evidence that is shared.

It is the breaker, the ramp after it and the shedding of the least critical in one
number. Evidence comes in ticks, from this process and from its peers on the host;
verdicts are each process's own. Probes are in proportion to what the host offers, so
there are as many of them however calls are spread over processes.
"""

import threading
from collections.abc import Callable

from .admission import Admission, Evidence
from .breaker import Caller, Permit, Refusal, State
from .classify import Evidence as Shown
from .levels import Levels
from .policy import BreakerPolicy
from .record import BreakerChanged
from .sight import is_lonely, look
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
    OwnRows,
    Rows,
    Sums,
    begin,
    place_of,
    total_of,
)


RATE_MEMORY_S = 10.0
"""The offered rate is an average over about this long."""
SHORTEST_TICK_S, LONGEST_TICK_S = 0.05, 0.5
TICKS_PER_TIMEOUT = 10
FURTHEST = 5
"""No evidence older than this many attempt timeouts counts."""
PROBE_SPREAD = 0.3
"""Gaps between probes vary by this share, so that processes do not ask in step."""
_BY_HAND = frozenset({"forced-open", "disabled", "shadow"})


class AdaptiveBreaker:
    """One scope's breaker, in one process. Safe to share between threads."""

    # There may be ten thousand of them.
    # fmt: off
    __slots__ = (
        "_admission", "_at", "_closed_permit", "_cut_tick", "_evidence", "_furthest",
        "_good_s", "_is_alone", "_judged", "_levels", "_lock", "_newest_bad",
        "_probe_at", "_rate", "_rows", "_slow_s", "_tick", "_tick_s", "_turn_at",
        "_unit_s", "changes", "generation", "openings", "own_faults", "policy",
        "probes", "rejected", "scope", "since", "state",
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
        self._tick_s = min(
            max(unit_s / TICKS_PER_TIMEOUT, SHORTEST_TICK_S), LONGEST_TICK_S
        )
        self._furthest = min(LENGTH - 4, round(FURTHEST * unit_s / self._tick_s))
        self._rows: Rows = OwnRows() if rows is None else rows
        self._admission = Admission(policy.rule)
        self._good_s = policy.rule.answered_within * unit_s
        if policy.slow_call_s is not None:
            self._good_s = policy.slow_call_s
        self._slow_s = policy.rule.slow_beyond * unit_s
        self._tick = -1
        own = self._rows.own
        self._at = own, begin(own, 0)
        """The ring and the place of the running tick: in one, for they change at once
        and are read without the lock."""
        self._turn_at = float("-inf")
        self._rate = 0.0
        self._newest_bad = -1
        """The newest tick in which this process saw something bad."""
        self._judged = -1
        """The newest tick that was judged."""
        self._cut_tick = -1
        self._is_alone = False
        """Was the last cut by this process's own evidence, not by the host's?"""
        self._probe_at = 0.0
        self._levels = Levels(self._rows)
        self._evidence = ""
        self._closed_permit = Permit(1, 0)
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
        """Whether retries and hedges may add load now: only while all may pass."""
        return self._admission.fraction >= self.policy.rule.shallow

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
        """Ask for leave to send one attempt; see `Breaker.admit`."""
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
            level = rng() if caller is None else caller.level
            return self._admit_locked(now, rng, level)

    def _admit_locked(
        self, now: float, rng: Callable[[], float], level: float
    ) -> Permit | Refusal:
        state = self.state
        if state in _BY_HAND:
            if state != "forced-open":
                return self._closed_permit
            self.rejected += 1
            return self._refusal(None)
        fraction = self._admission.fraction
        if fraction >= 1 or self._levels.is_among_top(level, fraction):
            return self._closed_permit
        if now >= self._probe_at:
            spread = 1 + PROBE_SPREAD * (2 * rng() - 1)
            self._probe_at = now + self._gap_s() * spread
            self.probes += 1
            return Permit(self.generation, self.probes)
        self.rejected += 1
        return self._refusal(max(now, self._probe_at))

    def _gap_s(self) -> float:
        """Seconds between probes of this process: its share of the host's."""
        own, host = self._rate, self._host_rate()
        gap = self.policy.rule.probe_gap(host * self._unit_s)
        return gap * self._unit_s * max(1.0, host / max(own, 1e-3))

    def _host_rate(self) -> float:
        return self._rate if self._is_alone else max(self._rate, self._rows.rate())

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
            or elapsed_s > self._slow_s
        ):
            return False
        if now >= self._turn_at:
            with self._lock:
                self._turn_locked(now, rng)
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
            return
        is_ok = evidence == "success" and (long or elapsed_s <= self._good_s)
        with self._lock:
            if now >= self._turn_at:
                self._turn_locked(now, rng)
            is_fresh = permit.generation == self.generation
            self._count_locked(
                is_ok=is_ok,
                is_fresh=is_fresh,
                is_slow=not long and elapsed_s > self._slow_s,
            )

    def _count_locked(self, *, is_ok: bool, is_fresh: bool, is_slow: bool) -> None:
        own, place = self._at
        own[place + (OK if is_ok else BAD)] += 1
        if is_fresh:
            own[place + (FRESH_OK if is_ok else FRESH_BAD)] += 1
            if is_ok and is_slow:
                own[place + FRESH_SLOW] += 1
        if not is_ok:
            self._newest_bad = tick = self._tick
            self._rows.alarm(tick)
            if self._rows.own is not own:
                self._at = self._rows.own, place_of(self._rows.own, tick)

    # -- ticks -------------------------------------------------------------------

    def _turn_locked(self, now: float, rng: Callable[[], float]) -> None:
        """Begin the tick of *now*, and judge those that are complete."""
        tick, last = int(now / self._tick_s), self._tick
        if tick <= last:
            return
        self._turn_at = (tick + 1) * self._tick_s
        own, place = self._at
        if last >= 0:
            weight = self._tick_s / RATE_MEMORY_S
            offered = own[place + OFFERED] / self._tick_s
            self._rate += (offered - self._rate) * weight
            self._rate *= (1 - weight) ** min(tick - last - 1, 1000)
            own[RATE] = min(MASK, int(self._rate * 1000))
        self._rows.turn(now, tick, self._tick_s, self._admission.fraction)
        own = self._rows.own
        self._at = own, begin(own, tick)  # those between are older, by their numbers
        self._tick = tick
        newest = tick - 1 - self._rows.lag
        judged = self._judged
        if (
            self._admission.fraction < 1
            or self._newest_bad > judged
            or self._rows.is_alarmed(judged + 1)
        ):
            self._judge_locked(newest, now, rng)
        self._judged = max(judged, newest)

    def _judge_locked(self, newest: int, now: float, rng: Callable[[], float]) -> None:
        if self.state in _BY_HAND or newest <= self._judged:
            return
        admission, ticks = self._admission, newest - self._judged
        before = admission.fraction
        is_alone = is_shared = self._rows.is_shared()
        seen: Evidence | None = None
        if is_shared and not self._is_alone:
            seen = self._seen(self._rows.total, newest, is_shared=True)
            is_alone = self._newest_bad > self._judged and is_lonely(
                self._rows, self._newest_bad, newest, self.policy.rule
            )
        if seen is None or is_alone:
            seen = self._seen(self._seen_here, newest, is_shared=False)
        rate = self._rate if is_alone else self._host_rate()
        if admission.judge(seen, rate * self._unit_s, ticks):
            self._is_alone = is_alone
            self._cut_locked(now, rng, is_new=before >= 1)
        self._name_locked(now)

    def _seen_here(self, tick: int) -> Sums:
        return total_of((self._rows.own,), tick)

    def _seen(
        self, total: Callable[[int], Sums], newest: int, *, is_shared: bool
    ) -> Evidence:
        """What *total* says about the ticks up to *newest*."""
        seen = look(
            total,
            newest,
            self.policy.rule,
            oldest=max(0, newest - self._furthest),
            cut_tick=self._cut_tick,
            judged=self._judged,
        )
        if not is_shared:
            # It is the only one.
            seen = seen._replace(short=seen.short._replace(worst=0))
        if seen.short.bad:
            self._evidence = f"{seen.short.bad} of {seen.short.results} bad"
        return seen

    def _cut_locked(
        self, now: float, rng: Callable[[], float], *, is_new: bool
    ) -> None:
        self.generation += 1
        self._closed_permit = Permit(self.generation, 0)
        self._cut_tick = self._tick
        if is_new:
            self.openings += 1
            first = rng() if self._rows.is_shared() else 0.7 + 0.6 * rng()
            self._probe_at = now + self._gap_s() * first

    def _name_locked(self, now: float) -> None:
        """Call the state by its name; a change of name is a change to tell."""
        admission = self._admission
        fraction = admission.fraction
        name: State = "limiting"
        if fraction >= 1:
            name = "closed"
        elif admission.is_good:
            name = "recovering"
        elif fraction <= 2 * self.policy.rule.floor:
            name = "open"
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
                self._admission.fraction = self.policy.rule.floor
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
            return {
                "scope": self.scope,
                "kind": "adaptive",
                "state": self.state,
                "since_s": round(max(0.0, now - self.since), 3) if self.since else None,
                "admitted": round(self._admission.fraction, 4),
                "evidence": self._evidence,
                "rate": round(self._rate, 3),
                "openings": self.openings,
                "rejected": self.rejected,
                "probes": self.probes,
                "own_faults": self.own_faults,
            }
