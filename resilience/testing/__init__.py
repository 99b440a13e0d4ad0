"""For tests of code that uses `resilience`: virtual time, scripted ends, records.

Public and versioned like the rest. `VirtualClock` stands in for the machine's clock,
`Script` for the far side, `CollectingSink` keeps what was decided. As pytest fixtures
they are in `resilience.testing.pytest_plugin`.
"""

from resilience.drivers.virtual import Reply, VirtualLoop
from resilience.testing.clock import VirtualClock
from resilience.testing.records import CollectingSink
from resilience.testing.script import Script, ScriptEnded, Started, after


__all__ = [
    "CollectingSink",
    "Reply",
    "Script",
    "ScriptEnded",
    "Started",
    "VirtualClock",
    "VirtualLoop",
    "after",
]
