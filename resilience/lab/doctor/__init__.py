"""What is wrong between a client and a gRPC server, said in words.

`diagnose` looks at a target from the name to the services and changes nothing there:
it asks for health and reflection and calls one method that does not exist. Files named
by a verb in -ing speak to the network; the others only judge what was seen.
"""

from .examination import INSTALL, diagnose
from .finding import Diagnosis, Finding, Level
from .wish import Security


__all__ = ["INSTALL", "Diagnosis", "Finding", "Level", "Security", "diagnose"]
