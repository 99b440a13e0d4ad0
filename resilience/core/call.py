"""One logical call: every decision between its arrival and its end.

The order of the checks is written here and nowhere else. A call is owned by one driver
and never shared between threads. It reads no clock and draws no randomness of its own:
the same events, times and seed give the same steps.

A step's `wake_at` is the one timer of a call: backoff, waiting for an open breaker, or
the end of the attempt that runs.
"""

from collections.abc import Callable
from typing import Literal

from .binding import Binding
from .breaker import Breaker, Permit, Refusal
from .classify import evidence
from .command import NOTHING, CancelAttempt, Finish, Rejection, StartAttempt, Step
from .event import (
    Arrived,
    AttemptCommitted,
    AttemptDone,
    CallerGone,
    Event,
    Woke,
)
from .outcome import Outcome
from .record import AttemptEnded, CallEnded, Decided, Decision, Reason, Record
from .retries import Next, Retries
from .target import Facts, Idempotency

IMPATIENT = 2.0
"""A timeout that the caller's own budget cut below this many expected latencies says
nothing about the target."""
IMPATIENT_S = 0.05
"""Nor does one below this, whatever is expected."""

_State = Literal["new", "running", "waiting", "queued", "failing", "finished"]
_TIMED_OUT = Outcome(
    "DEADLINE_EXCEEDED", "transport", "maybe", timed_out=True, message="attempt timeout"
)
_GONE = Outcome("CANCELLED", "local", "maybe", message="cancelled by the caller")


