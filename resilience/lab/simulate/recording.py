"""What a run counts while it runs: plain lists of tenths of a second.

A call is counted in the tenth in which it was offered, an attempt in the one in which
it was sent to the last service. What the counts amount to is decided in `metrics`.
"""

from array import array


PER_SECOND = 10


class Recorder:
    """The counts of one run. Owned by it."""

    def __init__(self, duration_s: float, deadline_s: float) -> None:
        self._deadline_s = deadline_s + 1e-9
        self.tenths = round(duration_s * PER_SECOND)
        """Tenths in which calls are offered; what follows only ends them."""
        self.bins = self.tenths + int(deadline_s * PER_SECOND) + 2
        self.offered = [0] * self.bins
        self.good = [0] * self.bins
        """Answered well within the deadline."""
        self.critical_offered = [0] * self.bins
        self.critical_good = [0] * self.bins
        self.attempts = [0] * self.bins
        """At the servers of the last service."""
        self.unsent = [0] * self.bins
        """Calls that ended without a single attempt."""
        self.queued = [0.0] * self.bins
        """Requests waiting at the servers, at the end of each tenth."""
        self.watched: list[float] = []
        self.answered_at = array("d")
        """When the good calls were offered, in the order they ended."""
        self.latencies = array("d")
        """How long each took, in the same order."""
        self.shard_offered: dict[int, int] = {}
        self.shard_good: dict[int, int] = {}
        self.shard_attempts: dict[int, int] = {}
        self.is_sharded = False
        self.shard_span = (0.0, 0.0)
        """Shards count what was offered in this time: from, to."""
        self.commits: list[int] = []
        """How often each write was committed, by its number."""
        self.acknowledged = 0
        """Writes whose workers told that they ended well."""
        self.lies = 0
        """Of these, those that were not committed."""
        self.keeps_tries = False
        self.tries: list[int] = []
        """Attempts of each call that ended well; kept for `reconnect` only."""

    def end(
        self, offered_at: float, now: float, *, critical: bool, good: bool, sent: bool
    ) -> None:
        """Count a call that ended; one that was answered too late is not good."""
        index = int(offered_at * PER_SECOND)
        if good and now - offered_at <= self._deadline_s:
            self.good[index] += 1
            if critical:
                self.critical_good[index] += 1
            self.answered_at.append(offered_at)
            self.latencies.append(now - offered_at)
        elif not sent:
            self.unsent[index] += 1

    def end_in_shard(
        self, shard: int, offered_at: float, *, good: bool, sent: int
    ) -> None:
        """Count the same call for its shard."""
        first, last = self.shard_span
        if first <= offered_at < last:
            self.shard_offered[shard] = self.shard_offered.get(shard, 0) + 1
            self.shard_good[shard] = self.shard_good.get(shard, 0) + good
            self.shard_attempts[shard] = self.shard_attempts.get(shard, 0) + sent
