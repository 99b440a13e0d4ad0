"""Which figures a scenario is judged by, and how each is written for people."""

from dataclasses import dataclass

from resilience.policy.durations import show

from .model import Scenario


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a table."""

    key: str
    title: str
    form: str
    """`ratio`, `times`, `moment` (a time that may never come) or `time`."""

    def text(self, value: float | None) -> str:
        """The figure as text."""
        if value is None:
            return "never" if self.form == "moment" else "-"
        if self.form in {"time", "moment"}:
            return show(value)
        return f"{value:.4f}" if self.form == "ratio" else f"{value:.3g}"


_GOODPUT = Column("goodput_fault", "goodput\nin fault", "ratio")
_CRITICAL = Column("critical_goodput_fault", "critical\ncalls", "ratio")
_AFTER = Column("goodput_after", "30 s\nafter", "ratio")
_AMPLIFICATION = Column("amplification", "ampli-\nfication", "times")
_RECOVERY = Column("recovery_s", "recovery", "moment")
_P99 = Column("latency_p99_s", "p99", "time")
_P999 = Column("latency_p999_s", "p99.9", "time")


def columns(scenario: Scenario) -> list[Column]:
    """The columns of *scenario*'s table."""
    if scenario.kind == "reconnect":
        return [
            Column("all_connected_s", "all connected", "moment"),
            Column("tries", "tries", "times"),
        ]
    if scenario.writes is not None:
        return [
            Column("duplicates", "duplicates\nper million", "times"),
            Column("lies", "lies per\nmillion", "times"),
            Column("written", "written", "ratio"),
            Column("goodput", "goodput", "ratio"),
            Column("amplification", "ampli-\nfication", "ratio"),
        ]
    if scenario.server.shards > 1:
        return [
            Column("healthy_goodput", "goodput of\nhealthy shards", "ratio"),
            Column("dead_shard_attempts", "attempts per\ncall at hit", "times"),
            _AMPLIFICATION,
        ]
    if any(fault.lasts is not None for fault in scenario.faults):
        return [_GOODPUT, _CRITICAL, _AFTER, _AMPLIFICATION, _RECOVERY, _P99]
    amplification = Column("amplification", "ampli-\nfication", "ratio")
    return [Column("goodput_fault", "goodput", "ratio"), amplification, _P99, _P999]
