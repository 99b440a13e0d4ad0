"""What goes wrong, when: a scenario's faults as moments on the timeline."""

from collections.abc import Sequence
from functools import partial

from .model import Fault, Scenario
from .servers import Server
from .timeline import Timeline


COLD_STEPS = 16
"""In how many steps capacity grows in a cold start."""


def arrange(
    scenario: Scenario, timeline: Timeline, shards: Sequence[Sequence[Server]]
) -> None:
    """Have all faults of *scenario* happen; *shards* holds the replicas of each."""
    for fault in scenario.faults:
        hit = [
            server
            for shard, replicas in enumerate(shards)
            if fault.shards is None or shard in fault.shards
            for number, server in enumerate(replicas)
            if fault.replicas is None or number in fault.replicas
        ]
        for server in hit:
            server.forgets |= fault.kind in {"silent", "crash"}
        timeline.do_at(fault.at, partial(_begin, fault, hit))
        if fault.lasts is not None:
            end = fault.at + fault.lasts
            timeline.do_at(end, partial(_end, fault, hit, timeline))


def span(scenario: Scenario) -> tuple[float, float]:
    """When the faults begin and end together; the whole run where they never do."""
    lasting = [f for f in scenario.faults if f.lasts is not None]
    if not lasting:
        return scenario.warm_up, scenario.duration
    return (
        min(fault.at for fault in lasting),
        max(fault.at + (fault.lasts or 0.0) for fault in lasting),
    )


def _begin(fault: Fault, servers: Sequence[Server]) -> None:
    for server in servers:
        if fault.kind == "refuse":
            server.state = "refuse"
        elif fault.kind == "crash":
            server.state = "refuse"
            server.crash()
        elif fault.kind == "silent":
            server.state = "silent"
            server.forget()
        elif fault.kind == "capacity":
            server.limit(fault.factor)
        elif fault.kind == "errors":
            server.error_ratio = fault.ratio
        else:
            server.slowness = fault.factor


def _end(fault: Fault, servers: Sequence[Server], timeline: Timeline) -> None:
    for server in servers:
        if fault.kind in {"refuse", "crash", "silent"}:
            server.state = "up"
        elif fault.kind == "errors":
            server.error_ratio = 0.0
        elif fault.kind == "slow":
            server.slowness = 1.0
        else:
            server.limit(1.0)
        if fault.cold_start is not None:
            _warm_up(fault, server, timeline)


def _warm_up(fault: Fault, server: Server, timeline: Timeline) -> None:
    """Each step has the capacity of its middle: together, that of a straight line."""
    now, lasts = timeline.seconds(), fault.cold_start or 0.0
    grows = 1 - fault.cold_factor
    for step in range(COLD_STEPS):
        share = fault.cold_factor + grows * (step + 0.5) / COLD_STEPS
        timeline.do_at(now + lasts * step / COLD_STEPS, partial(server.limit, share))
    timeline.do_at(now + lasts, partial(server.limit, 1.0))
