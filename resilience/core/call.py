"""One logical call: every decision between its arrival and its end.

The order of the checks is written here and nowhere else. A call is owned by one driver
and never shared between threads. It reads no clock and draws no randomness of its own:
the same events, times and seed give the same steps.

A step's `wake_at` is the one timer of a call: backoff, waiting for an open breaker, or
the end of the attempt that runs.
"""

from collections.abc import Sequence

from . import allowance, tally
from .breaker import Breaker, Permit, Refusal
from .command import NOTHING, CancelAttempt, Finish, Rejection, StartAttempt, Step
from .event import (
    ARRIVED,
    Arrived,
    AttemptCommitted,
    AttemptDone,
    CallerGone,
    Event,
    Woke,
)
from .healthy import WELL, Healthy, State
from .journal import Journal
from .limiter_queue import Waiter
from .named import make
from .outcome import GONE, GONE_WAITING, TIMED_OUT, Outcome
from .record import AttemptEnded, CallEnded, Decision, Reason
from .rejection import refused
from .retries import Next, Retries


class Call(Healthy):
    """One logical call. Owned by one driver."""

    waiter: Waiter | None = None
    """What it waits for beside the moment `wake_at`; None: nothing."""
    _commits: tuple[tuple[float, bool], ...] = ()
    probe = 0
    """Number of the attempt that is a probe of its breaker; 0: none is."""

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
    def history(self) -> Sequence[AttemptEnded]:
        """Attempts that ended, but for a first one that succeeded."""
        return () if self._journal is None else self._journal.history

    def arrive(self, now: float) -> StartAttempt | Step:
        """Take `Arrived`; a first attempt that may start at once comes without a step.

        Raises:
            RuntimeError: it has arrived before.
        """
        if self._state != "new":
            return self.advance(ARRIVED, now)
        if not self.is_plain:
            self._arrived(now)
            return self._admit(now)
        found = self.begin(now)
        if isinstance(found, StartAttempt):
            return found
        if found is None:
            return self._refuse("deadline", "the deadline has passed", None, now)
        return self._weigh(found, now)

    def _begin(self, event: Event, now: float) -> Step:
        if type(event) is CallerGone:  # a driver was interrupted before its first step
            self._state = "finished"
            return NOTHING
        if type(event) is not Arrived:
            msg = f"call {self.id}: {event!r} before Arrived"
            raise RuntimeError(msg)
        found = self.arrive(now)
        if isinstance(found, Step):
            return found
        return make(Step, ((found,), self._wake_at, ()))

    def _admit(self, now: float) -> Step:
        """Time left? -> breaker -> start: as in `begin`, for whoever comes again."""
        deadline, retries = self.deadline_at, self._retries
        if deadline is not None and deadline <= now:
            return self._refuse("deadline", "the deadline has passed", None, now)
        if retries is not None and not retries.may_add_load:
            until = retries.queues_until(now, self.arrived_at, deadline)
            if until is not None:
                return self._wait("queued", until)
            return self._refuse("breaker-open", "", None, now)
        binding = self._binding
        if binding.breaker is None:
            return self._start(now)
        answer = binding.breaker.admit(
            now, self._rng, deadline, caller=self, repeat=retries is not None
        )
        return self._weigh(answer, now)

    def _weigh(self, answer: Permit | Refusal, now: float) -> Step:
        """Start, or not, as the breaker has answered."""
        binding = self._binding
        breaker = binding.breaker
        self._collect(breaker)
        if isinstance(answer, Permit):
            self._permit = answer
            if breaker is not None and breaker.state != "closed":
                self._limited(breaker, answer)
        elif breaker is not None and binding.breaker_acts:
            return self._breaker_refused(breaker, answer, now)
        else:
            self.written.decided(
                "breaker", "reject", "breaker-open", now, message=answer.message
            )
        return self._start(now)

    def _limited(self, breaker: Breaker, permit: Permit) -> None:
        """Who passes a breaker that limits says so to those who serve it."""
        if not self._binding.breaker_acts:
            return
        if breaker.policy.kind == "adaptive":
            self.tells = True
        if permit.probe:
            self.probe = self._number + 1

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
        if outcome.kind == "ok" and self.is_spotless:
            return self.succeed(outcome, now) or WELL
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
        is_first_answer = event.answered and not self._answered
        if is_first_answer or not self._committed:
            self._commits += ((now, event.answered),)
        self._committed = True
        if is_first_answer:
            # A stream may last for hours: its probe is given back at its first sign of
            # health. The permit is kept, for a stream that breaks later is a failure.
            self._answered = True
            self._wake_at = None
            self._succeeded(now - self.started_at, now)

    def _succeeded(self, elapsed: float, now: float) -> None:
        binding = self._binding
        tally.succeeded(binding, self._permit, self.facts, elapsed, now, self._rng)
        self._collect(binding.breaker)

    def _end_told(self, outcome: Outcome, now: float) -> Step:
        self.started_at = now
        self._collect(self._binding.breaker)
        return self._finish(outcome, "ok", now)

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

    def _wait(self, state: State, until: float) -> Step:
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
                self.facts,
                getattr(self._rng, "taken", ()),
                self._commits,
            ),
        )
        if journal is None:
            return make(Step, (finish, None, (ended,)))
        return Step(finish, None, (*journal.take(), ended))

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
            limit_at=self._wake_at,
        )
