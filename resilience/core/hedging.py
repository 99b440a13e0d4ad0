"""When a second attempt is worth its load, and whether there is room for it.

What calls of one method share about hedging: how late is late, and one budget for all
methods of a scope. Answers earn credit, failures take it, so where nothing is answered
nothing is hedged. Rules of a single call are in `hedged.py`.
"""

import threading

from .outcome import Outcome
from .policy import HedgingPolicy
from .quantile import LatencyQuantile


MOST_CREDIT = 30.0
"""Hedges that may be saved up for a burst (S6a simulated: p99.9 23 ms with this, 26 ms
with 10)."""
MOST_UNANSWERED = 4
"""Hedges that may be sent from one answer to the next, whatever the credit: healthy
targets answer far oftener than anything is hedged, and one that answers nobody has no
use for rivals. It is the most hedges of one call, too."""
FIRST_CREDIT = 10.0
"""Before anything was answered: where hedges are just enough, credit that has to be
earned first is short for long (S6a simulated: p99 15.7 ms with this, 15.9 with 1)."""
MOST_PATIENCE = 0.1
"""What is added to a percentile of latency where no credit is left, in proportion: the
fewer hedges can be sent, the longer each call waits for its own, so that those few go
to whom has waited longest (S6a simulated: p99.9 23 ms with this, 25 ms without)."""
MAX_METHODS = 64
"""Of one scope that have a delay of their own; later ones share one."""


class ExtraLoad:
    """How many hedges all calls of a scope may send. Safe to share between threads.

    Never more than *ratio* for each attempt that was answered, and ten. A failure takes
    what a hedge takes (gRFC A6 throttles by failures, too), and only a few are sent
    from one answer to the next: where nothing is answered, hedges end before any
    breaker knows.
    """

    __slots__ = ("_credit", "_lock", "_ratio", "_unanswered", "denied", "sent")

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._credit = FIRST_CREDIT if ratio else 0.0
        self._unanswered = 0
        self.sent = 0
        """Hedges that were granted and sent."""
        self.denied = 0
        """Hedges that were due and not granted."""
        self.renew()

    def renew(self) -> None:
        """Make the lock new, after a fork."""
        self._lock = threading.Lock()

    @property
    def credit(self) -> float:
        """Hedges that would be granted now."""
        return self._credit

    @property
    def patience(self) -> float:
        """How many delays a call waits, 1.0 or more: longer where credit is short."""
        missing = 1.0 - self._credit / FIRST_CREDIT
        return 1.0 + MOST_PATIENCE * missing if missing > 0.0 else 1.0

    def answered(self) -> None:
        """An attempt was answered: it pays for *ratio* of a hedge."""
        with self._lock:
            self._unanswered = 0
            self._credit = min(MOST_CREDIT, self._credit + self._ratio)

    def failed(self) -> None:
        """An attempt failed."""
        with self._lock:
            self._credit = max(0.0, self._credit - 1.0)

    def ended(self, outcome: Outcome) -> None:
        """An attempt ended, and was not overtaken: answers earn credit."""
        if outcome.kind in {"ok", "application"}:
            self.answered()
        elif outcome.kind in {"transport", "overload"} and not outcome.unprocessed:
            self.failed()

    def take(self) -> bool:
        """Take one hedge; False: denied."""
        with self._lock:
            # Many small deposits must add up to one.
            is_poor = self._credit < 1.0 - 1e-9
            if is_poor or self._unanswered >= MOST_UNANSWERED:
                self.denied += 1
                return False
            self._credit = max(0.0, self._credit - 1.0)
            self._unanswered += 1
            self.sent += 1
            return True

    def refund(self) -> None:
        """Give one back: somebody else denied the hedge."""
        with self._lock:
            self._credit = min(MOST_CREDIT, self._credit + 1.0)
            self._unanswered = max(0, self._unanswered - 1)
            self.sent -= 1
            self.denied += 1


class Hedging:
    """What the calls of one method share. Safe to share between threads."""

    __slots__ = ("_latency", "extra_load", "policy")

    def __init__(self, policy: HedgingPolicy, extra_load: ExtraLoad) -> None:
        self.policy = policy
        self.extra_load = extra_load
        """Of all methods of the scope."""
        self._latency: LatencyQuantile | None = None
        if policy.quantile is not None:
            self._latency = LatencyQuantile(policy.quantile, policy.min_samples)

    def delay_s(self, now: float) -> float | None:
        """Seconds after which an attempt is late; None: nobody knows yet."""
        if self._latency is None:
            return self.policy.delay_s
        late_s = self._latency.at(now)
        return None if late_s is None else late_s * self.extra_load.patience

    def sample(self, elapsed_s: float) -> None:
        """An attempt that was no hedge was answered, timed out, or was overtaken.

        Fast failures are no latencies. Nor are hedges: that a rival overtook them soon
        says nothing of how long they would have taken, and those that won are the fast
        ones, so either would draw the delay down.
        """
        if self._latency is not None:
            self._latency.sample(elapsed_s)

    def snapshot(self, now: float) -> dict[str, object]:
        """Delay and budget as plain data for `engine.snapshot()`."""
        latency, load = self._latency, self.extra_load
        return {
            "delay_s": self.delay_s(now),
            "samples": None if latency is None else round(latency.samples),
            "credit": round(load.credit, 3),
            "sent": load.sent,
            "denied": load.denied,
        }


class Hedgings:
    """All of one scope: one budget per policy, one delay per method."""

    __slots__ = ("_loads", "_methods")

    def __init__(self) -> None:
        self._loads: dict[HedgingPolicy, ExtraLoad] = {}
        self._methods: dict[tuple[HedgingPolicy, str], Hedging] = {}

    def of(self, policy: HedgingPolicy, method: str) -> Hedging:
        """What calls of *method* under *policy* share, made when it is not there."""
        methods = self._methods
        found = methods.get((policy, method))
        if found is None:
            key = (policy, method if len(methods) < MAX_METHODS else "")
            load = self._loads.setdefault(policy, ExtraLoad(policy.max_extra_load))
            found = methods.setdefault(key, Hedging(policy, load))
        return found

    def renew(self) -> None:
        """Make all locks new, after a fork."""
        for load in self._loads.values():
            load.renew()

    def snapshot(self, now: float) -> list[dict[str, object]]:
        """Each method's state, by name."""
        return [
            {"method": method, **found.snapshot(now)}
            for (_, method), found in sorted(
                [*self._methods.items()], key=lambda item: item[0][1]
            )
        ]
