"""The machines of a simulation: whose processes share evidence, and in which ticks."""

from resilience.core.target import Target
from resilience.core.ticks import tick_s_of
from resilience.lab.evidence import Host
from resilience.policy import PolicyTable


__all__ = ["Host", "tick_of"]


def tick_of(table: PolicyTable, target: Target) -> float:
    """The length of a tick of *target*'s breaker, in seconds."""
    found = table.policy_for(
        target.protocol, target.name, target.service, target.method, table.mode
    )
    unit_s = 1.0 if found.breaker is None else found.breaker.unit_s
    return tick_s_of(unit_s)
