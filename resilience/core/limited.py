"""A call whose attempts need a place: waiting for one, and giving it back at the end.

Calls of a policy without a limiter are plain `Call`s and pay nothing, and so are calls
that ask to last (long polls, Lambda's invoke): what they hold is no worker's time, and
they would keep others out for nothing. An answer that is a stream gives its place back
with its first message, as it does the breaker's probe: it may last for hours.
"""

from collections.abc import Callable

from . import allowance
from .binding import Binding
from .breaker import Permit
from .call import Call
from .command import Command, StartAttempt, Step
from .hedged import HARMLESS, HedgedCall
from .hedged import new_call as unlimited
from .limiter import Full, Limiter, shown_by
from .limiter_loss import Shown
from .limiter_queue import RANKS, Place, Waiter
from .observed import ObservedCall
from .outcome import Outcome
from .rejection import refused
from .target import Facts


class LimitedCall(Call):
    """One logical call. Owned by one driver."""

    limiter: Limiter
    """Of its scope, once it has arrived."""
    _place: Place = 0
    """Of the attempt under way, or of the one that starts next; 0: none."""
    _seen: str = ""
    """The breaker's state when it began to wait."""
    # The plain call's own, found by name: on every call `super()` would cost more.
    _start_placed = Call._start  # noqa: SLF001 - its parent's
    _succeed_placed = Call._succeeded  # noqa: SLF001 - as above
    _settle_placed = Call._settle  # noqa: SLF001 - as above
    _succeed_flat = Call.succeed

    def arrive(self, now: float) -> StartAttempt | Step:
        """Arrive as other calls do; the straight way where there is a place."""
        if self._state != "new":
            return super().arrive(now)
        limiter: Limiter = self._binding.limiter  # type: ignore[assignment]  # it is why
        self.limiter = limiter
        place = limiter.take(now) if self.is_plain else 0
        if place:
            found = self.begin(now)
            if isinstance(found, StartAttempt):
                self._place = place
                return found
            # Who is not admitted at once is asked in the order that all others are.
            limiter.give(place, "nothing", now)
            if found is not None:
                return self._weigh(found, now)
            return self._refuse("deadline", "the deadline has passed", None, now)
        self._arrived(now)
        return self._admit(now)

    def succeed(self, outcome: Outcome, now: float) -> Step | None:
        """End with the success of the first attempt; its place is another's."""
        place = self._place
        if place:
            self._place = 0
            self.limiter.answered(place, now)
        return self._succeed_flat(outcome, now)

    def _start(self, now: float) -> Step:
        if not self._place:
            self._place = place = self.limiter.take(now)
            if not place:
                if self._binding.limiter_acts:
                    return self._stand_in_line(now)
                self._place, would = self.limiter.force(now)
                self._note(would, now)
        return self._start_placed(now)

    def _note(self, would: Full | float | None, now: float) -> None:
        """Write down what an enforced limiter would have done."""
        written = self.written
        if isinstance(would, Full):
            written.decided("limiter", "reject", "limiter", now, message=would.message)
        elif would is not None:
            written.decided("limiter", "wait", "limiter", now, wait_s=would)

    def _stand_in_line(self, now: float) -> Step:
        binding = self._binding
        expected_s = binding.scope.latency.expected_s
        rank = int(self.level * RANKS)
        found = self.limiter.wait(now, rank, self.deadline_at, expected_s)
        if isinstance(found, Full):
            return self._turn_away(found, now)
        if found.place:
            self._place = found.place
            return self._start_placed(now)
        self.waiter = found
        self._seen = "" if binding.breaker is None else binding.breaker.state
        return self._wait("queued", found.until)

    def _woke(self, now: float) -> Step:
        waiter = self.waiter
        if waiter is None:
            return super()._woke(now)
        has_place = self.limiter.ask(waiter, now)
        if has_place is None:
            return Step(wake_at=self._wake_at)
        self.waiter = None
        expected_s = self._binding.scope.latency.expected_s
        if not has_place:
            return self._turn_away(self.limiter.refusal(expected_s), now)
        self._place = waiter.place
        return self._go(waiter, now)

    def _go(self, waiter: Waiter, now: float) -> Step:
        """Its turn has come: is there time left, and would the breaker still agree?"""
        breaker = self._binding.breaker
        deadline = self.deadline_at
        if (deadline is None or now < deadline) and (
            breaker is None or breaker.state == self._seen
        ):
            return self._start_placed(now)
        self._give_permit_back(now)
        step = self._admit(now)
        if self._state != "running":
            self._leave(waiter, now)
        return step

    def _leave(self, waiter: Waiter, now: float) -> None:
        self._place = 0
        self.limiter.leave(waiter, now)

    def _give_permit_back(self, now: float) -> None:
        """The breaker's permit was not used after all."""
        breaker = self._binding.breaker
        permit, self._permit = self._permit, None
        if breaker is not None and permit is not None:
            breaker.done(permit, "neutral", 0.0, now, self._rng)
            self._collect(breaker)

    def _turn_away(self, full: Full, now: float) -> Step:
        """No attempt may start: the last real outcome, or a rejection unsent."""
        self._give_permit_back(now)
        retries = self._retries
        if retries is not None and retries.last is not None:
            retries.give_back(now)
            return self._finish(retries.last, "limiter", now)
        outcome, rejection = refused(
            self._binding, "limiter", full.message, full.retry_after_s
        )
        return self._finish(outcome, "limiter", now, rejection)

    def _caller_gone(self, now: float) -> Step:
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            self._leave(waiter, now)
            self._give_permit_back(now)
        return super()._caller_gone(now)

    def _succeeded(self, elapsed: float, now: float) -> None:
        place = self._place
        if place:
            self._place = 0
            self.limiter.answered(place, now)
        self._succeed_placed(elapsed, now)

    def _settle(self, outcome: Outcome, elapsed: float, now: float) -> None:
        place = self._place
        if place:
            self._place = 0
            self.limiter.give(place, self._shown_by(outcome, elapsed), now)
        self._settle_placed(outcome, elapsed, now)

    def _shown_by(self, outcome: Outcome, elapsed: float) -> Shown:
        binding = self._binding
        if outcome.timed_out and allowance.is_impatient(
            binding.policy, elapsed, binding.scope.latency.expected_s
        ):
            return "nothing"
        return shown_by(outcome)


