"""A call with several attempts under way: the rules of gRFC A6, and which call hedges.

A late attempt gets a rival, and so does a failed one at once; the first success wins,
a fatal status ends the call, and whoever is left is cancelled without a word to breaker
or limiter. When every attempt has failed the ordinary retry rules decide, with hedges
counted as attempts. Calls that do not hedge are plain `Call`s and pay nothing.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

from . import allowance
from .binding import Binding
from .breaker import Breaker, Permit, Refusal
from .call import Call
from .classify import verdict
from .command import CancelAttempt, Command, Finish, Rejection, StartAttempt, Step
from .event import Arrived, AttemptCommitted, AttemptDone, CallerGone, Event, Woke
from .hedging import Hedging
from .named import make
from .observed import ObservedCall
from .outcome import GONE, GONE_WAITING, SUPERSEDED, TIMED_OUT, Outcome
from .record import Decision, Reason, Record
from .retries import Next, Retries
from .target import Facts


HARMLESS = frozenset({"safe", "keyed"})
"""Idempotency that may be sent twice on purpose."""

CALM = frozenset({"closed", "disabled", "shadow"})
"""States of a breaker in which hedges may add load."""


def hedges(binding: Binding, facts: Facts) -> bool:
    """May a call with *facts* have several attempts under way at once?"""
    if not (binding.hedging_acts and facts.can_hedge):
        return False
    return facts.idempotency(binding.policy.idempotency) in HARMLESS


def new_call(
    binding: Binding,
    facts: Facts,
    call_id: str | tuple[str, int],
    rng: Callable[[], float],
) -> Call:
    """The call of a binding whose policy hedges: hedged, observed, or plain."""
    hedging = binding.hedging
    if hedging is None or not facts.can_hedge:
        return Call(binding, facts, call_id, rng)
    kind = HedgedCall if binding.hedging_acts else ObservedCall
    made = kind(binding, facts, call_id, rng)
    if made.idempotency not in HARMLESS:
        return Call(binding, facts, call_id, rng)
    made.hedging = hedging
    return made


class UnderWay(NamedTuple):
    """One attempt that has not ended."""

    number: int
    permit: Permit | None
    started_at: float
    end_at: float | None
    is_hedge: bool


class HedgedCall(Call):
    """One logical call with hedges. Owned by one driver."""

    is_plain = False
    is_hedged = True
    hedging: Hedging
    """What calls of its method share; set by who makes the call."""
    _due = 0
    """Hedges that were due so far, sent or skipped."""
    _hedges = 0
    _hedge_at: float | None = None
    _shown = 0
    """The attempt whose end was the newest: it is the call's, if none follows."""

    _under_way: dict[int, UnderWay]

    def advance(self, event: Event, now: float) -> Step:
        """Take one event and say what follows; as a plain call in all else."""
        if self._state != "running":
            return super().advance(event, now)
        match event:
            case AttemptDone():
                attempt = self._under_way.pop(event.number, None)
                if attempt is not None:
                    return self._over(attempt, event.outcome, now)
            case Woke():
                return self._look(max(event.due, now))
            case CallerGone():
                return self._gone(now)
            case Arrived():
                return super().advance(event, now)
            case AttemptCommitted():
                pass  # an answer of one message takes nothing back before its end
        return Step(wake_at=self._next_moment())

    @property
    def is_under_way(self) -> bool:
        """Is there an attempt that will end by itself?"""
        return self._state == "running" and bool(self._under_way)

    # -- attempts begin ----------------------------------------------------------

    def _start(self, now: float) -> Step:
        """The first attempt, or an ordinary repeat: nothing else is under way."""
        binding, retries = self._binding, self._retries
        if retries is not None:
            retries.started()
        elif binding.budget is not None:
            binding.budget.deposit(now)
        self._waited += now - self.started_at
        self._state = "running"
        self._under_way = {}
        permit, self._permit = self._permit, None
        start = self._launch(permit, now, is_hedge=False)
        self._plan(now)
        records = () if self._journal is None else self._journal.take()
        return make(Step, ((start,), self._next_moment(), records))

    def _launch(
        self, permit: Permit | None, now: float, *, is_hedge: bool
    ) -> StartAttempt:
        self._number = number = self._number + 1
        self.started_at = now
        timeout_s, end_at = allowance.of_attempt(
            self._binding.policy, self.facts, self.deadline_at, now
        )
        attempt = make(UnderWay, (number, permit, now, end_at, is_hedge))
        self._under_way[number] = attempt
        return make(StartAttempt, (number, timeout_s))

    def _plan(self, now: float) -> None:
        """The next hedge is due one delay after the newest attempt (A6)."""
        self._hedge_at = None
        if self._due < self.hedging.policy.max_hedges:
            delay_s = self.hedging.delay_s(now)
            if delay_s is not None:
                self._hedge_at = now + delay_s

    def _stop(self) -> None:
        """No more hedges in this call."""
        self._due = self.hedging.policy.max_hedges
        self._hedge_at = None

    def _hedge(self, now: float) -> StartAttempt | None:
        """Time left? -> budgets -> breaker -> start; None: this hedge is skipped."""
        self._due += 1
        self._plan(now)
        binding, load = self._binding, self.hedging.extra_load
        breaker, budget = binding.breaker, binding.budget
        if not allowance.fits(
            0.0, binding.scope.latency.expected_s, self.deadline_at, now
        ):
            return None
        if breaker is not None and binding.breaker_acts and not _is_calm(breaker):
            return None
        if not load.take():
            return None
        cost = None if budget is None else budget.withdraw(TIMED_OUT, now)
        is_granted = cost is not None or not binding.budget_acts
        permit = None
        if is_granted and breaker is not None:
            answer = breaker.admit(
                now, self._rng, self.deadline_at, caller=self, repeat=True
            )
            self._collect(breaker)
            if not isinstance(answer, Refusal):
                permit = answer
            elif binding.breaker_acts:
                is_granted = False
        if not is_granted:
            load.refund()
            if budget is not None and cost:
                budget.refund(cost, now)
            return None
        self._hedges += 1
        return self._launch(permit, now, is_hedge=True)

    # -- time passes -------------------------------------------------------------

    def _next_moment(self) -> float | None:
        moment = self._hedge_at
        for attempt in self._under_way.values():
            end_at = attempt.end_at
            if end_at is not None and (moment is None or end_at < moment):
                moment = end_at
        self._wake_at = moment
        return moment

    def _look(self, now: float) -> Step:
        for attempt in self._under_way.values():
            if attempt.end_at is not None and attempt.end_at <= now:
                return self._timed_out(attempt, now)
        if self._hedge_at is not None and self._hedge_at <= now:
            start = self._hedge(now)
            if start is not None:
                return self._going((start,))
            if not self._under_way and self._retries and self._retries.last:
                self.started_at = now  # a pushback was waited for, in vain
                return self._finish(self._retries.last, "retry-budget", now)
        return self._going(())

    def _timed_out(self, attempt: UnderWay, now: float) -> Step:
        del self._under_way[attempt.number]
        is_over = allowance.has_run_out(TIMED_OUT, self.deadline_at, now)
        reason: Reason = "deadline" if is_over else "attempt-timeout"
        cancel = CancelAttempt(attempt.number, reason)
        step = self._over(attempt, TIMED_OUT, now)
        return step._replace(commands=(cancel, *step.commands))

    def _going(self, commands: tuple[Command, ...]) -> Step:
        records: tuple[Record, ...] = ()
        if self._journal is not None:
            records = self._journal.take()
        return Step(commands, self._next_moment(), records)

    # -- attempts end ------------------------------------------------------------

    def _over(self, attempt: UnderWay, outcome: Outcome, now: float) -> Step:
        elapsed = outcome.elapsed_s
        if elapsed is None:
            elapsed = now - attempt.started_at
        self.started_at = now
        self._shown = attempt.number
        self._permit = attempt.permit
        is_answer = outcome.kind == "ok"
        if not attempt.is_hedge and (is_answer or outcome.timed_out):
            self.hedging.sample(elapsed)
        if not is_answer:
            self._settle(outcome, elapsed, now)
            return self._lost(outcome, elapsed, now)
        self.hedging.extra_load.answered()
        self._succeeded(elapsed, now)
        self._permit = None
        if self._number == 1:  # as most calls end
            return super()._finish(outcome, "ok", now)
        self._log(outcome, elapsed, "return", Next("ok"), now)
        return self._ending(self._supersede(now), outcome, "ok", now)

    def _lost(self, outcome: Outcome, elapsed: float, now: float) -> Step:
        """It failed: another hedge, or the rivals', the retry rules', or the end."""
        self.hedging.extra_load.ended(outcome)
        if not self._first_code:
            self._first_code = outcome.code
        retries = self._retries
        if retries is None:
            retries = Retries(self._binding, self.facts, self.idempotency, self._rng)
            self._retries = retries
        ended_by = self._fatal(outcome, now)
        if ended_by is None:
            start = self._react(outcome, now)
            is_awaited = (
                self._hedge_at is not None and self._binding.policy.retry is None
            )
            if start is not None or self._under_way or is_awaited:
                retries.last = outcome
                decision: Decision = "wait" if start is None else "hedge"
                self._log(outcome, elapsed, decision, Next("hedge"), now)
                return self._going(() if start is None else (start,))
        elif self._under_way:
            self._log(outcome, elapsed, "fail", Next(ended_by), now)
            return self._ending(self._supersede(now), outcome, ended_by, now)
        return self._failed(outcome, elapsed, None, now)

    def _fatal(self, outcome: Outcome, now: float) -> Reason | None:
        """Why *outcome* ends the call, whatever is under way; None: it does not."""
        if allowance.has_run_out(outcome, self.deadline_at, now):
            return "deadline"
        retry = self._binding.policy.retry
        if retry is None:
            may_pass = outcome.kind in {"transport", "overload"}
            return None if may_pass else "not-retryable"
        answer = verdict(outcome, retry, self.idempotency)
        if answer.repeat or answer.reason == "pushback":
            return None
        return answer.reason

    def _react(self, outcome: Outcome, now: float) -> StartAttempt | None:
        """A failure that need not be the end sends the next hedge at once (A6)."""
        asked_s = outcome.pushback_s
        if asked_s is not None and outcome.pushback_form == "exact":
            if asked_s < 0:
                self._stop()
            elif self._due < self.hedging.policy.max_hedges:
                self._hedge_at = now + asked_s
            return None
        if outcome.kind == "overload":
            self._stop()  # who asks for less load does not get more
        # Where no delay is known there are no hedges yet: the retry rules decide.
        return None if self._hedge_at is None else self._hedge(now)

    def _supersede(self, now: float) -> tuple[Command, ...]:
        """Cancel who is left: no sample for breaker or limiter, the permit goes back.

        What a first attempt has taken so far is more than the delay: it counts as late.
        """
        breaker = self._binding.breaker
        commands: list[Command] = []
        for rival in self._under_way.values():
            elapsed = now - rival.started_at
            if breaker is not None and rival.permit is not None:
                breaker.done(rival.permit, "neutral", elapsed, now, self._rng)
            if not rival.is_hedge:
                self.hedging.sample(elapsed)
            shown, self._shown = self._shown, rival.number
            self._log(SUPERSEDED, elapsed, "ignore", Next("superseded"), now)
            self._shown = shown
            commands.append(CancelAttempt(rival.number, "superseded"))
        self._under_way.clear()
        self._collect(breaker)
        return tuple(commands)

    def _gone(self, now: float) -> Step:
        outcome = GONE if self._under_way else GONE_WAITING
        commands: list[Command] = []
        for attempt in self._under_way.values():
            self._shown, self._permit = attempt.number, attempt.permit
            elapsed = now - attempt.started_at
            self._settle(GONE, elapsed, now)
            self._log(GONE, elapsed, "fail", Next("cancelled"), now)
            commands.append(CancelAttempt(attempt.number, "cancelled"))
        if self._under_way:
            self.started_at = now
        self._under_way.clear()
        return self._ending(tuple(commands), outcome, "cancelled", now)

    # -- the end -----------------------------------------------------------------

    def _ending(
        self, cancels: tuple[Command, ...], outcome: Outcome, reason: Reason, now: float
    ) -> Step:
        step = self._finish(outcome, reason, now)
        return step._replace(commands=(*cancels, *step.commands))

    def _finish(
        self,
        outcome: Outcome,
        reason: Reason,
        now: float,
        rejection: Rejection | None = None,
    ) -> Step:
        step = super()._finish(outcome, reason, now, rejection)
        finish = cast("Finish", step.commands[0])._replace(number=self._shown)
        records, ended = step.records, self.ended
        if self._hedges and ended is not None:
            self.ended = ended = ended._replace(hedges=self._hedges)
            records = (*records[:-1], ended)
        return Step((finish,), None, records)

    def _log(
        self, outcome: Outcome, elapsed: float, decision: Decision, to: Next, now: float
    ) -> None:
        newest, self._number = self._number, self._shown
        self._wake_at = None  # the next moment of all is no limit of this one
        super()._log(outcome, elapsed, decision, to, now)
        self._number = newest


def _is_calm(breaker: Breaker) -> bool:
    """Is it fully closed, or out of the way by hand?"""
    return breaker.allows_retries and breaker.state in CALM
