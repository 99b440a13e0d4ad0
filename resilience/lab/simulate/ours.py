"""Our side of a run: the real engine, one per simulated process, driven by moments.

Everything that is decided is decided by `resilience.core`; here events become calls of
`advance`, and commands become requests and timers.
"""

from collections.abc import Callable, Hashable

from resilience.core.call import Call
from resilience.core.command import CancelAttempt, Finish, StartAttempt, Step
from resilience.core.event import ARRIVED, AttemptDone, CallerGone, Woke
from resilience.core.hop import Marks, marks_of, word_above
from resilience.core.outcome import OK as ANSWERED
from resilience.core.outcome import Outcome
from resilience.core.target import Facts, Target
from resilience.core.ticks import Rows
from resilience.engine import PolicyEngine
from resilience.inbound import less_reserve
from resilience.policy import PolicyTable

from .clients import Ends, Upstream
from .model import Calls
from .servers import (
    ERROR,
    FAILED,
    GIVEN_UP,
    OK,
    OVERLOADED,
    REFUSED,
    SHED,
    Attempt,
)
from .timeline import INFINITY, Moment, Timeline


OUTCOMES = {
    OK: ANSWERED,
    REFUSED: Outcome("UNAVAILABLE", "transport", "no", message="connection refused"),
    OVERLOADED: Outcome("RESOURCE_EXHAUSTED", "overload", "no", throttled=True),
    ERROR: Outcome("InternalError", "transport", "maybe"),
    FAILED: Outcome("UNAVAILABLE", "transport", "maybe", message="broken off"),
    GIVEN_UP: Outcome("UNAVAILABLE", "transport", "maybe", pushback_s=-1.0),
    SHED: Outcome("UNAVAILABLE", "local", "maybe", message="shed below", shed=True),
}
"""What an adapter would make of each end."""


class Wake(Moment):
    """The one timer of a call is due."""

    __slots__ = ("due", "flight")

    due: float
    flight: "Flight"


class Flight:
    """One call under way, as a driver sees it."""

    __slots__ = (
        "above",
        "attempts",
        "call",
        "client",
        "critical",
        "offered_at",
        "replica",
        "sent",
        "shard",
        "wake_at",
    )

    def __init__(
        self,
        client: "OurClient",
        call: Call,
        shard: int,
        now: float,
        *,
        critical: bool,
        above: Attempt | None,
    ) -> None:
        self.client = client
        self.call = call
        self.shard = shard
        self.offered_at = now
        self.critical = critical
        self.above = above
        self.attempts: list[Attempt] = []
        self.sent = 0
        self.replica = -1
        self.wake_at = -1.0
        """The moment for which a timer is set; infinity: the call is over."""

    def follow(self, step: Step, now: float) -> None:
        """Do what the engine says."""
        known = -1.0
        client = self.client
        for command in step.commands:
            if type(command) is StartAttempt:
                ends_at = _end_below(command.timeout_s, now)
                attempt = Attempt(self, command.number, ends_at)
                self.attempts.append(attempt)
                self.sent += 1
                known = client.upstreams[self.shard].send(attempt, now)
            elif type(command) is CancelAttempt:
                for attempt in self.attempts:
                    if attempt.number == command.number:
                        attempt.is_gone = True
            elif type(command) is Finish:
                self.wake_at = INFINITY
                for attempt in self.attempts:
                    attempt.is_gone = True
                # No cycle is left behind: the collector sleeps during a run.
                self.attempts.clear()
                client.ends.end(
                    self.above,
                    self.offered_at,
                    now,
                    critical=self.critical,
                    good=command.outcome.kind == "ok",
                    sent=self.sent,
                    word=word_above(command.reason, sent=self.sent),
                    shard=self.shard,
                )
                return
        self._arm(step.wake_at, known)

    def _arm(self, wake_at: float | None, known: float) -> None:
        """Have the call look at *wake_at*, or before that if it is woken."""
        # A reply that is known to come first needs no timer: most calls have none.
        if wake_at is None or wake_at == self.wake_at or 0 <= known <= wake_at:
            return
        self._wake(wake_at)
        waiter = self.call.waiter
        if waiter is not None:  # it has its place, or will have none: look at once
            waiter.watch(lambda: self._wake(self.client.timeline.seconds()))

    def _wake(self, due: float) -> None:
        """Have the call look at *due*, and not at the moment before that."""
        self.wake_at = due
        wake = Wake()
        wake.flight = self
        wake.due = due
        self.client.timeline.at(due, wake, WOKEN)

    @property
    def deadline_at(self) -> float | None:
        """The call's end; None: it has none."""
        return self.call.deadline_at

    @property
    def key(self) -> Hashable:
        """The key of the job that it is for, as `idempotency_key` hands it down."""
        if self.above is None or self.call.idempotency != "keyed":
            return None
        return self.above.flight.key

    @property
    def is_for_nobody(self) -> bool:
        """Is no attempt under way, and has the layer above given up?

        As a blocking call on a server: what is under way ends, and nothing follows.
        """
        if self.above is None or not self.above.is_gone:
            return False
        return all(attempt.is_gone for attempt in self.attempts)

    def die(self) -> None:
        """Its process was killed: nothing more is sent, and nobody told."""
        self.wake_at = INFINITY
        for attempt in self.attempts:
            attempt.is_gone = True
        self.attempts.clear()

    def marks(self, attempt: Attempt) -> Marks:
        """What *attempt* carries for those who serve it."""
        return marks_of(self.call, attempt.number, "critical")

    def replied(self, attempt: Attempt) -> None:
        """The end of an attempt is there."""
        attempt.is_gone = True
        now = self.client.timeline.seconds()
        done = AttemptDone(attempt.number, OUTCOMES[attempt.code])
        self.follow(self.call.advance(done, now), now)


