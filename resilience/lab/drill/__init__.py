"""Drills: faults in real calls, under load, with a verdict.

`running` makes the load and ends in an `Outcome`; what a fault is and where it is put
is in `resilience.drilling` and in the adapters. Usable as a library; the command line
is one user of it.
"""

from .outcome import Outcome, Verdict
from .running import NotArmedError, run


__all__ = ["NotArmedError", "Outcome", "Verdict", "run"]
