"""What the calls of a drill amount to; every figure is defined here and nowhere else.

- *success*: operations that ended well, over all; of the baseline (before the first
  fault), of the time of the faults and of the time after them. An operation is one run
  of the drill's function, or, where a program makes the calls, one call; it belongs to
  the moment it was due. What was due in the warm-up is in no figure.
- *overruns*: operations that took longer than the drill's `deadline`, or calls that
  took longer than their own, by more than the grace.
- *repeated*: calls that the server is known to have executed more than once.
  *duplicates*: of these, those that nothing makes harmless (neither safe nor keyed,
  and no duplicate is accepted). Executions without an answer are not seen from here.
- *amplification*: attempts over calls, of the calls that began in the time of the
  faults; *amplification_run*: of all.
- *recovery*: seconds from the end of the faults to the first of `SETTLED` windows in a
  row whose success is 99 % of the baseline's or more; *latency recovery*: the same for
  windows that are no slower than the baseline's windows were. None: not in the drill.
- *latency*: quantiles of operations that ended well, from the moment they were due.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from resilience.drilling.marks import CallSeen
from resilience.drilling.model import Drill


SETTLED: Final = 3
"""Windows in a row that count as recovered."""
GOOD_RATIO: Final = 0.99
STEP_S: Final = 0.1
GRACE_S: Final = 0.1
"""What an operation may take beyond its deadline: threads are late now and then."""
SLOWER: Final = 1.25
"""How much slower than the slowest window of the baseline still counts as back."""
LEAST_S: Final = 0.005
"""A difference in latency that is none."""


class Operation(NamedTuple):
    """One unit of the drill's load. Plain values."""

    at: float
    """When it was due, in seconds from the drill's start."""
    elapsed_s: float
    code: str
    """`OK`, or what it ended in."""
    limit_s: float | None = None

    @property
    def is_ok(self) -> bool:
        """Did it end well?"""
        return self.code == "OK"

    @property
    def is_overrun(self) -> bool:
        """Did it outlive its limit?"""
        return self.limit_s is not None and self.elapsed_s > self.limit_s + GRACE_S


Picked = Sequence[Operation]


def operations_of(drill: Drill, calls: Iterable[CallSeen]) -> list[Operation]:
    """The operations of a drill whose calls a program makes."""
    return [
        Operation(seen.at, seen.elapsed_s, seen.code, drill.deadline or seen.limit_s)
        for seen in calls
    ]


def measure(
    drill: Drill, operations: Picked, calls: Sequence[CallSeen], injected: int
) -> dict[str, float | None]:
    """The figures of one drill, by name; `expecting.FIGURES` lists them."""
    first, last = drill.faults_begin, drill.faults_end
    operations = [one for one in operations if one.at >= drill.warm_up]
    calls = [seen for seen in calls if seen.at >= drill.warm_up]
    before = _between(operations, drill.warm_up, first)
    during = _between(operations, first, last)
    after = _between(operations, last, drill.duration)
    in_fault = [seen for seen in calls if first <= seen.at < last]
    attempts = sum(seen.attempts for seen in calls)
    repeated = [seen for seen in calls if seen.answered > 1]
    found: dict[str, float | None] = {
        "success": success(operations),
        "success_baseline": success(before),
        "success_fault": success(during),
        "success_after": success(after),
        "calls": float(len(calls)),
        "attempts": float(attempts),
        "injected": float(injected),
        "overruns": float(overruns(operations, calls)),
        "duplicates": float(duplicates(calls)),
        "repeated": float(len(repeated)),
        "amplification": amplification(in_fault),
        "amplification_run": amplification(calls),
        "recovery_s": recovery(drill, operations, before),
        "latency_recovery_s": latency_recovery(drill, operations, before),
    }
    for name, some in (("baseline", before), ("fault", during), ("after", after)):
        took = sorted(one.elapsed_s for one in some if one.is_ok)
        found[f"latency_{name}_p50_s"] = quantile(took, 0.5)
        found[f"latency_{name}_p99_s"] = quantile(took, 0.99)
    return found


def newest(operations: Picked, calls: Sequence[CallSeen]) -> dict[str, float | None]:
    """The figures by which a drill is stopped, of its newest window."""
    return {
        "success": success(operations),
        "overruns": float(overruns(operations, calls)),
        "duplicates": float(duplicates(calls)),
        "amplification": amplification(calls),
    }


def success(operations: Picked) -> float | None:
    """Share of *operations* that ended well; None: there are none."""
    if not operations:
        return None
    return sum(one.is_ok for one in operations) / len(operations)


def overruns(operations: Picked, calls: Sequence[CallSeen]) -> int:
    """How many outlived their limit; operations where they have one, else calls."""
    if any(one.limit_s is not None for one in operations):
        return sum(one.is_overrun for one in operations)
    return sum(
        Operation(seen.at, seen.elapsed_s, seen.code, seen.limit_s).is_overrun
        for seen in calls
    )


def duplicates(calls: Iterable[CallSeen]) -> int:
    """Calls that were executed more than once, to somebody's harm."""
    return sum(seen.answered > 1 and seen.idempotency == "none" for seen in calls)


def amplification(calls: Sequence[CallSeen]) -> float | None:
    """Attempts over calls; None: there are none."""
    if not calls:
        return None
    return sum(seen.attempts for seen in calls) / len(calls)


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that *share* of *ordered* does not exceed."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def recovery(drill: Drill, operations: Picked, before: Picked) -> float | None:
    """Seconds from the end of the faults until success is back for good."""
    base = success(before)
    wanted = GOOD_RATIO * (1.0 if base is None else base)

    def is_back(some: Picked) -> bool:
        found = success(some)
        return found is None or found >= wanted

    return _settled(drill, operations, is_back)


def latency_recovery(drill: Drill, operations: Picked, before: Picked) -> float | None:
    """Seconds from the end of the faults until calls are as fast as they were.

    The 90th percentile of a window is compared with the greatest of the baseline's
    windows: what is usual there is no harm here.
    """
    usual: list[float] = []
    at = drill.warm_up
    while at + drill.window <= drill.faults_begin + STEP_S / 2:
        found = _p90(_between(before, at, at + drill.window))
        if found is not None:
            usual.append(found)
        at += drill.window
    if not usual:
        return None
    most = max(usual) * SLOWER + LEAST_S

    def is_back(some: Picked) -> bool:
        found = _p90(some)
        return found is None or found <= most

    return _settled(drill, operations, is_back)


def _p90(operations: Picked) -> float | None:
    return quantile(sorted(one.elapsed_s for one in operations if one.is_ok), 0.9)


def _settled(
    drill: Drill, operations: Picked, is_back: Callable[[Picked], bool]
) -> float | None:
    """From the end of the faults to the first of `SETTLED` good windows in a row."""
    end, window = drill.faults_end, drill.window
    after = _between(operations, end, drill.duration)
    if not after:
        return None
    step = 0
    while end + step * STEP_S + SETTLED * window <= drill.duration + STEP_S / 2:
        start = end + step * STEP_S
        if all(
            is_back(_between(after, start + n * window, start + (n + 1) * window))
            for n in range(SETTLED)
        ):
            return round(step * STEP_S, 6)
        step += 1
    return None


def _between(operations: Picked, first: float, last: float) -> list[Operation]:
    return [one for one in operations if first <= one.at < last]
