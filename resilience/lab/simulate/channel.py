"""A gRPC channel that has lost its server: gRPC's own waits, from the policy's numbers.

The first attempt is made at once. After each that fails the wait grows by 1.6 up to the
longest, and varies by a fifth either way; where it begins is the channel's own draw.
Calls wait meanwhile, and add no attempt. Source: gRPC's connection backoff protocol.
"""

import random
from collections.abc import Callable
from functools import partial

from resilience.core.hop import Marks
from resilience.policy.channel import ChannelPolicy, own_waits

from .clients import Ends, Upstream
from .servers import OK, Attempt
from .timeline import Timeline


GROWTH = 1.6
JITTER = 0.2


class Channel:
    """One process whose channel wants to be connected."""

    def __init__(
        self,
        policy: ChannelPolicy,
        upstream: Upstream,
        ends: Ends,
        timeline: Timeline,
        rng: random.Random,
    ) -> None:
        self._policy = policy
        self._upstream = upstream
        self._ends = ends
        self._timeline = timeline
        self._draw: Callable[[float, float], float] = rng.uniform
        self._wait_s, self._longest_s = own_waits(policy, rng.uniform)

    def call(
        self, shard: int, now: float, *, critical: bool, above: Attempt | None
    ) -> None:
        """Connect, and go on until it is connected."""
        del shard, above  # there is one server, and nobody is served
        self._connect(Connecting(self, now, critical=critical))

    def _connect(self, flight: "Connecting") -> None:
        flight.sent += 1
        now = self._timeline.seconds()
        attempt = Attempt(flight, flight.sent)
        known = self._upstream.send(attempt, now)
        until = now + self._policy.connect_timeout_s
        if known > until:
            self._timeline.do_at(until, partial(self._timed_out, attempt))

    def _timed_out(self, attempt: Attempt) -> None:
        if not attempt.is_gone:
            attempt.flight.replied(attempt)

    def ended(self, flight: "Connecting", attempt: Attempt) -> None:
        """An attempt was answered, refused or timed out."""
        now = self._timeline.seconds()
        if attempt.code != OK or not attempt.is_answered:
            wait_s = self._wait_s * self._draw(1 - JITTER, 1 + JITTER)
            self._wait_s = min(self._wait_s * GROWTH, self._longest_s)
            self._timeline.do_at(now + wait_s, partial(self._connect, flight))
            return
        self._ends.end(
            None,
            flight.offered_at,
            now,
            critical=flight.critical,
            good=True,
            sent=flight.sent,
            shard=0,
        )


class Connecting:
    """A connection that is being made, as a server sees it."""

    deadline_at = None
    replica = -1
    key = None

    def __init__(self, channel: Channel, now: float, *, critical: bool) -> None:
        self._channel = channel
        self.offered_at = now
        self.critical = critical
        self.sent = 0

    def marks(self, attempt: Attempt) -> Marks:
        """Nothing: no call is made yet."""
        return Marks(attempt.number - 1)

    def replied(self, attempt: Attempt) -> None:
        """The end of *attempt* is there."""
        attempt.is_gone = True
        self._channel.ended(self, attempt)