class LimitedObservedCall(LimitedCall, ObservedCall):
    """The same under a policy that would hedge."""


class LimitedHedgedCall(LimitedCall, HedgedCall):
    """The same with hedges: each has a place of its own, or is skipped."""

    _places: dict[int, Place]
    _start_placed = HedgedCall._start  # noqa: SLF001 - its parent's
    _succeed_placed = HedgedCall._succeeded  # noqa: SLF001 - as above
    _settle_placed = HedgedCall._settle  # noqa: SLF001 - as above

    def _launch(
        self, permit: Permit | None, now: float, *, is_hedge: bool
    ) -> StartAttempt:
        start = super()._launch(permit, now, is_hedge=is_hedge)
        if start.number == 1:
            self._places = {}
        self._places[start.number], self._place = self._place, 0
        return start

    def _hedge(self, now: float) -> StartAttempt | None:
        limiter = self.limiter
        place = limiter.take(now)
        if not place:
            if self._binding.limiter_acts:
                self._due += 1
                self._plan(now)
                limiter.skipped()
                return None
            place, would = limiter.force(now)
            self._note(would, now)
        self._place = place
        start = super()._hedge(now)
        if start is None:
            self._place = 0
            limiter.give(place, "nothing", now)
        return start

    def _succeeded(self, elapsed: float, now: float) -> None:
        self._place = self._places.pop(self._shown, 0)
        super()._succeeded(elapsed, now)

    def _settle(self, outcome: Outcome, elapsed: float, now: float) -> None:
        self._place = self._places.pop(self._shown, 0)
        super()._settle(outcome, elapsed, now)

    def _supersede(self, now: float) -> tuple[Command, ...]:
        commands = super()._supersede(now)
        places, self._places = self._places, {}
        for place in places.values():
            self.limiter.give(place, "nothing", now)
        return commands


def new_call(
    binding: Binding,
    facts: Facts,
    call_id: str | tuple[str, int],
    rng: Callable[[], float],
) -> Call:
    """The call of a binding whose policy limits: limited, hedged too, or plain."""
    if facts.long or facts.least_s is not None:
        return unlimited(binding, facts, call_id, rng)
    hedging = binding.hedging
    if hedging is not None and facts.can_hedge:
        kind = LimitedHedgedCall if binding.hedging_acts else LimitedObservedCall
        hedged = kind(binding, facts, call_id, rng)
        if hedged.idempotency in HARMLESS:
            hedged.hedging = hedging
            return hedged
    return LimitedCall(binding, facts, call_id, rng)
