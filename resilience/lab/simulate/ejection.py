"""Outlier detection as gRPC has it (gRFC A50): who fails far too often gets no calls.

Each channel looks for itself, once an interval, at the calls that ended in it. A call
that was cancelled or timed out has failed, so a hedge that wins tells on the replica
that was too late.
"""

from collections.abc import Sequence

from resilience.policy.channel import OutlierPolicy


class Ejection:
    """Which replicas one channel leaves out. Owned by one client.

    Args:
        policy: when.
        replicas: how many there are.
        begins_s: when its first interval does.
    """

    def __init__(self, policy: OutlierPolicy, replicas: int, begins_s: float) -> None:
        self._policy = policy
        self._until: list[float | None] = [None] * replicas
        """When each comes back; None: it is not left out."""
        self._times = [0] * replicas
        """How often in a row it was left out."""
        self._next_look = begins_s + policy.interval_s

    def is_out(self, replica: int) -> bool:
        """Does *replica* get no calls?"""
        return self._until[replica] is not None

    def is_due(self, now: float) -> bool:
        """Is the interval over?"""
        return now >= self._next_look

    def look(self, results: Sequence[tuple[int, int]], now: float) -> None:
        """Judge the interval that is over.

        Args:
            results: of each replica, calls that went well and calls that failed.
            now: virtual seconds.
        """
        policy = self._policy
        behind = int((now - self._next_look) / policy.interval_s)
        self._next_look += policy.interval_s * (behind + 1)
        if behind == 0:  # else what was counted is older than an interval
            self._eject(results, now)
        for replica, until in enumerate(self._until):
            if until is None:
                # One that is well forgets, interval by interval.
                self._times[replica] = max(0, self._times[replica] - 1)
            elif now >= until:
                self._until[replica] = None

    def _eject(self, results: Sequence[tuple[int, int]], now: float) -> None:
        policy = self._policy
        judged = [
            replica
            for replica, (well, failed) in enumerate(results)
            if well + failed >= policy.request_volume
        ]
        if len(judged) < policy.minimum_hosts:
            return
        for replica in judged:
            out = sum(until is not None for until in self._until)
            if out >= policy.max_ejection_ratio * len(self._until) and out:
                return
            well, failed = results[replica]
            is_far_off = failed > policy.failure_ratio * (well + failed)
            if is_far_off and self._until[replica] is None:
                self._times[replica] += 1
                lasts = policy.base_ejection_s * self._times[replica]
                self._until[replica] = now + lasts