def _end_below(timeout_s: float | None, now: float) -> float | None:
    """The deadline of calls that are made to answer an attempt."""
    return None if timeout_s is None else now + less_reserve(timeout_s)


def _woken(wake: Wake) -> None:
    flight = wake.flight
    if flight.wake_at != wake.due:
        return  # another moment has replaced it, or the call is over
    flight.wake_at = -1.0
    now = flight.client.timeline.seconds()
    event = CallerGone() if flight.is_for_nobody else Woke(wake.due)
    flight.follow(flight.call.advance(event, now), now)


WOKEN = (_woken,)


class VirtualTime:
    """A timeline as an engine's clock; nobody may sleep on it."""

    def __init__(self, timeline: Timeline) -> None:
        self.now = timeline.seconds

    def sleep(self, seconds: float) -> None:
        """Nobody may."""
        raise NotImplementedError

    async def asleep(self, seconds: float) -> None:
        """Nobody may."""
        raise NotImplementedError


class OurClient:
    """One process with an engine."""

    def __init__(  # noqa: PLR0917 - the first five are every client's
        self,
        table: PolicyTable,
        targets: list[Target],
        upstreams: list[Upstream],
        calls: Calls,
        ends: Ends,
        timeline: Timeline,
        *,
        seed: int,
        rows: Callable[[str], Rows] | None,
    ) -> None:
        self.timeline = timeline
        self.upstreams = upstreams
        self.ends = ends
        self.targets = targets
        options: dict[str, object] = {
            "sinks": (),
            "clock": VirtualTime(timeline),
            "seed": seed,
        }
        if rows is not None:
            options["rows"] = rows
        # The text is read once for a thousand engines; users have no need of that.
        engine = PolicyEngine._loaded(lambda: table, options)  # noqa: SLF001 - see above
        self.engine = engine
        self.engine.mode = None
        self._bindings = [self.engine.bind(target) for target in targets]
        self._facts = {
            critical: Facts(
                declared=calls.idempotency,
                criticality="critical" if critical else "sheddable",
                can_hedge=True,
            )
            for critical in (False, True)
        }

    def call(
        self, shard: int, now: float, *, critical: bool, above: Attempt | None
    ) -> None:
        """Begin a call."""
        engine, binding = self.engine, self._bindings[shard]
        if binding.epoch != engine.epoch:
            binding = self._bindings[shard] = engine.bind(self.targets[shard])
        facts = self._facts[critical]
        if above is not None:
            facts = self._inherited(facts, above)
        call = engine.new_call(binding, facts)
        flight = Flight(self, call, shard, now, critical=critical, above=above)
        flight.follow(call.advance(ARRIVED, now), now)

    def _inherited(self, facts: Facts, above: Attempt) -> Facts:
        """What the attempt above says of itself on the wire."""
        marks = above.flight.marks(above)
        return facts._replace(
            deadline_at=above.ends_at or above.flight.deadline_at,
            previous_attempts=marks.previous_attempts,
            level=marks.level,
            passes_level=marks.level is not None,
            is_probe=marks.is_probe,
        )
