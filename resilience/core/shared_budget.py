"""One retry budget for all processes of a host: a pool, not a part for each.

A host of a hundred processes that each make a call every two seconds has retries for
all of them, but a hundredth of them is less than one. So each writes down its own calls
and retries, and whoever wants one looks at the sum. Others' are seen up to a tenth of
`ttl` late: that much can be spent twice. Safe to share between threads.
"""

import functools
import threading

from .budget import SCALE, SLICES
from .outcome import Outcome
from .policy import BudgetPolicy
from .ticks import BAD, OFFERED, OK, Rows, begin, place_of, total_of


CALLS, RETRIES, REFUNDS = OFFERED, BAD, OK
"""What the cells of a tick count here."""
PREFIX = "retries of "
"""What the evidence is called by, before the scope: it is no breaker's."""


class SharedBudget:
    """Retries of a host stay within a ratio of its calls, plus one small reserve.

    Args:
        policy: ratio, reserve and for how long both hold.
        rows: what the processes of the host tell each other.
    """

    __slots__ = (
        "_at",
        "_lock",
        "_reserve",
        "_rows",
        "_slice_s",
        "_tick",
        "_turn_at",
        "_unit",
        "policy",
    )

    heeds_ends = False

    def __init__(self, policy: BudgetPolicy, rows: Rows) -> None:
        self.policy = policy
        self._rows = rows
        self._unit, self._reserve, self._slice_s = _terms(policy)
        self._tick = -1
        self._turn_at = float("-inf")
        own = rows.own
        self._at = own, begin(own, 0)
        """The ring and the running tick's place in it, read without the lock."""
        self.renew()

    def renew(self) -> None:
        """Make the lock new, after a fork."""
        self._lock = threading.Lock()

    def _turn_locked(self, now: float) -> None:
        tick = int(now / self._slice_s)
        if tick <= self._tick:
            return
        self._turn_at = (tick + 1) * self._slice_s
        self._rows.turn(now, tick, self._slice_s, 1.0)
        own = self._rows.own
        self._at = own, begin(own, tick)
        self._tick = tick

    def _balance_locked(self, now: float) -> int:
        if now >= self._turn_at:
            self._turn_locked(now)
        tick, rows = self._tick, self._rows
        # What others do in the running tick they tell when it is over.
        seen = [total_of((rows.own,), tick)]
        seen += [rows.total(past) for past in range(max(0, tick - SLICES + 1), tick)]
        calls = sum(each.offered for each in seen) if self.policy.ratio else 0
        retries = sum(each.bad - each.ok for each in seen)
        return self._reserve + calls * SCALE - retries * self._unit

    def _count_locked(self, cell: int) -> None:
        own, place = self._at
        own[place + cell] += 1
        rows, tick = self._rows, self._tick
        rows.alarm(tick)
        if rows.own is not own:
            self._at = rows.own, place_of(rows.own, tick)

    def deposit(self, now: float) -> None:
        """A call started: it pays for `ratio` of a retry during `ttl`."""
        if now >= self._turn_at:
            with self._lock:
                self._turn_locked(now)
        own, place = self._at
        own[place + CALLS] += 1  # a lost update costs nothing

    def balance(self, now: float) -> float:
        """Retries that would be granted now, to anybody on the host."""
        with self._lock:
            return max(0, self._balance_locked(now)) // self._unit

    def allows(self, outcome: Outcome, now: float) -> bool:  # noqa: ARG002 - one price for all
        """Would a retry be granted now?"""
        return self.balance(now) >= 1

    def withdraw(self, outcome: Outcome, now: float) -> int | None:  # noqa: ARG002 - one price for all
        """Take one retry; None: denied."""
        with self._lock:
            if self._balance_locked(now) < self._unit:
                return None
            self._count_locked(RETRIES)
            return self._unit

    def refund(self, cost: int, now: float) -> None:  # noqa: ARG002 - one price for all
        """Give one retry back."""
        with self._lock:
            if now >= self._turn_at:
                self._turn_locked(now)
            self._count_locked(REFUNDS)

    def ended(self, cost: int | None, now: float, *, ok: bool) -> None:
        """Nothing: deposits are made when calls start."""

    def failed(self, now: float, *, counts: bool) -> None:
        """Nothing: only calls and retries count."""


@functools.cache
def _terms(policy: BudgetPolicy) -> tuple[int, int, float]:
    """The price of a retry, the reserve, a slice's length: once for each policy."""
    unit = int(SCALE / policy.ratio) if policy.ratio else SCALE
    return unit, int(policy.min_per_second * policy.ttl_s * unit), policy.ttl_s / SLICES


def pool_key(scope: str, policy: BudgetPolicy) -> str:
    """What processes call the pool that they share for *scope*."""
    reserve = f"{policy.min_per_second:g}/s"
    return f"{PREFIX}{scope} @{policy.ratio:g}+{reserve},{policy.ttl_s:g}s"
