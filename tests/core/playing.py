"""Plays a call against a list of outcomes."""

from resilience.core.command import Finish
from resilience.core.event import Woke
from tests.core.policies import arrive, done, finish_of


def play(made, outcomes, until=10_000):
    """Feed it the outcomes; answer the waits and the end (None: it goes on)."""
    arrive(made)
    now, waits = 0.0, []
    for number, outcome in enumerate(outcomes[:until], start=1):
        step = done(made, number, outcome, now)
        if step.wake_at is None:
            return waits, finish_of(step)
        waits.append(round(step.wake_at - now, 9))
        now = step.wake_at
        step = made.advance(Woke(now), now)
        if not step.commands or isinstance(step.commands[-1], Finish):
            return waits, step.commands[-1]
    return waits, None


def pushed(outcome, seconds, form="exact"):
    return outcome._replace(pushback_s=seconds, pushback_form=form)
