"""One client's view of several replicas: which of them gets the next request."""

from collections.abc import Callable, Sequence

from .servers import Attempt, Server


class Replicas:
    """Picks a replica for each attempt; a repeat or a hedge goes to another one."""

    def __init__(
        self, servers: Sequence[Server], balance: str, rng: Callable[[], float]
    ) -> None:
        self._servers = servers
        self._is_plain = balance == "round_robin"
        self._rng = rng
        self._next = int(rng() * len(servers))
        self._waiting: list[list[Attempt]] = [[] for _ in servers]
        """This client's own requests under way, for two choices."""

    def send(self, attempt: Attempt, now: float) -> float:
        """Send *attempt* to one of them."""
        last = attempt.flight.replica
        chosen = self._in_turn() if self._is_plain else self._less_loaded(last)
        if chosen == last:
            chosen = (chosen + 1) % len(self._servers)
        attempt.flight.replica = chosen
        if not self._is_plain:
            self._waiting[chosen].append(attempt)
        return self._servers[chosen].send(attempt, now)

    def _in_turn(self) -> int:
        self._next = (self._next + 1) % len(self._servers)
        return self._next

    def _less_loaded(self, last: int) -> int:
        count = len(self._servers)
        one = int(self._rng() * count)
        other = (one + 1 + int(self._rng() * (count - 1))) % count
        return other if one == last or self._load(other) < self._load(one) else one

    def _load(self, replica: int) -> int:
        waiting = self._waiting[replica]
        waiting[:] = [attempt for attempt in waiting if not attempt.is_gone]
        return len(waiting)

    def has_room(self, within_s: float, bound_ratio: float) -> bool:
        """Does any replica have room?"""
        return any(server.has_room(within_s, bound_ratio) for server in self._servers)
