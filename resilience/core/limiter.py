"""How many attempts of a scope may be in flight from this process.

A place is taken before an attempt is sent and given back at its end, once; it is a
lease, so one that is never given back counts for half a minute at most. Free places go
to who waits before they go to who comes. How large the limit is, is decided by
`limiter_loss.py` or `limiter_latency.py`; who waits, by `limiter_queue.py`.
"""

import threading
from typing import NamedTuple

from .limiter_loss import LossLimit, Shown
from .limiter_queue import Place, Queue, Waiter
from .outcome import Outcome
from .policy import LimiterPolicy


LEASE_S = 30.0
"""An attempt that is under way for longer is not counted any more: it is lost, or asks
for so little that others may pass."""


class Full(NamedTuple):
    """No place, and none to wait for."""

    message: str
    retry_after_s: float | None
    """When there may be one; None: nobody knows."""


def shown_by(outcome: Outcome) -> Shown:
    """What the failure of an attempt says about room at the target.

    Too slow, or told to slow down: there was none. Refused, reset or gone says nothing;
    those are the breaker's. An application's error is an answer.
    """
    if outcome.timed_out or outcome.throttled or outcome.kind == "overload":
        return "dropped"
    if outcome.kind == "application":
        # gRPC servers that are full say no more than this.
        return "dropped" if outcome.code == "RESOURCE_EXHAUSTED" else "answered"
    return "nothing"


def make_limit(policy: LimiterPolicy) -> LossLimit:
    """The limit of that kind."""
    if policy.kind == "latency":
        from .limiter_latency import LatencyLimit  # few choose it

        return LatencyLimit(policy)
    return LossLimit(policy)


