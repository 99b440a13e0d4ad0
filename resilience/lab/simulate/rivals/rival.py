"""What the compared clients have in common: attempts, timeouts, one deadline.

A rival decides three things: is a call admitted, is a failed attempt repeated and when,
and what it learns from an attempt's end.
"""

from collections.abc import Callable, Hashable

from resilience.core.hop import Marks
from resilience.lab.simulate.clients import Ends, Upstream
from resilience.lab.simulate.model import Calls
from resilience.lab.simulate.servers import OK, Attempt
from resilience.lab.simulate.timeline import INFINITY, Moment, Timeline


TIMED_OUT = "timeout"


class RivalFlight(Moment):
    """One call under way; also the event of its one timer."""

    __slots__ = (
        "above",
        "backoff_s",
        "client",
        "cost",
        "critical",
        "deadline_at",
        "is_over",
        "offered_at",
        "replica",
        "sent",
        "shard",
    )

    def __init__(
        self,
        client: "Rival",
        shard: int,
        now: float,
        *,
        critical: bool,
        above: Attempt | None,
    ) -> None:
        self.client = client
        self.shard = shard
        self.offered_at = now
        self.deadline_at = now + client.deadline_s
        if above is not None:
            deadline = above.flight.deadline_at
            self.deadline_at = min(self.deadline_at, deadline or INFINITY)
        self.critical = critical
        self.above = above
        self.sent = 0
        self.replica = -1
        self.is_over = False
        self.cost = 0.0
        """For policies that give the price of a retry back."""
        self.backoff_s = 0.0
        """For policies whose waits depend on the one before."""

    @property
    def key(self) -> Hashable:
        """Made up for each call, where keys are sent."""
        return self if self.client.sends_keys else None

    def die(self) -> None:
        """Its process was killed: nothing more is sent, and nobody told."""
        self.is_over = True

    def marks(self, attempt: Attempt) -> Marks:
        """What *attempt* carries: its number."""
        return Marks(attempt.number - 1)

    def start(self, now: float) -> None:
        """Send one attempt."""
        client = self.client
        self.sent += 1
        attempt = Attempt(self, self.sent)
        until = min(now + client.attempt_timeout_s, self.deadline_at)
        known = client.upstreams[self.shard].send(attempt, now)
        if known > until:
            timer = Timer()
            timer.attempt, timer.flight = attempt, self
            client.timeline.at(until, timer, EXPIRED)

    def replied(self, attempt: Attempt) -> None:
        """The end of an attempt is there."""
        attempt.is_gone = True
        if not self.is_over:
            self.ended(attempt.code, self.client.timeline.seconds())

    def ended(self, code: str, now: float) -> None:
        """An attempt ended, by a reply or by its timeout."""
        client = self.client
        if code == OK:
            client.succeeded(self, now)
            self.finish(now, good=True)
            return
        client.failed(self, code, now)
        wait_s = client.retry_after(self, code, now)
        if wait_s is None or now + wait_s >= self.deadline_at:
            self.finish(now, good=False)
        elif wait_s > 0:
            client.timeline.at(now + wait_s, self, AGAIN)
        else:
            self.again(now)

    def again(self, now: float) -> None:
        """A retry is due."""
        if self.is_over:
            return
        if self.client.admits(self, now):
            self.start(now)
        else:
            self.finish(now, good=False)

    def finish(self, now: float, *, good: bool) -> None:
        """The call ends."""
        self.is_over = True
        self.client.ends.end(
            self.above,
            self.offered_at,
            now,
            critical=self.critical,
            good=good,
            sent=self.sent,
            shard=self.shard,
            word="" if self.sent else "shed",
        )


class Timer(Moment):
    """The timeout of an attempt."""

    __slots__ = ("attempt", "flight")

    attempt: Attempt
    flight: RivalFlight


def _expired(timer: Timer) -> None:
    attempt = timer.attempt
    if not attempt.is_gone:
        attempt.is_gone = True
        flight = timer.flight
        if flight.is_over:
            return
        flight.ended(TIMED_OUT, flight.client.timeline.seconds())


def _again(flight: RivalFlight) -> None:
    flight.again(flight.client.timeline.seconds())


EXPIRED = (_expired,)
AGAIN = (_again,)


class Rival:
    """One process under another policy. As it stands: no retry."""

    max_attempts = 1
    sends_keys = False

    def __init__(
        self,
        upstreams: list[Upstream],
        calls: Calls,
        ends: Ends,
        timeline: Timeline,
        rng: Callable[[], float],
    ) -> None:
        self.upstreams = upstreams
        self.ends = ends
        self.timeline = timeline
        self.rng = rng
        self.deadline_s = calls.deadline
        self.attempt_timeout_s = calls.attempt_timeout

    def call(
        self, shard: int, now: float, *, critical: bool, above: Attempt | None
    ) -> None:
        """Begin a call."""
        flight = RivalFlight(self, shard, now, critical=critical, above=above)
        if self.admits(flight, now):
            flight.start(now)
        else:
            flight.finish(now, good=False)

    def admits(self, flight: RivalFlight, now: float) -> bool:
        """May an attempt be sent?"""
        return True

    def succeeded(self, flight: RivalFlight, now: float) -> None:
        """An attempt ended well."""

    def failed(self, flight: RivalFlight, code: str, now: float) -> None:
        """An attempt failed."""

    def retry_after(self, flight: RivalFlight, code: str, now: float) -> float | None:
        """Seconds until a failed attempt is repeated; None: it is not."""
        if flight.sent >= self.max_attempts:
            return None
        return self.wait(flight, code, now)

    def wait(self, flight: RivalFlight, code: str, now: float) -> float | None:
        """Seconds before a retry that the number of attempts allows; None: denied."""
        return None
