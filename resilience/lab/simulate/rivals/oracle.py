"""An oracle: it sees the server. The limit, not a policy that anybody could run.

It sends nothing that cannot be served, critical calls first, and its attempts wait as
long as the deadline allows.
"""

from typing import Any

from .rival import Rival, RivalFlight


class Oracle(Rival):
    """Admits a call when the server will answer it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.attempt_timeout_s = self.deadline_s

    def admits(self, flight: RivalFlight, now: float) -> bool:
        """Is the server up, and is its queue short enough?"""
        # Room is left for critical calls, and for luck.
        share = 0.85 if flight.critical else 0.6
        upstream = self.upstreams[flight.shard]
        return upstream.has_room(share * self.deadline_s, share)
