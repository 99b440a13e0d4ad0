"""One logical call: every decision between its arrival and its end.

The order of the checks is written here and nowhere else. A call is owned by one driver
and never shared between threads. It reads no clock and draws no randomness of its own:
the same events, times and seed give the same steps.

A step's `wake_at` is the one timer of a call: backoff, waiting for an open breaker, or
the end of the attempt that runs.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from . import allowance, tally
from .binding import Binding
from .breaker import Breaker, Permit, Refusal
from .command import NOTHING, CancelAttempt, Finish, Rejection, StartAttempt, Step
from .event import Arrived, AttemptCommitted, AttemptDone, CallerGone, Event, Woke
from .journal import Journal
from .levels import draw
from .named import make
from .outcome import GONE, GONE_WAITING, TIMED_OUT, Outcome
from .record import AttemptEnded, CallEnded, Decision, Reason
from .rejection import refused
from .retries import Next, Retries
from .target import Facts, Idempotency


_State = Literal["new", "running", "waiting", "queued", "failing", "finished"]


class Call:
    """One logical call. Owned by one driver."""

    # Most calls are healthy and never set these: a default costs them nothing.
    arrived_at = started_at = 0.0
    """When it did, and when its newest attempt, or the wait after that, began."""
    deadline_at: float | None = None
    """The call's end, monotonic; None: it has none."""
    is_hedged = False
    """May several of its attempts be under way at once?"""
    ended: CallEnded | None = None
    """The record of its end; none yet, or a clean success that no sink wants."""
    _state: _State = "new"
    _number = 0
    _permit: Permit | None = None
    _retries: Retries | None = None
    _journal: Journal | None = None
    _first_code = ""
    _committed = False
    _answered = False
    _waited = 0.0
    _wake_at: float | None = None
    _timeout_s: float | None = None
    _level: float | None = None

    def __init__(
        self,
        binding: Binding,
        facts: Facts,
        call_id: str | tuple[str, int],
        rng: Callable[[], float],
    ) -> None:
        policy = binding.policy
        self._id = call_id
        self.idempotency: Idempotency = facts.idempotency(policy.idempotency)
        self._binding = binding
        self.facts = facts
        self._rng = rng

    def advance(self, event: Event, now: float) -> Step:
        """Take one event and say what follows.

        Events that come too late (an attempt that was cancelled, a stale timer) change
        nothing.

        Raises:
            RuntimeError: a call arrived twice, or something came before it arrived.
        """
        state = self._state
        if state == "new":
            return self._begin(event, now)
        match event:
            case AttemptDone():
                if state == "running" and event.number == self._number:
                    return self._attempt_done(event.outcome, event.host_wait_s, now)
            case Woke():
                return self._woke(max(event.due, now))
            case AttemptCommitted():
                if state == "running" and event.number == self._number:
                    self._commit(event, now)
            case CallerGone():
                return self._caller_gone(now)
            case Arrived():
                msg = f"call {self.id}: arrived twice (state {state})"
                raise RuntimeError(msg)
        return NOTHING if state == "finished" else Step(wake_at=self._wake_at)

    @property
    def id(self) -> str:
        """Unique in the fleet: process, then number. Healthy calls never spell it."""
        given = self._id
        if isinstance(given, str):
            return given
        return f"{given[0]}-{given[1]:x}"

    @property
    def history(self) -> Sequence[AttemptEnded]:
        """Attempts that ended, but for a first one that succeeded."""
        return () if self._journal is None else self._journal.history

    def _begin(self, event: Event, now: float) -> Step:
        if type(event) is CallerGone:  # a driver was interrupted before its first step
            self._state = "finished"
            return NOTHING
        if type(event) is not Arrived:
            msg = f"call {self.id}: {event!r} before Arrived"
            raise RuntimeError(msg)
        binding = self._binding
        self.arrived_at = self.started_at = now
        binding.scope.last_used = now
        if binding.mode == "enforce":
            self._timeout_s, self.deadline_at = allowance.of_call(
                binding.policy, self.facts, now
            )
        else:
            self._timeout_s = self.facts.timeout_s
        return self._admit(now)

    def _admit(self, now: float) -> Step:
        """Time left? -> breaker -> start: for first attempts and for repeats alike."""
        deadline, retries = self.deadline_at, self._retries
        if deadline is not None and deadline <= now:
            return self._refuse("deadline", "the deadline has passed", None, now)
        if retries is not None and not retries.may_add_load:
            return self._refuse("breaker-open", "", None, now)
        binding = self._binding
        breaker = binding.breaker
        if breaker is not None:
            answer = breaker.admit(
                now,
                self._rng,
                deadline,
                caller=self,
                repeat=retries is not None,
            )
            if breaker.changes:
                self._collect(breaker)
            if isinstance(answer, Refusal):
                if binding.breaker_acts:
                    return self._breaker_refused(breaker, answer, now)
                self.written.decided(
                    "breaker", "reject", "breaker-open", now, message=answer.message
                )
            else:
                self._permit = answer
        return self._start(now)

    def _breaker_refused(self, breaker: Breaker, answer: Refusal, now: float) -> Step:
        retry_at, policy = answer.retry_at, breaker.policy
        limit = allowance.of_queue(policy, self.arrived_at, self.deadline_at)
        if retry_at is not None and retry_at < limit:
            return self._wait("queued", retry_at)
        retry_after = None if retry_at is None else max(0.0, retry_at - now)
        return self._refuse("breaker-open", answer.message, retry_after, now)

    def _refuse(
        self, reason: Reason, message: str, retry_after: float | None, now: float
    ) -> Step:
        """No attempt may start: hand back the last real outcome, or reject unsent."""
        retries = self._retries
        if retries is not None and retries.last is not None:
            retries.give_back(now)
            return self._finish(retries.last, reason, now)
        outcome, rejection = refused(self._binding, reason, message, retry_after)
        return self._finish(outcome, reason, now, rejection)

    def _start(self, now: float) -> Step:
        binding = self._binding
        if self._retries is not None:
            self._retries.started()
        elif binding.budget is not None:
            binding.budget.deposit(now)
        self._number += 1
        self._waited += now - self.started_at
        self.started_at = now
        self._state = "running"
        timeout_s = self._wake_at = None
        if binding.mode == "enforce":
            timeout_s, self._wake_at = allowance.of_attempt(
                binding.policy, self.facts, self.deadline_at, now
            )
        start = (make(StartAttempt, (self._number, timeout_s)),)
        records = () if self._journal is None else self._journal.take()
        return make(Step, (start, self._wake_at, records))

    def _attempt_done(
        self, outcome: Outcome, host_wait_s: float | None, now: float
    ) -> Step:
        elapsed = outcome.elapsed_s
        if elapsed is None:
            elapsed = now - self.started_at
        self.started_at = now
        if outcome.kind != "ok":
            self._settle(outcome, elapsed, now)
            return self._failed(outcome, elapsed, host_wait_s, now)
        if not self._answered:
            self._succeeded(elapsed, now)
        if self._number > 1:
            self._log(outcome, elapsed, "return", Next("ok"), now)
        return self._finish(outcome, "ok", now)

    def _commit(self, event: AttemptCommitted, now: float) -> None:
        self._committed = True
        if event.answered and not self._answered:
            # A stream may last for hours: its probe is given back at its first sign of
            # health. The permit is kept, for a stream that breaks later is a failure.
            self._answered = True
            self._wake_at = None
            self._succeeded(now - self.started_at, now)

    def _succeeded(self, elapsed: float, now: float) -> None:
        binding = self._binding
        tally.succeeded(binding, self._permit, self.facts, elapsed, now, self._rng)
        if binding.breaker is not None and binding.breaker.changes:
            self._collect(binding.breaker)

    def _failed(
        self, outcome: Outcome, elapsed: float, host_wait_s: float | None, now: float
    ) -> Step:
        binding, retries = self._binding, self._retries
        if not self._first_code:
            self._first_code = outcome.code
        if retries is None:
            retries = Retries(binding, self.facts, self.idempotency, self._rng)
            self._retries = retries
        after = Next("committed")
        if not self._committed:
            after = retries.after(
                outcome, host_wait_s, self._number, self.deadline_at, now
            )
        if after.budget_would_deny:
            self.written.decided("retry_budget", "fail", "retry-budget", now)
        reason, wait = after.reason, after.wait_s
        if binding.mode == "enforce" and not self.facts.host_decides:
            host_wait_s = None
        if not binding.retry_acts and host_wait_s is None:
            return self._observed(outcome, elapsed, after, now)
        if binding.mode != "enforce":
            self.written.would(outcome, after, now)
            reason, wait = "native", host_wait_s
        if wait is not None:
            self._log(outcome, elapsed, "retry", Next(reason, wait), now)
            return self._wait("waiting", now + wait)
        self._log(outcome, elapsed, "fail", after, now)
        if after.hold_s > 0:
            return self._wait("failing", now + after.hold_s)
        return self._finish(outcome, reason, now)

    def _observed(
        self, outcome: Outcome, elapsed: float, after: Next, now: float
    ) -> Step:
        """Nothing is repeated by us; what we would have done is written down."""
        native = self._binding.mode != "enforce"
        if native or after.wait_s is not None:
            self.written.would(outcome, after, now)
            after = Next("native" if native else "not-retryable")
        self._log(outcome, elapsed, "return" if native else "fail", after, now)
        return self._finish(outcome, after.reason, now)

    def _settle(self, outcome: Outcome, elapsed: float, now: float) -> None:
        binding, facts = self._binding, self.facts
        permit, self._permit = self._permit, None
        tally.failed(binding, permit, facts, outcome, elapsed, now=now, rng=self._rng)
        self._collect(binding.breaker)

    def _collect(self, breaker: Breaker | None) -> None:
        if breaker is not None and breaker.changes:
            self.written.add(breaker.drain())

    def _wait(self, state: _State, until: float) -> Step:
        self._state = state
        self._wake_at = until
        return Step((), until, self.written.take())

    def _woke(self, now: float) -> Step:
        if self._state == "finished":
            return NOTHING
        wake_at, retries = self._wake_at, self._retries
        if wake_at is None or now < wake_at:
            return Step(wake_at=wake_at)
        if self._state == "running":
            # Which of the two ended it is settled here, in either order of events.
            is_over = allowance.has_run_out(TIMED_OUT, self.deadline_at, now)
            reason: Reason = "deadline" if is_over else "attempt-timeout"
            cancel = CancelAttempt(self._number, reason)
            step = self._attempt_done(TIMED_OUT, None, now)
            return step._replace(commands=(cancel, *step.commands))
        if self._state == "failing" and retries is not None and retries.last:
            return self._finish(retries.last, "retry-budget", now)
        return self._admit(now) if retries is None else self._repeat(retries, now)

    def _repeat(self, retries: Retries, now: float) -> Step:
        """A repeat is due: time left? -> retry budget -> breaker -> start."""
        if not retries.fits(0.0, self.deadline_at, now):
            return self._refuse("deadline", "", None, now)
        if self._state == "waiting" and not retries.pay(now):
            return self._refuse("retry-budget", "", None, now)
        return self._admit(now)

    def _caller_gone(self, now: float) -> Step:
        if self._state == "finished":
            return NOTHING
        if self._state != "running":
            if self._retries is not None:
                self._retries.give_back(now)
            return self._finish(GONE_WAITING, "cancelled", now)
        elapsed, self.started_at = now - self.started_at, now
        self._settle(GONE, elapsed, now)
        self._log(GONE, elapsed, "fail", Next("cancelled"), now)
        cancel = CancelAttempt(self._number, "cancelled")
        step = self._finish(GONE, "cancelled", now)
        return step._replace(commands=(cancel, *step.commands))

    def _finish(
        self,
        outcome: Outcome,
        reason: Reason,
        now: float,
        rejection: Rejection | None = None,
    ) -> Step:
        binding, retries, journal = self._binding, self._retries, self._journal
        ok = outcome.kind == "ok"
        budget = binding.budget
        if budget is not None and budget.heeds_ends:
            budget.ended(None if retries is None else retries.cost, now, ok=ok)
        self._state = "finished"
        self._waited += now - self.started_at
        finish = (make(Finish, (self._number, outcome, reason, rejection)),)
        if ok and journal is None and not binding.records_successes:
            return make(Step, (finish, None, ()))
        self.ended = ended = make(
            CallEnded,
            (
                self.id,
                binding.target,
                outcome,
                reason,
                self._number,
                0 if retries is None else retries.free,
                self._first_code or outcome.code,
                now - self.arrived_at,
                self._waited,
                not ok and journal is not None and journal.is_ambiguous,
                binding.mode,
                self.idempotency,
                self._timeout_s,
                now,
                allowance.origin_of(self.facts, self._timeout_s, self.deadline_at),
                0,
            ),
        )
        if journal is None:
            return make(Step, (finish, None, (ended,)))
        return Step(finish, None, (*journal.take(), ended))

    @property
    def level(self) -> float:
        """Its place among others where not all may pass, drawn once."""
        if self._level is None:
            said = self.facts.criticality or self._binding.policy.criticality
            self._level = draw(said, self._rng)
        return self._level

    @property
    def written(self) -> Journal:
        """What it writes down; once asked for, a clean success leaves its record."""
        journal = self._journal
        if journal is None:
            target, mode = self._binding.target, self._binding.mode
            journal = self._journal = Journal(self.id, target, mode)
        return journal

    def _log(
        self, outcome: Outcome, elapsed: float, decision: Decision, to: Next, now: float
    ) -> None:
        """Write down that the attempt ended, and what it led *to*."""
        self.written.attempt(
            self._number,
            outcome,
            elapsed,
            decision=decision,
            to=to,
            deadline=self.deadline_at,
            now=now,
        )
