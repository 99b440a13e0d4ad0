"""A server: workers in front of one queue, first come first served.

A client that gives up leaves its request where it is: the work is wasted. Faults act on
what is public here; nothing here knows why.
"""

import math
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Protocol

from resilience.core.hop import Marks

from .model import Server as ServerModel
from .model import Service
from .recording import PER_SECOND, Recorder
from .timeline import INFINITY, Moment, Timeline


OK = "OK"
REFUSED = "refused"
OVERLOADED = "overloaded"
ERROR = "error"
FAILED = "failed"
"""The connection broke off, or a lower layer could not be reached."""
ACCEPT_BURST_S = 0.1
"""Connections of this time are accepted at once, before the rate holds."""
GIVEN_UP = "given up"
"""The same, and it asks those above not to repeat the call."""
SHED = "shed"
"""A lower layer's client refused the call, unsent."""


class Waiting(Protocol):
    """A call that waits for an attempt's end."""

    critical: bool
    replica: int
    """Number of the replica that its newest attempt went to; -1: none yet."""

    @property
    def deadline_at(self) -> float | None:
        """The call's end; None: it has none."""
        ...

    @property
    def key(self) -> Hashable:
        """By which a server knows a write again; None: none is sent."""
        ...

    def marks(self, attempt: "Attempt") -> Marks:
        """What *attempt*, one of its own, carries for those who serve it."""
        ...

    def replied(self, attempt: "Attempt") -> None:
        """The end of *attempt* is there."""
        ...


class Attempt(Moment):
    """One request on the wire: also the event of its way through a server."""

    __slots__ = (
        "code",
        "ends_at",
        "flight",
        "generation",
        "is_answered",
        "is_gone",
        "number",
    )

    def __init__(
        self, flight: Waiting, number: int, ends_at: float | None = None
    ) -> None:
        self.flight = flight
        self.number = number
        self.is_gone = False
        """The client waits for it no more."""
        self.is_answered = False
        """Its reply came before that."""
        self.ends_at = ends_at
        """Its deadline, as those who serve it see it; None: it tells of none."""
        self.code = OK
        self.generation = 0