class Limiter:
    """One scope's limit and who is in flight. Safe to share between threads."""

    __slots__ = (
        "_held",
        "_limit",
        "_lock",
        "_number",
        "_queue",
        "late",
        "policy",
        "refused",
        "scope",
        "waited",
    )

    def __init__(self, policy: LimiterPolicy, scope: str) -> None:
        self.policy = policy
        self.scope = scope
        self._number = 0
        """Places that were taken so far."""
        self._limit = make_limit(policy)
        self.refused = 0
        """Attempts that got no place, or would not have got one."""
        self.waited = 0
        """Attempts that waited for one."""
        self.late = 0
        """Places that were given back after their lease, or twice."""
        self.renew()

    def renew(self) -> None:
        """Forget who is in flight and who waits, after a fork: the parent has them."""
        self._lock = threading.Lock()
        # When each was taken, in that order.
        self._held: dict[Place, float] = {}
        self._queue = Queue()

    @property
    def limit(self) -> int:
        """Attempts that may be in flight now."""
        return self._limit.limit

    @property
    def in_flight(self) -> int:
        """Attempts that are."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """Attempts that wait for a place."""
        return self._queue.length

    # -- places are taken --------------------------------------------------------

    def take(self, now: float) -> Place:
        """A place at once; 0: there is none, or others wait for it."""
        held = self._held
        with self._lock:
            if len(held) >= self._limit.limit and not self._has_room_locked(now):
                return 0
            self._number = place = self._number + 1
            held[place] = now
            return place

    def force(self, now: float) -> tuple[Place, Full | float | None]:
        """A place in any case, and what an enforced limiter would have said to it.

        That is None (a place at once), the seconds it might have waited, or `Full`.
        """
        with self._lock:
            over = len(self._held) - self._limit.limit
            place = self._place_locked(now)
            if over < 0:
                return place, None
            if over < self.policy.max_queue and self.policy.max_wait_s:
                self.waited += 1
                return place, self.policy.max_wait_s
            self.refused += 1
            return place, self._full("it would have been refused", None)

    def wait(
        self, now: float, rank: int, deadline: float | None, expected_s: float
    ) -> Waiter | Full:
        """Stand in line for a place, which `take` did not give.

        Args:
            now: monotonic seconds.
            rank: of criticality, 0 is shed first.
            deadline: the call's; a wait that leaves no time for the attempt is none.
            expected_s: what an attempt takes.
        """
        policy, queue = self.policy, self._queue
        until = now + policy.max_wait_s
        if deadline is not None:
            until = min(until, deadline - expected_s)
        with self._lock:
            waiter = Waiter(self._lock, rank, until)
            # Room since `take`, or leases that are over: who waits comes first.
            self._expire_locked(now)
            woken = self._serve_locked(now)
            turn_s = (queue.ahead_of(rank) + 1) * expected_s / self._limit.limit
            found: Waiter | Full = waiter
            if len(self._held) < self._limit.limit:
                waiter.place = self._place_locked(now)
                waiter.is_decided = True
            elif until <= now or now + turn_s > until:
                found = self._full("the wait is too long", turn_s)
            elif queue.length >= policy.max_queue:
                evicted = queue.least(rank)
                if evicted is None:
                    found = self._full(f"{queue.length} wait", turn_s)
                else:
                    evicted.is_decided = True
                    woken.append(evicted)
            if found is not waiter:
                self.refused += 1
            elif not waiter.place:
                self.waited += 1
                queue.add(waiter)
        for one in woken:
            one.wake()
        return found

    def _full(self, why: str, after_s: float | None) -> Full:
        limit, in_flight = self._limit.limit, len(self._held)
        text = f"limit of {limit} for {self.scope} reached ({in_flight} in flight"
        return Full(f"{text}, {why})", after_s or None)

    def _place_locked(self, now: float) -> Place:
        self._number = place = self._number + 1
        self._held[place] = now
        return place

    def _expire_locked(self, now: float) -> None:
        """Count attempts no longer whose leases are over."""
        held = self._held
        while held:
            place, since = next(iter(held.items()))
            if now - since < LEASE_S:
                break
            del held[place]

    def _has_room_locked(self, now: float) -> bool:
        """Is there room for one that comes now, once old leases are over?"""
        self._expire_locked(now)
        return len(self._held) < self._limit.limit and not self._queue.length

    # -- places come back --------------------------------------------------------

    def answered(self, place: Place, now: float) -> None:
        """Give *place* back, answered: `give` for most attempts."""
        held = self._held
        with self._lock:
            in_flight = len(held)
            since = held.pop(place, None)
            if since is None:
                self.late += 1
                return
            limit = self._limit
            if (
                now < limit.quick_until
                and since >= limit.fence
                and in_flight <= limit.peak
            ):
                limit.answers += 1
                limit.answered_s += now - since
            else:
                limit.answered(since, now - since, in_flight, now)
            if not self._queue.length:
                return
            woken = self._serve_locked(now)
        for waiter in woken:
            waiter.wake()

    def give(self, place: Place, shown: Shown, now: float) -> None:
        """Give *place* back, with what its attempt showed."""
        held = self._held
        with self._lock:
            in_flight = len(held)
            since = held.pop(place, None)
            if since is None:
                self.late += 1
                return
            self._limit.add(shown, since, now - since, in_flight, now)
            if not self._queue.length:
                return
            woken = self._serve_locked(now)
        for waiter in woken:
            waiter.wake()

    def _serve_locked(self, now: float) -> list[Waiter]:
        """Give what is free to who waits; whom to tell."""
        woken: list[Waiter] = []
        while len(self._held) < self._limit.limit:
            waiter = self._queue.first()
            if waiter is None:
                break
            woken.append(waiter)
            waiter.is_decided = True
            if now < waiter.until:
                waiter.place = self._place_locked(now)
        return woken

    def ask(self, waiter: Waiter, now: float) -> bool | None:
        """Has *waiter* its place? None: it waits on. False: it left, refused."""
        with self._lock:
            if waiter.place:
                return True
            if waiter.is_decided:
                self.refused += 1
                return False
            if now < waiter.until:
                return None
            self._queue.remove(waiter)
            waiter.is_decided = True
            self.refused += 1
            return False

    def skipped(self) -> None:
        """A hedge got no place; it is not made."""
        self.refused += 1  # a lost count costs nothing

    def leave(self, waiter: Waiter, now: float) -> None:
        """Whoever waited as *waiter* is gone; a place it has by now is given back."""
        with self._lock:
            if not waiter.is_decided:
                self._queue.remove(waiter)
                waiter.is_decided = True
        if waiter.place:
            self.give(waiter.place, "nothing", now)

    def refusal(self, expected_s: float) -> Full:
        """What a waiter that left unplaced is told."""
        return self._full("none came free in time", expected_s)

    def snapshot(self) -> dict[str, object]:
        """Limit and use as plain data for `engine.snapshot()`."""
        with self._lock:
            return {
                "kind": self.policy.kind,
                "limit": self._limit.limit,
                "in_flight": len(self._held),
                "waiting": self._queue.length,
                "waited": self.waited,
                "refused": self.refused,
                "cuts": self._limit.cuts,
            }