class Call:
    """One logical call. Owned by one driver."""

    __slots__ = (
        "_arrived",
        "_binding",
        "_committed",
        "_facts",
        "_first_code",
        "_number",
        "_permit",
        "_records",
        "_retries",
        "_rng",
        "_started",
        "_state",
        "_timeout_s",
        "_waited",
        "_wake_at",
        "deadline_at",
        "ended",
        "history",
        "id",
        "idempotency",
    )

    def __init__(
        self,
        binding: Binding,
        facts: Facts,
        call_id: str,
        rng: Callable[[], float],
    ) -> None:
        policy = binding.policy
        self.id = call_id
        """Unique in the fleet: process, then number."""
        self.idempotency: Idempotency = (
            facts.declared if policy.idempotency == "auto" else policy.idempotency
        )
        self.deadline_at: float | None = None
        """The call's end, monotonic; None: it has none."""
        self.history: list[AttemptEnded] = []
        """Attempts that ended, but for a first one that succeeded."""
        self.ended: CallEnded | None = None
        """The record of its end, once there is one."""
        self._binding = binding
        self._facts = facts
        self._rng = rng
        self._state: _State = "new"
        self._number = 0
        self._permit: Permit | None = None
        self._retries: Retries | None = None
        self._first_code = ""
        self._committed = False
        self._records: list[Record] = []
        self._waited = 0.0
        self._wake_at: float | None = None

    def advance(self, event: Event, now: float) -> Step:
        """Take one event and say what follows.

        Events that come too late (an attempt that was cancelled, a stale timer) change
        nothing.

        Raises:
            RuntimeError: a call arrived twice, or something came before it arrived.
        """
        state = self._state
        if state == "new":
            if type(event) is not Arrived:
                msg = f"call {self.id}: {event!r} before Arrived"
                raise RuntimeError(msg)
            return self._arrive(now)
        match event:
            case AttemptDone():
                if state == "running" and event.number == self._number:
                    return self._attempt_done(event.outcome, event.host_wait_s, now)
            case Woke():
                return self._woke(max(event.due, now))
            case AttemptCommitted():
                if state == "running" and event.number == self._number:
                    self._committed = True
            case CallerGone():
                return self._caller_gone(now)
            case Arrived():
                msg = f"call {self.id}: arrived twice (state {state})"
                raise RuntimeError(msg)
        return NOTHING if state == "finished" else Step(wake_at=self._wake_at)

    # -- arrival -----------------------------------------------------------------

    def _arrive(self, now: float) -> Step:
        facts, binding = self._facts, self._binding
        self._arrived = self._started = now
        binding.scope.last_used = now
        if binding.mode == "enforce":
            self._set_deadline(now)
        else:
            self._timeout_s = facts.timeout_s
        if binding.budget is not None:
            binding.budget.deposit(now)
        return self._admit(now)

    def _set_deadline(self, now: float) -> None:
        facts = self._facts
        timeout_s = facts.timeout_s
        if timeout_s is None:
            timeout_s = self._stretched(self._binding.policy.timeout_s)
        self._timeout_s = timeout_s
        deadline = None if timeout_s is None else now + timeout_s
        ambient = facts.deadline_at
        if ambient is not None and (deadline is None or ambient < deadline):
            deadline = ambient
            self._timeout_s = ambient - now
        self.deadline_at = deadline

    def _stretched(self, timeout_s: float | None) -> float | None:
        """A policy's timeout, never shorter than what the request itself asks for."""
        facts = self._facts
        if timeout_s is None or (facts.long and facts.least_s is None):
            return None
        return timeout_s if facts.least_s is None else max(timeout_s, facts.least_s)

    # -- admission ---------------------------------------------------------------

    def _admit(self, now: float) -> Step:
        """Time left? -> breaker -> start: for first attempts and for repeats alike."""
        if self.deadline_at is not None and self.deadline_at <= now:
            return self._refuse("deadline", "the deadline has passed", None, now)
        binding = self._binding
        breaker = binding.breaker
        if breaker is not None:
            answer = breaker.admit(now, self._rng, self.deadline_at)
            if breaker.changes:
                self._records += breaker.drain()
            if isinstance(answer, Refusal):
                if binding.breaker_acts and binding.mode == "enforce":
                    return self._breaker_refused(breaker, answer, now)
                self._note("breaker", "reject", "breaker-open", answer.message, 0.0, now)
            else:
                self._permit = answer
        return self._start(now)

    def _breaker_refused(self, breaker: Breaker, answer: Refusal, now: float) -> Step:
        retry_at = answer.retry_at
        if breaker.policy.when_open == "wait" and retry_at is not None:
            limit = self._arrived + breaker.policy.max_open_for_s
            if self.deadline_at is not None:
                limit = self.deadline_at
            if retry_at < limit:
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
        target, policy = self._binding.target, self._binding.policy
        scope = self._binding.scope.key
        text = f"{target.full_method}: {message}; nothing was sent"
        if retry_after is not None:
            text += f"; next admission in {retry_after:.2g}s"
        if policy.owner:
            text += f"; owner {policy.owner}"
        code = "DEADLINE_EXCEEDED" if reason == "deadline" else "UNAVAILABLE"
        outcome = Outcome(code, "local", "no", message=text)
        rejection = Rejection(reason, scope, text, retry_after)
        return self._finish(outcome, reason, now, rejection)

    def _start(self, now: float) -> Step:
        self._number += 1
        self._waited += now - self._started
        self._started = now
        self._state = "running"
        timeout_s = None
        if self._binding.mode == "enforce":
            timeout_s = self._stretched(self._binding.policy.attempt_timeout_s)
            if self.deadline_at is not None:
                left = self.deadline_at - now
                timeout_s = left if timeout_s is None else min(timeout_s, left)
        self._wake_at = None if timeout_s is None else now + timeout_s
        return self._step((StartAttempt(self._number, timeout_s),), self._wake_at)

    # -- an attempt ended --------------------------------------------------------

    def _attempt_done(
        self, outcome: Outcome, host_wait_s: float | None, now: float
    ) -> Step:
        elapsed = outcome.elapsed_s
        if elapsed is None:
            elapsed = now - self._started
        self._started = now
        self._settle(outcome, elapsed, now)
        if not self._first_code:
            self._first_code = outcome.code
        if outcome.kind == "ok":
            self._binding.scope.latency.sample(elapsed)
            if self._number > 1:
                self._log(outcome, elapsed, "return", "ok", 0.0, now)
            return self._finish(outcome, "ok", now)
        return self._failed(outcome, elapsed, host_wait_s, now)

    def _failed(
        self, outcome: Outcome, elapsed: float, host_wait_s: float | None, now: float
    ) -> Step:
        binding, retries = self._binding, self._retries
        if retries is None:
            retries = Retries(binding, self._facts, self.idempotency, self._rng)
            self._retries = retries
        after = Next("committed")
        if not self._committed:
            after = retries.after(
                outcome, host_wait_s, self._number, self.deadline_at, now
            )
        reason, wait, would_deny = after
        if would_deny:
            self._note("retry_budget", "fail", "retry-budget", "", 0.0, now)
        if binding.mode != "enforce":
            return self._observed(outcome, elapsed, after, host_wait_s, now)
        if wait is None:
            self._log(outcome, elapsed, "fail", reason, 0.0, now)
            retry = binding.policy.retry
            if reason == "retry-budget" and self._facts.wait_before_failing and retry:
                wait = retries.own_wait(outcome, retry)
                return self._wait("failing", now + wait)
            return self._finish(outcome, reason, now)
        if not binding.retry_acts and host_wait_s is None:
            self._note("retry", "retry", reason, outcome.code, wait, now)
            self._log(outcome, elapsed, "fail", "not-retryable", 0.0, now)
            return self._finish(outcome, "not-retryable", now)
        self._log(outcome, elapsed, "retry", reason, wait, now)
        return self._wait("waiting", now + wait)

    def _settle(self, outcome: Outcome, elapsed: float, now: float) -> None:
        """Give the permit back and tell the budget, before anything is decided."""
        binding = self._binding
        if binding.budget is not None and outcome.kind != "ok":
            retry = binding.policy.retry
            listed = retry is not None and outcome.code in retry.retry_on
            counts = listed or outcome.kind in {"transport", "overload"}
            binding.budget.failed(now, counts=counts)
        permit, self._permit = self._permit, None
        breaker = binding.breaker
        if breaker is None or permit is None:
            return
        shown = evidence(outcome)
        if outcome.timed_out and shown == "failure" and self._is_impatient(elapsed):
            shown = "neutral"
        hint = outcome.pushback_s
        breaker.done(
            permit, shown, elapsed, now, self._rng, hint, long=self._facts.long
        )
        if breaker.changes:
            self._records += breaker.drain()

    def _is_impatient(self, elapsed: float) -> bool:
        """Did the caller's own budget, not the policy, make the attempt this short?"""
        policy_s = self._binding.policy.attempt_timeout_s
        if policy_s is not None and elapsed >= policy_s:
            return False
        expected = self._binding.scope.latency.expected_s
        return elapsed < max(IMPATIENT * expected, IMPATIENT_S)

    def _observed(
        self,
        outcome: Outcome,
        elapsed: float,
        after: Next,
        host_wait_s: float | None,
        now: float,
    ) -> Step:
        """Mode observe: the native behaviour goes on; ours is only written down."""
        decision: Decision = "fail" if after.wait_s is None else "retry"
        wait = after.wait_s or 0.0
        self._note("retry", decision, after.reason, outcome.code, wait, now)
        if host_wait_s is None:
            self._log(outcome, elapsed, "return", "native", 0.0, now)
            return self._finish(outcome, "native", now)
        self._log(outcome, elapsed, "retry", "native", host_wait_s, now)
        return self._wait("waiting", now + host_wait_s)

    # -- waiting -----------------------------------------------------------------

    def _wait(self, state: _State, until: float) -> Step:
        self._state = state
        self._wake_at = until
        return self._step((), until)

    def _woke(self, now: float) -> Step:
        if self._state == "finished":
            return NOTHING
        wake_at, retries = self._wake_at, self._retries
        if wake_at is None or now < wake_at:
            return Step(wake_at=wake_at)
        if self._state == "running":
            number, reason = self._number, self._timeout_reason(now)
            step = self._attempt_done(_TIMED_OUT, None, now)
            cancel = CancelAttempt(number, reason)
            return step._replace(commands=(cancel, *step.commands))
        if self._state == "waiting" and retries is not None:
            return self._repeat(retries, now)
        if self._state == "failing" and retries is not None and retries.last:
            return self._finish(retries.last, "retry-budget", now)
        return self._admit(now)

    def _timeout_reason(self, now: float) -> Reason:
        deadline = self.deadline_at
        return "deadline" if deadline is not None and deadline <= now else "attempt-timeout"

    def _repeat(self, retries: Retries, now: float) -> Step:
        """A repeat is due: time left? -> retry budget -> breaker -> start."""
        if self.deadline_at is not None and self.deadline_at <= now:
            return self._refuse("deadline", "", None, now)
        if not retries.pay(now):
            return self._refuse("retry-budget", "", None, now)
        return self._admit(now)

    # -- the end -----------------------------------------------------------------

    def _caller_gone(self, now: float) -> Step:
        if self._state == "finished":
            return NOTHING
        if self._state != "running":
            retries, last = self._retries, None
            if retries is not None:
                retries.give_back(now)
                last = retries.last
            return self._finish(last or _GONE, "cancelled", now)
        elapsed = now - self._started
        self._settle(_GONE, elapsed, now)
        self._started = now
        self._log(_GONE, elapsed, "fail", "cancelled", 0.0, now)
        step = self._finish(_GONE, "cancelled", now)
        cancel = CancelAttempt(self._number, "cancelled")
        return step._replace(commands=(cancel, *step.commands))

    def _finish(
        self,
        outcome: Outcome,
        reason: Reason,
        now: float,
        rejection: Rejection | None = None,
    ) -> Step:
        binding, retries = self._binding, self._retries
        ok = outcome.kind == "ok"
        if binding.budget is not None:
            cost = None if retries is None else retries.cost
            binding.budget.ended(cost, now, ok=ok)
        self._state = "finished"
        self._waited += now - self._started
        self.ended = CallEnded(
            self.id,
            binding.target,
            outcome,
            reason,
            self._number,
            0 if retries is None else retries.free,
            self._first_code or outcome.code,
            now - self._arrived,
            self._waited,
            not ok and self._is_ambiguous(),
            binding.mode,
            self.idempotency,
            self._timeout_s,
            now,
        )
        self._records.append(self.ended)
        return self._step((Finish(self._number, outcome, reason, rejection),), None)

    def _is_ambiguous(self) -> bool:
        return any(ended.outcome.reached == "maybe" for ended in self.history)

    # -- records -----------------------------------------------------------------

    def _log(
        self,
        outcome: Outcome,
        elapsed: float,
        decision: Decision,
        reason: Reason,
        wait: float,
        now: float,
    ) -> None:
        left = None if self.deadline_at is None else self.deadline_at - now
        ended = AttemptEnded(
            self.id,
            self._binding.target,
            self._number,
            outcome,
            elapsed,
            decision,
            reason,
            wait,
            left,
            self._binding.mode,
            now,
        )
        self.history.append(ended)
        self._records.append(ended)

    def _note(
        self,
        mechanism: str,
        decision: Decision,
        reason: Reason,
        message: str,
        wait: float,
        now: float,
    ) -> None:
        target = self._binding.target
        self._records.append(
            Decided(self.id, target, mechanism, decision, reason, message, wait, now)
        )

    def _step(
        self,
        commands: tuple[StartAttempt | CancelAttempt | Finish, ...],
        wake_at: float | None,
    ) -> Step:
        records = self._records
        if records:
            self._records = []
            return Step(commands, wake_at, tuple(records))
        return Step(commands, wake_at)
