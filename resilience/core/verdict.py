"""What a process of the host tells the others about one scope: how much may pass.

Verdicts follow from evidence that all see, so whoever looks at each tick needs none of
this. Who begins, or was away for longer than evidence is kept, cannot know what the
others know, and goes on from what one of them told last.
"""

from typing import NamedTuple


class Verdict(NamedTuple):
    """What one process made of the evidence of all. Immutable."""

    judged: int
    """The newest tick that was looked at."""
    fraction: float
    """The share of calls that may pass since: 0.0 to 1.0."""
    cut_tick: int
    """When it was cut last, as a tick."""
    pause: float
    """For how many attempt timeouts nothing rises after that."""
    is_open: bool
    """Is nothing known since the cut?"""
