"""One client's view of several replicas: which of them gets the next request."""

from collections.abc import Callable, Sequence

from .ejection import Ejection
from .servers import OK, Attempt, Server


class Replicas:
    """Picks a replica for each attempt; a repeat or a hedge goes to another one.

    Args:
        servers: the replicas.
        balance: `round_robin` or `two_choices`.
        rng: this client's.
        ejection: who is left out; None: nobody ever is.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        balance: str,
        rng: Callable[[], float],
        ejection: Ejection | None = None,
    ) -> None:
        self._servers = servers
        self._is_plain = balance == "round_robin"
        self._rng = rng
        self._next = int(rng() * len(servers))
        self._under_way: list[list[Attempt]] = [[] for _ in servers]
        """This client's own requests, where anybody asks for them."""
        self._ejection = ejection

    def send(self, attempt: Attempt, now: float) -> float:
        """Send *attempt* to one of them."""
        ejection = self._ejection
        if ejection is not None and ejection.is_due(now):
            ejection.look([self._ended(n) for n in range(len(self._servers))], now)
        last = attempt.flight.replica
        chosen = self._in_turn() if self._is_plain else self._less_loaded(last)
        if chosen == last:
            chosen = self._in_turn() if self._is_plain else self._after(chosen)
        attempt.flight.replica = chosen
        if ejection is not None or not self._is_plain:
            self._under_way[chosen].append(attempt)
        return self._servers[chosen].send(attempt, now)

    def _ended(self, replica: int) -> tuple[int, int]:
        """How many that ended since the last time went well, and how many did not."""
        under_way = self._under_way[replica]
        ended = [attempt for attempt in under_way if attempt.is_gone]
        well = sum(attempt.is_answered and attempt.code == OK for attempt in ended)
        under_way[:] = [attempt for attempt in under_way if not attempt.is_gone]
        return well, len(ended) - well

    def _in_turn(self) -> int:
        """The next one that is not left out; if all are, the next one."""
        ejection = self._ejection
        for _ in self._servers:
            self._next = self._after(self._next)
            if ejection is None or not ejection.is_out(self._next):
                break
        return self._next

    def _after(self, replica: int) -> int:
        return (replica + 1) % len(self._servers)

    def _less_loaded(self, last: int) -> int:
        count = len(self._servers)
        one = int(self._rng() * count)
        other = (one + 1 + int(self._rng() * (count - 1))) % count
        return other if one == last or self._load(other) < self._load(one) else one

    def _load(self, replica: int) -> int:
        under_way = self._under_way[replica]
        under_way[:] = [attempt for attempt in under_way if not attempt.is_gone]
        return len(under_way)

    def has_room(self, within_s: float, bound_ratio: float) -> bool:
        """Does any replica have room?"""
        return any(server.has_room(within_s, bound_ratio) for server in self._servers)
