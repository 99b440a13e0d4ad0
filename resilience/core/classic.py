"""The classic circuit breaker: closed, open, half-open, ramp.

Everything that affects a breaker's state lives here. Permits carry the generation they
were given in, so a late result never moves a newer state; a probe's permit is a lease,
so a hung probe holds nothing for ever. Sources: Resilience4j (windows), Envoy (ramp);
the fence, leases and early decision are ours.
"""

import math
import threading
from collections.abc import Callable

from .breaker import Caller, Permit, Refusal, State, shown
from .classify import Evidence
from .policy import BreakerPolicy
from .record import BreakerChanged
from .window import CountWindow, TimeWindow, Totals, Window


RAMP_FLOOR = 0.1
"""The least share of calls let through while ramping (Envoy's slow start: 10 %)."""
WAITER_SHARE = 0.1
"""Waiting calls look again after about this share of `open_for`, spread out, so that
they are not let go all at once."""
MIN_PAUSE_S = 0.01
"""Nobody is told to ask again sooner, however short `open_for` is."""


_COUNTING = frozenset({"closed", "ramp", "shadow"})


class ClassicBreaker:
    """One scope's breaker. Safe to share between threads."""

    def __init__(self, policy: BreakerPolicy, scope: str) -> None:
        self.policy = policy
        self.scope = scope
        self.state: State = "closed"
        self.since = 0.0
        self.until: float | None = None
        self.generation = 1
        self.openings = 0
        """In a row, without a full recovery between them."""
        self.rejected = 0
        self.late = 0
        """Results of older generations: counted, never acted upon."""
        self.own_faults = 0
        """Faults of this side (DNS, no route, local TLS): not the target's."""
        self.changes: list[BreakerChanged] = []
        """Changes not yet collected by `drain`."""
        self._window = _window(policy)
        self._half = CountWindow(policy.probes)
        self._leases: dict[int, float] = {}
        self._admitted = 0
        self._probe = 0
        self._evidence = ""
        self._verdict: Totals | None = None
        """What opened it."""
        self._closed_permit = Permit(1, 0)
        self.renew()
        if policy.forced:
            self.state = "forced-open" if policy.forced == "open" else "disabled"

    def renew(self) -> None:
        """Make lock and leases new, after a fork: the parent's probes are not ours."""
        self._lock = threading.Lock()
        self._admitted -= min(self._admitted, len(self._leases))
        self._leases.clear()

    def admit(
        self,
        now: float,
        rng: Callable[[], float],
        deadline: float | None = None,
        *,
        caller: Caller | None = None,  # noqa: ARG002 - all calls are equal here
        repeat: bool = False,  # noqa: ARG002 - and a repeat is one of them
    ) -> Permit | Refusal:
        """Ask for leave to send one attempt; see `Breaker.admit`."""
        if self.state == "closed":  # one atomic read: the healthy path takes no lock
            return self._closed_permit
        with self._lock:
            answer = self._admit_locked(now, rng, deadline)
            if type(answer) is Refusal:
                self.rejected += 1
            return answer

    def _admit_locked(
        self, now: float, rng: Callable[[], float], deadline: float | None
    ) -> Permit | Refusal:
        if self.state == "open" and self.until is not None and now >= self.until:
            self._move_locked("half-open", now, None)
        if self.state == "ramp" and self._ramp_share(now) >= 1:
            self.openings = 0
            self._move_locked("closed", now, None)
        match self.state:
            case "closed" | "disabled" | "shadow":
                return self._closed_permit
            case "ramp":
                if rng() < self._ramp_share(now):
                    return self._closed_permit
                return self._refusal(now, self._soon(now, rng))
            case "half-open":
                return self._probe_locked(now, rng, deadline)
            case _:
                return self._refusal(now, self.until)

    def _probe_locked(
        self, now: float, rng: Callable[[], float], deadline: float | None
    ) -> Permit | Refusal:
        policy = self.policy
        self._expire_locked(now, rng)
        if self.state != "half-open":  # an expired lease decided the round
            return self._admit_locked(now, rng, deadline)
        if (
            len(self._leases) < policy.concurrent_probes
            and self._admitted < policy.probes
        ):
            lease_until = now + policy.probe_timeout_s
            self._probe += 1
            self._admitted += 1
            self._leases[self._probe] = (
                lease_until if deadline is None else min(deadline, lease_until)
            )
            return Permit(self.generation, self._probe)
        return self._refusal(now, self._soon(now, rng))

    def _expire_locked(self, now: float, rng: Callable[[], float]) -> None:
        for probe, until in [*self._leases.items()]:
            if until <= now and self.state == "half-open":
                # A probe without an answer in its time is a failed probe.
                del self._leases[probe]
                self._half.add(now, failed=True, slow=False)
                self._judge_probes_locked(now, rng, None)

    def _soon(self, now: float, rng: Callable[[], float]) -> float:
        return now + self.policy.open_for_s * WAITER_SHARE * (0.5 + rng())

    def _refusal(self, now: float, retry_at: float | None) -> Refusal:
        if retry_at is not None:
            retry_at = max(retry_at, now + MIN_PAUSE_S)
        evidence = f" ({self._evidence})" if self._evidence else ""
        message = f"breaker {self.state} for {self.scope}{evidence}"
        return Refusal(self.state, retry_at, message)

    def _ramp_share(self, now: float) -> float:
        """Envoy's slow start: (t / ramp) ** (1 / aggression), from `since`."""
        policy = self.policy
        if policy.ramp_s <= 0:
            return 1.0
        share = max(0.0, now - self.since) / policy.ramp_s
        return min(1.0, max(RAMP_FLOOR, math.pow(share, 1 / policy.ramp_aggression)))

    @property
    def allows_retries(self) -> bool:
        """Whether retries (and hedges) may add load now: not while it ramps up."""
        return self.state != "ramp"

    def will_refuse(self, moment: float) -> bool:
        """Is it sure by now to refuse at *moment*, if nobody acts by hand?"""
        until = self.until
        if self.state == "open":
            return until is not None and moment < until
        return self.state == "forced-open"

    def succeeded(
        self,
        permit: Permit,
        elapsed_s: float,  # noqa: ARG002 - `slow_call` goes through `done`
        now: float,
        rng: Callable[[], float],
    ) -> bool:
        """Count a plain success of a closed breaker; see `Breaker.succeeded`."""
        with self._lock:
            if permit is not self._closed_permit or self.state != "closed":
                return False
            if not self._window.succeeded(now):
                self._judge_window_locked(now, rng, None)
            return True

    def done(
        self,
        permit: Permit,
        evidence: Evidence,
        elapsed_s: float,
        now: float,
        rng: Callable[[], float],
        *,
        hint_s: float | None = None,
        long: bool = False,
    ) -> None:
        """Give a permit back with what the attempt showed; see `Breaker.done`."""
        failed = evidence == "failure"
        slow_call_s = self.policy.slow_call_s
        slow = slow_call_s is not None and not long and elapsed_s > slow_call_s
        with self._lock:
            if evidence == "own":
                self.own_faults += 1
            if permit.generation != self.generation:
                self.late += 1
            elif self.state == "half-open":
                self._probe_done_locked(
                    permit.probe, evidence, slow=slow, now=now, rng=rng, hint_s=hint_s
                )
            elif self.state in _COUNTING and (failed or evidence == "success"):
                is_clean = self._window.add(now, failed=failed, slow=slow)
                if not is_clean and self.state != "shadow":
                    self._judge_window_locked(now, rng, hint_s)

    def _probe_done_locked(
        self,
        probe: int,
        evidence: Evidence,
        *,
        slow: bool,
        now: float,
        rng: Callable[[], float],
        hint_s: float | None,
    ) -> None:
        if self._leases.pop(probe, None) is None:
            self.late += 1
        elif evidence in {"success", "failure"}:
            self._half.add(now, failed=evidence == "failure", slow=slow)
            self._judge_probes_locked(now, rng, hint_s)
        else:
            self._admitted -= 1  # it showed nothing: another may take its place

    def _judge_window_locked(
        self, now: float, rng: Callable[[], float], hint_s: float | None
    ) -> None:
        policy = self.policy
        needed = policy.min_calls
        if policy.window_calls is not None:
            needed = min(needed, policy.window_calls)
        if self.state == "ramp":
            needed = max(1, needed // 2)
        totals = self._window.totals(now)
        if totals.calls >= needed and self._is_bad(totals):
            self._open_locked(now, rng, hint_s, totals)

    def _is_bad(self, totals: Totals) -> bool:
        policy = self.policy
        too_slow = policy.slow_call_s is not None and (
            totals.slow_ratio >= policy.slow_ratio
        )
        return totals.failure_ratio >= policy.failure_ratio or too_slow

    def _judge_probes_locked(
        self, now: float, rng: Callable[[], float], hint_s: float | None
    ) -> None:
        policy = self.policy
        totals = self._half.totals(now)
        if policy.early_decision:
            # Decide as soon as the rest of the round cannot change the verdict.
            to_fail = _reaching(policy.failure_ratio, policy.probes)
            to_slow = policy.probes + 1
            if policy.slow_call_s is not None:
                to_slow = _reaching(policy.slow_ratio, policy.probes)
            left = policy.probes - totals.calls
            if totals.failed >= to_fail or totals.slow >= to_slow:
                self._open_locked(now, rng, hint_s, totals)
            elif totals.failed + left < to_fail and totals.slow + left < to_slow:
                self._recover_locked(now, totals)
        elif totals.calls >= policy.probes:
            if self._is_bad(totals):
                self._open_locked(now, rng, hint_s, totals)
            else:
                self._recover_locked(now, totals)

    def _open_locked(
        self, now: float, rng: Callable[[], float], hint_s: float | None, totals: Totals
    ) -> None:
        policy = self.policy
        self.openings += 1
        wait = policy.open_for_s
        if policy.growing:
            wait = min(policy.max_open_for_s, wait * 2 ** min(30, self.openings - 1))
        if policy.jitter:
            wait = wait / 2 + rng() * wait / 2
        if hint_s is not None and hint_s > wait:
            wait = min(hint_s, max(wait, policy.max_open_for_s))
        self._move_locked("open", now, totals, until=now + wait)

    def _recover_locked(self, now: float, totals: Totals) -> None:
        if self.policy.ramp_s > 0:
            self._move_locked("ramp", now, totals)
        else:
            self.openings = 0
            self._move_locked("closed", now, totals)

    def _move_locked(
        self,
        state: State,
        now: float,
        totals: Totals | None,
        until: float | None = None,
    ) -> None:
        if totals is not None:
            self._evidence = f"{totals.failed} of {totals.calls} failed" + (
                f", {totals.slow} slow" if totals.slow else ""
            )
        self._verdict = totals if state == "open" else None
        change = BreakerChanged(
            self.scope, self.state, state, self._evidence, until, now
        )
        self.changes.append(change)
        self.generation += 1
        self._closed_permit = Permit(self.generation, 0)
        self.state, self.since, self.until = state, now, until
        self._admitted = 0
        self._leases.clear()
        self._half.clear()
        if state in _COUNTING:
            self._window.clear()
            self._evidence = ""

    def move(self, state: State, now: float, until: float | None = None) -> None:
        """Put the breaker into *state* by hand; `forced-open` and `disabled` last.

        A plain `open` without *until* waits `open_for`.
        """
        with self._lock:
            self._evidence = "by hand"
            if state == "open" and until is None:
                until = now + self.policy.open_for_s
            self._move_locked(state, now, None, until)

    def drain(self) -> tuple[BreakerChanged, ...]:
        """Collect the changes since the last time; each is given out once."""
        with self._lock:
            changes, self.changes = tuple(self.changes), []
            return changes

    def totals(self, now: float) -> Totals:
        """What the window (of probes, while half-open) holds; open: what opened it."""
        with self._lock:
            if self._verdict is not None:
                return self._verdict
            window = self._half if self.state == "half-open" else self._window
            return window.totals(now)

    def snapshot(self, now: float) -> dict[str, object]:
        """State and evidence as plain data for `engine.snapshot()`."""
        totals = self.totals(now)
        return shown(
            self,
            now,
            kind="classic",
            until_s=None if self.until is None else round(self.until - now, 3),
            evidence=self._evidence,
            calls=totals.calls,
            failed=totals.failed,
            slow=totals.slow,
            late_results=self.late,
            probes_in_flight=len(self._leases),
        )


def _reaching(ratio: float, count: int) -> int:
    """The least number whose share of *count* reaches *ratio*; at least 1."""
    least = max(1, math.floor(ratio * count))
    return least if least / count >= ratio else least + 1


def _window(policy: BreakerPolicy) -> Window:
    if policy.window_calls is not None:
        return CountWindow(policy.window_calls)
    return TimeWindow(policy.window_s)
