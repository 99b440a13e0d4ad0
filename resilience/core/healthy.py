"""The straight way of a call: it arrives, is admitted, and its first attempt succeeds.

Nearly all calls go this way and no other, so it is one line of steps without a frame
for each. Whatever does not fit is handed over to `Call`, which knows every other way;
what a limit comes to is said in `allowance.py`, and repeated here for calls that ask
for nothing special.
"""

from collections.abc import Callable
from typing import Literal

from . import allowance, tally
from .binding import Binding
from .breaker import Permit, Refusal
from .command import Finish, StartAttempt, Step
from .hop import level_of
from .journal import Journal
from .named import make
from .outcome import OK, Outcome
from .record import CallEnded
from .retries import Retries
from .target import Facts, Idempotency


State = Literal["new", "running", "waiting", "queued", "failing", "finished"]
ENDED_WELL = Finish(1, OK, "ok")
"""How a call ends whose first attempt succeeded, and of which nothing is told."""
WELL = Step((ENDED_WELL,))


class Healthy:
    """What a call is made of, and how a healthy one goes. Owned by one driver."""

    # Most calls are healthy and never set these: a default costs them nothing.
    arrived_at: float = 0.0
    """When it did."""
    started_at: float = 0.0
    """When its newest attempt, or the wait after that, began."""
    deadline_at: float | None = None
    """The call's end, monotonic; None: it has none."""
    ended: CallEnded | None = None
    """The record of its end; none yet, or a clean success that no sink wants."""
    _state: State = "new"
    _number: int = 0
    _permit: Permit | None = None
    _retries: Retries | None = None
    _journal: Journal | None = None
    _first_code: str = ""
    _committed: bool = False
    _answered: bool = False
    _waited: float = 0.0
    _wake_at: float | None = None
    _timeout_s: float | None = None
    _level: float | None = None

    is_plain: bool = True
    """Has it one attempt at a time, which waits for no place?"""
    is_hedged: bool = False
    """May several of its attempts be under way at once?"""
    tells: bool = False
    """Does it tell its level to those who serve it?"""

    def __init__(
        self,
        binding: Binding,
        facts: Facts,
        call_id: str | tuple[str, int],
        rng: Callable[[], float],
    ) -> None:
        said = binding.policy.idempotency
        self._id = call_id
        self.idempotency: Idempotency = (
            facts.declared if said == "auto" else facts.idempotency(said)
        )
        self._binding = binding
        self.facts = facts
        self._rng = rng

    @property
    def id(self) -> str:
        """Unique in the fleet: process, then number. Healthy calls never spell it."""
        given = self._id
        if isinstance(given, str):
            return given
        return f"{given[0]}-{given[1]:x}"

    def begin(  # noqa: C901, PLR0912 - flat: each frame costs every call
        self, now: float
    ) -> StartAttempt | Permit | Refusal | None:
        """Arrive and start the first attempt.

        A breaker's answer instead: it is to be weighed. None: the time is over.
        """
        binding, facts = self._binding, self.facts
        self.arrived_at = self.started_at = now
        scope = binding.scope
        scope.last_used = now
        if scope.tells_until > now:
            self.tells = True
        policy, timeout_s, deadline = binding.policy, facts.timeout_s, None
        is_plain = not (facts.streams or facts.long or facts.least_s is not None)
        enforces = binding.mode == "enforce"
        if enforces:
            if is_plain:
                if timeout_s is None:
                    timeout_s = policy.timeout_s
                if timeout_s is not None:
                    deadline = now + timeout_s
                ambient = facts.deadline_at
                if ambient is not None and (deadline is None or ambient < deadline):
                    timeout_s, deadline = ambient - now, ambient
            else:
                timeout_s, deadline = allowance.of_call(policy, facts, now)
            self.deadline_at = deadline
        self._timeout_s = timeout_s
        if deadline is not None and deadline <= now:
            return None
        breaker = binding.breaker
        if breaker is not None:
            answer = breaker.admit(now, self._rng, deadline, caller=self)
            if (
                breaker.changes
                or breaker.state != "closed"
                or not isinstance(answer, Permit)
            ):
                return answer
            self._permit = answer
        if binding.budget is not None:
            binding.budget.deposit(now)
        self._number = 1
        self._state = "running"
        limit_s = None
        if enforces:
            if is_plain:
                limit_s = policy.attempt_timeout_s
                if deadline is not None and (
                    limit_s is None or deadline - now <= limit_s
                ):
                    limit_s, self._wake_at = deadline - now, deadline
                elif limit_s is not None:
                    self._wake_at = now + limit_s
            else:
                limit_s, self._wake_at = allowance.of_attempt(
                    policy, facts, deadline, now
                )
        return make(StartAttempt, (1, limit_s))

    def _arrived(self, now: float) -> None:
        """Note what `begin` does of a call that is not plain."""
        binding, facts = self._binding, self.facts
        scope = binding.scope
        self.arrived_at = self.started_at = scope.last_used = now
        self.tells = scope.tells_until > now
        self._timeout_s = facts.timeout_s
        if binding.mode == "enforce":
            self._timeout_s, self.deadline_at = allowance.of_call(
                binding.policy, facts, now
            )

    @property
    def level(self) -> float:
        """Its place among others where not all may pass, drawn once."""
        if self._level is None:
            said = self._binding.policy.criticality
            self._level = level_of(self.facts, said, self._rng)
        return self._level

    @property
    def is_marked(self) -> bool:
        """Does its next attempt belong to a probe of a layer above? Only the first."""
        return self.facts.is_probe and self._number == 0

    @property
    def is_spotless(self) -> bool:
        """Does its first attempt run, and has nothing been told of it yet?"""
        return (
            self.is_plain
            and self._number == 1
            and self._state == "running"
            and self._journal is None
            and not self._answered
        )

    def succeed(self, outcome: Outcome, now: float) -> Step | None:
        """End with the success of the first attempt, of which nothing was told yet.

        None: it is one of those that leave nothing (`WELL`).
        """
        binding, facts = self._binding, self.facts
        elapsed = outcome.elapsed_s
        if elapsed is None:
            elapsed = now - self.started_at
        tally.succeeded(binding, self._permit, facts, elapsed, now, self._rng)
        breaker, budget = binding.breaker, binding.budget
        if binding.records_successes or (breaker is not None and breaker.changes):
            return self._end_told(outcome, now)
        if budget is not None and budget.heeds_ends:
            budget.ended(None, now, ok=True)
        self._state = "finished"
        if outcome is OK:
            return None
        finish = make(Finish, (1, outcome, "ok", None))
        return make(Step, ((finish,), None, ()))

    def _end_told(self, outcome: Outcome, now: float) -> Step:
        """End with a success that somebody wants to hear of."""
        raise NotImplementedError
