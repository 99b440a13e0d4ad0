"""What the counts of a run amount to; every figure is defined here and nowhere else.

- *goodput*: calls answered within their deadline over calls offered, by the moment they
  were offered. Over the fault, over the 30 s after it, and over the whole run.
- *critical goodput*: the same for critical calls.
- *amplification*: attempts at the last service over calls offered, both over the time
  of the fault (over the whole run where no fault has an end). An attempt counts where
  it is sent, so a policy without retries has exactly 1.00.
- *recovery*: seconds from the fault's end to the first of 5 seconds in a row, each at
  99 % or more of the goodput before the fault; on a grid of 0.1 s. None: not in the
  run.
- *healthy goodput*, *dead shard attempts*: of shards without and with a lasting fault,
  during the fault; the latter per call.
- *duplicates*: commits beyond the first of each write, per million writes. *lies*:
  writes that were acknowledged and not committed, the same way.
- *latency*: mean and quantiles of the good calls that were offered in the fault.
"""

from collections.abc import Sequence

from .faults import span
from .model import Scenario
from .recording import PER_SECOND, Recorder


SETTLED = 5
"""Seconds in a row that count as recovered."""
GOOD_RATIO = 0.99
AFTER_S = 30.0


def measure(scenario: Scenario, recorder: Recorder) -> dict[str, float | None]:
    """The figures of one run, by name."""
    first, last = (round(moment * PER_SECOND) for moment in span(scenario))
    end = recorder.tenths
    last = min(last, end)
    after = min(end, last + round(AFTER_S * PER_SECOND))
    r = recorder
    found: dict[str, float | None] = {
        "goodput": _share(r.good, r.offered, 0, end),
        "goodput_fault": _share(r.good, r.offered, first, last),
        "goodput_after": _share(r.good, r.offered, last, after),
        "critical_goodput": _share(r.critical_good, r.critical_offered, 0, end),
        "critical_goodput_fault": _share(
            r.critical_good, r.critical_offered, first, last
        ),
        "amplification": _share(r.attempts, r.offered, first, last),
        "amplification_run": _share(r.attempts, r.offered, 0, end),
        "rejected": _share(r.unsent, r.offered, 0, end),
        "recovery_s": recovery(r, first, last),
    }
    latencies = sorted(
        took
        for offered_at, took in zip(r.answered_at, r.latencies, strict=True)
        if first <= offered_at * PER_SECOND < last
    )
    found["latency_mean_s"] = sum(latencies) / len(latencies) if latencies else None
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
        found[f"latency_{name}_s"] = quantile(latencies, share)
    if r.is_sharded:
        found.update(_of_shards(scenario, r))
    if scenario.writes is not None:
        found.update(_of_writes(r))
    if r.keeps_tries:
        found["tries"] = sum(r.tries) / len(r.tries) if r.tries else None
        ends = r.latencies
        is_whole = len(ends) == sum(r.offered)
        found["all_connected_s"] = max(ends) if ends and is_whole else None
    return found


def figures(scenario: Scenario) -> tuple[str, ...]:
    """The names of the figures that a run of *scenario* has."""
    nothing = recorder_of(scenario)
    return tuple(measure(scenario, nothing))


def recorder_of(scenario: Scenario) -> Recorder:
    """What counts a run of *scenario*."""
    found = Recorder(scenario.duration, scenario.calls.deadline)
    found.is_sharded = scenario.server.shards > 1
    found.shard_span = span(scenario)
    found.keeps_tries = scenario.kind == "reconnect"
    return found


def _share(
    part: Sequence[int], whole: Sequence[int], first: int, last: int
) -> float | None:
    total = sum(whole[first:last])
    return sum(part[first:last]) / total if total else None


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that *share* of *ordered* does not exceed."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def recovery(recorder: Recorder, first: int, last: int) -> float | None:
    """Seconds from the end of the fault until goodput is back for good."""
    before = _share(recorder.good, recorder.offered, 0, first)
    if before is None or last >= recorder.tenths:
        return None
    wanted = GOOD_RATIO * before
    good, offered = _running(recorder.good), _running(recorder.offered)
    streak = SETTLED * PER_SECOND
    for start in range(last, recorder.tenths - streak + 1):
        if all(
            good[s + PER_SECOND] - good[s]
            >= wanted * (offered[s + PER_SECOND] - offered[s])
            for s in range(start, start + streak, PER_SECOND)
        ):
            return (start - last) / PER_SECOND
    return None


def _running(counts: Sequence[int]) -> list[int]:
    """Sums from the start, one longer than *counts*."""
    sums, total = [0], 0
    for count in counts:
        total += count
        sums.append(total)
    return sums


def _of_writes(r: Recorder) -> dict[str, float | None]:
    million = len(r.commits) / 1e6
    if not million:
        return dict.fromkeys(("written", "duplicates", "lies"))
    first = sum(count > 0 for count in r.commits)
    return {
        "written": first / len(r.commits),
        "duplicates": (sum(r.commits) - first) / million,
        "lies": r.lies / million,
    }


def _of_shards(scenario: Scenario, r: Recorder) -> dict[str, float | None]:
    hit = {
        s
        for fault in scenario.faults
        if fault.kind != "errors"
        for s in fault.shards or ()
    }
    well = set(range(scenario.server.shards)) - hit

    def ratio(part: dict[int, int], which: set[int]) -> float | None:
        total = sum(r.shard_offered.get(s, 0) for s in which)
        return sum(part.get(s, 0) for s in which) / total if total else None

    return {
        "healthy_goodput": ratio(r.shard_good, well),
        "dead_shard_attempts": ratio(r.shard_attempts, hit),
    }
