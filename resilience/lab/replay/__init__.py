"""`resilience replay`: what another policy would have decided, from recorded events.

The real engine runs in virtual time over calls that really came; nothing is modelled
but the ends of attempts that were never made, and those are counted as assumed.
"""

from .answers import Certainty
from .differences import Difference
from .playing import play as replay
from .reading import BadLine, RecordsError
from .result import Replayed


__all__ = [
    "BadLine",
    "Certainty",
    "Difference",
    "RecordsError",
    "Replayed",
    "replay",
]
