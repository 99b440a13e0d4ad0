"""Hedged calls by hand: a fixed delay of one second, room for any number of hedges."""

from typing import Any

from resilience.core.command import CancelAttempt, StartAttempt
from resilience.core.event import Woke
from resilience.core.hedged import new_call
from resilience.core.policy import HedgingPolicy
from resilience.core.scope import Scope
from resilience.core.target import Facts
from tests.core.policies import arrive, bind, middle, policy


CAN = Facts(can_hedge=True)


def hedging(**changes: Any) -> HedgingPolicy:
    found: dict[str, Any] = {
        "mode": "enforce",
        "delay_s": 1.0,
        "quantile": None,
        "max_hedges": 1,
        "max_extra_load": 1.0,
        "min_samples": 20,
    }
    return HedgingPolicy(**{**found, **changes})


def binding_of(scope=None, *, credit=10.0, **changes):
    """A binding whose policy hedges, with *credit* hedges in hand."""
    changes.setdefault("hedging", hedging())
    made = bind(policy(**changes), scope or Scope("app:target=rates", 0.0))
    if made.hedging is not None:
        made.hedging.extra_load._credit = credit
    return made


def hedged(binding=None, facts=CAN, rng=middle, **changes):
    """A call of that binding, which has not arrived."""
    return new_call(binding or binding_of(**changes), facts, "c-1", rng)


def started(step):
    """The numbers of the attempts that a step starts."""
    return [c.number for c in step.commands if isinstance(c, StartAttempt)]


def cancelled(step):
    """The attempts that a step cancels, and why."""
    return [(c.number, c.reason) for c in step.commands if isinstance(c, CancelAttempt)]


def wake(call, now):
    return call.advance(Woke(now), now)


def two(**changes):
    """A call with its first attempt and one hedge under way, at t = 1."""
    call = hedged(**changes)
    arrive(call)

    assert [2] == started(wake(call, 1.0))
    return call