class Server:
    """One server. Owned by one run."""

    def __init__(
        self,
        model: ServerModel,
        timeline: Timeline,
        recorder: Recorder,
        rng: Callable[[], float],
        deliver: Callable[[Attempt], None],
    ) -> None:
        self._timeline = timeline
        self._counts = recorder.attempts
        self._draw = draw(model.service, rng)
        self._rng = rng
        self._deliver = (deliver,)
        self._ends = (self._end,)
        self._bound = INFINITY if model.queue is None else model.queue
        self._round_trip_s = model.round_trip
        self._reject_cost_s = model.reject_cost
        self._drops_expired = model.drops_expired
        self._mean_s = model.service.mean
        self._full_workers = model.workers
        self._workers = model.workers
        self._busy = 0
        self._debt_s = 0.0
        """Work owed for rejections; paid by the next request that starts."""
        self._generation = 0
        self.queue: deque[Attempt] = deque()
        """Who waits."""
        self._at_work: dict[Attempt, None] = {}
        """Who is served; kept by servers that will die."""
        self.state = "up"
        """`up`, `refuse` or `silent`."""
        self.forgets = False
        """Will it die in this run, with what it has? Then no reply is sure to come."""
        self.slowness = 1.0
        """Service takes this many times as long."""
        self.error_ratio = 0.0
        self.attempts = 0
        """Requests sent to it so far, whatever became of them."""
        self.accept_every_s = 1 / model.accepts if model.accepts else 0.0
        self._accept_from = 0.0

    def send(self, attempt: Attempt, now: float) -> float:
        """Take *attempt*; say when its reply comes, infinity where that is open."""
        self._counts[int(now * PER_SECOND)] += 1
        self.attempts += 1
        if self.state != "up":
            if self.state == "silent":
                return INFINITY
            return self._answer(attempt, REFUSED, now)
        if self.accept_every_s:
            if self._accept_from > now + ACCEPT_BURST_S:
                return self._answer(attempt, REFUSED, now)
            self._accept_from = max(now, self._accept_from) + self.accept_every_s
        if self._busy < self._workers:
            return self._start(attempt, now)
        if len(self.queue) >= self._bound:
            self._debt_s += self._reject_cost_s
            return self._answer(attempt, OVERLOADED, now)
        self.queue.append(attempt)
        return INFINITY

    def _answer(self, attempt: Attempt, code: str, now: float) -> float:
        attempt.code = code
        when = now + self._round_trip_s
        self._timeline.at(when, attempt, self._deliver)
        return when

    def _start(self, attempt: Attempt, now: float) -> float:
        self._busy += 1
        attempt.generation = self._generation
        end = now + self._draw() * self.slowness
        if self._debt_s:
            end += self._debt_s
            self._debt_s = 0.0
        self._timeline.at(end, attempt, self._ends)
        if not self.forgets:
            return end + self._round_trip_s
        self._at_work[attempt] = None
        return INFINITY

    def _end(self, attempt: Attempt) -> None:
        if attempt.generation != self._generation:
            return
        self._busy -= 1
        self._at_work.pop(attempt, None)
        timeline = self._timeline
        now = timeline.seconds()
        if not attempt.is_gone:
            if self.error_ratio and self._rng() < self.error_ratio:
                attempt.code = ERROR
            timeline.at(now + self._round_trip_s, attempt, self._deliver)
        if self.queue:
            self._serve(now)

    def _serve(self, now: float) -> None:
        queue = self.queue
        while queue and self._busy < self._workers:
            attempt = queue.popleft()
            if not (attempt.is_gone and self._drops_expired):
                self._start(attempt, now)

    # -- what faults do ----------------------------------------------------------

    def limit(self, factor: float) -> None:
        """Leave this share of the workers; those at work finish what they have."""
        self._workers = max(0, round(self._full_workers * factor))
        self._serve(self._timeline.seconds())

    def forget(self) -> None:
        """Lose everything under way, as a process that dies does."""
        self._generation += 1
        self._busy = 0
        self._at_work.clear()
        self.queue.clear()

    def crash(self) -> None:
        """Break off everything under way: its clients are told at once."""
        lost = [one for one in (*self._at_work, *self.queue) if not one.is_gone]
        self.forget()
        when = self._timeline.seconds() + self._round_trip_s
        for attempt in lost:
            # Its own moment is the end of its service, which is still to come.
            attempt.code = FAILED
            self._timeline.do_at(when, partial(self._deliver[0], attempt))

    def has_room(self, within_s: float, bound_ratio: float) -> bool:
        """Will a request that is sent now be served *within_s*? For oracles only.

        Args:
            within_s: the longest wait, at the capacity of this moment.
            bound_ratio: the share of a bounded queue that may be used.
        """
        if self.state != "up":
            return False
        waiting = len(self.queue)
        if waiting >= self._bound * bound_ratio:
            return False
        return waiting * self._mean_s * self.slowness <= within_s * self._workers


def draw(service: Service, rng: Callable[[], float]) -> Callable[[], float]:
    """A function that draws service times, in seconds."""
    mean, log = service.mean, math.log
    if service.kind == "exponential":

        def plain() -> float:
            return -log(1.0 - rng()) * mean
    elif service.kind == "lognormal":
        sigma2 = log(1 + (service.deviation / mean) ** 2)
        middle, sigma = log(mean) - sigma2 / 2, math.sqrt(sigma2)
        # Box and Muller: two uniform numbers for one normal, no state kept.
        turn, root, cos, exp = 2 * math.pi, math.sqrt, math.cos, math.exp

        def plain() -> float:
            normal = root(-2 * log(1.0 - rng())) * cos(turn * rng())
            return exp(middle + sigma * normal)
    else:

        def plain() -> float:
            return mean

    if not service.straggler_ratio:
        return plain
    ratio, factor = service.straggler_ratio, service.straggler_factor
    return lambda: plain() * (factor if rng() < ratio else 1.0)
