"""A plain call under a policy that would hedge, were it enforced.

Nothing is sent and nothing timed: when the first attempt has ended it is known whether
it was late, and that is written down. Delays and budgets are kept as enforced ones are.
"""

from .call import Call
from .command import Step
from .hedging import Hedging
from .outcome import Outcome


class ObservedCall(Call):
    """A plain call that writes down when it would have been hedged."""

    is_plain = False
    hedging: Hedging
    """What calls of its method share; set by who makes the call."""

    def _attempt_done(
        self, outcome: Outcome, host_wait_s: float | None, now: float
    ) -> Step:
        hedging, is_answer = self.hedging, outcome.kind == "ok"
        if is_answer or outcome.timed_out:
            elapsed = outcome.elapsed_s
            if elapsed is None:
                elapsed = now - self.started_at
            delay_s = hedging.delay_s(now)
            is_late = delay_s is not None and elapsed > delay_s
            if self._number == 1 and is_late and hedging.extra_load.take():
                self.written.decided(
                    "hedging", "hedge", "hedge", now, wait_s=delay_s or 0.0
                )
            hedging.sample(elapsed)
        hedging.extra_load.ended(outcome)
        return super()._attempt_done(outcome, host_wait_s, now)
