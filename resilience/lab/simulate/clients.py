"""What a client is to the rest of a run, and where its calls' ends go.

Whoever decides (our engine, a rival) sits behind the same two functions: `call` begins
a call, and a flight's `replied` takes the end of an attempt.
"""

from collections.abc import Sequence
from typing import Protocol

from resilience.core.hop import Word

from .recording import Recorder
from .servers import FAILED, GIVEN_UP, OK, SHED, Attempt
from .timeline import INFINITY, Timeline


_CODES: dict[Word, str] = {"": FAILED, "given-up": GIVEN_UP, "shed": SHED}


class Upstream(Protocol):
    """Where a client sends attempts: a server, replicas of one, or a further layer."""

    def send(self, attempt: Attempt, now: float) -> float:
        """Take *attempt*; say when its reply comes, infinity where that is open."""
        ...

    def has_room(self, within_s: float, bound_ratio: float) -> bool:
        """Will a request that is sent now be served in time? For oracles only."""
        ...


class Client(Protocol):
    """One process that makes calls."""

    def call(
        self, shard: int, now: float, *, critical: bool, above: Attempt | None
    ) -> None:
        """Begin a call; *above* is the attempt that it serves in a chain."""
        ...


class Ends:
    """Takes the ends of calls: counts them, or answers the layer above."""

    def __init__(
        self, recorder: Recorder, timeline: Timeline, round_trip_s: float
    ) -> None:
        self._recorder = recorder
        self._timeline = timeline
        self._round_trip_s = round_trip_s
        self._deliver = (deliver,)

    def end(
        self,
        above: Attempt | None,
        offered_at: float,
        now: float,
        *,
        critical: bool,
        good: bool,
        sent: int,
        shard: int,
        word: Word = "",
    ) -> None:
        """A call ended after *sent* attempts; *word*: what the layer above hears."""
        if above is not None:
            if not above.is_gone:
                above.code = OK if good else _CODES[word]
                when = now + self._round_trip_s
                self._timeline.at(when, above, self._deliver)
            return
        recorder = self._recorder
        recorder.end(offered_at, now, critical=critical, good=good, sent=sent > 0)
        if recorder.is_sharded:
            recorder.end_in_shard(shard, offered_at, good=good, sent=sent)


def deliver(attempt: Attempt) -> None:
    """Give a reply to whoever waits for it."""
    if not attempt.is_gone:
        attempt.is_answered = True
        attempt.flight.replied(attempt)


class Layer:
    """A service in the middle: each attempt that it is sent makes a call of its own."""

    def __init__(self, clients: Sequence[Client], below: Upstream) -> None:
        self._clients = clients
        self._below = below
        self._next = 0

    def send(self, attempt: Attempt, now: float) -> float:
        """Take *attempt*, by the processes in turn."""
        client = self._clients[self._next]
        self._next = (self._next + 1) % len(self._clients)
        critical = attempt.flight.critical
        client.call(0, now, critical=critical, above=attempt)
        return INFINITY

    def has_room(self, within_s: float, bound_ratio: float) -> bool:
        """Does the layer below have room, as its first client sees it?"""
        return self._below.has_room(within_s, bound_ratio)
