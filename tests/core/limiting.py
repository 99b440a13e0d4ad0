"""Limited calls by hand: a limit of two, three may wait for one second."""

from typing import Any

from resilience.core.event import ARRIVED, AttemptDone, Woke
from resilience.core.hedged import new_call as unlimited
from resilience.core.limited import new_call
from resilience.core.limiter import Limiter
from resilience.core.policy import LimiterPolicy
from resilience.core.scope import Scope
from resilience.core.target import NO_FACTS
from tests.core.policies import OK, bind, middle, policy


def limiting(**changes: Any) -> LimiterPolicy:
    found: dict[str, Any] = {
        "mode": "enforce",
        "kind": "loss",
        "initial_limit": 2,
        "min_limit": 1,
        "max_limit": 100,
        "max_queue": 3,
        "max_wait_s": 1.0,
    }
    return LimiterPolicy(**{**found, **changes})


def limiter(**changes: Any) -> Limiter:
    return Limiter(limiting(**changes), "app:target=rates")


def binding_of(**changes: Any):
    """A binding whose policy limits; *changes* are the policy's."""
    changes.setdefault("limiter", limiting())
    return bind(policy(**changes), Scope("app:target=rates", 0.0))


def limited(binding, facts=NO_FACTS, rng=middle):
    """A call of that binding, which has not arrived."""
    make = new_call if binding.limiter is not None else unlimited
    return make(binding, facts, "c-1", rng)


def arrived(binding, now=0.0, facts=NO_FACTS):
    """A call that arrived, and what followed."""
    made = limited(binding, facts)
    return made, made.advance(ARRIVED, now)


def full(binding, now=0.0):
    """As many calls as there are places."""
    return [arrived(binding, now)[0] for _ in range(binding.limiter.limit)]


def answered(made, now, outcome=OK, number=1):
    return made.advance(AttemptDone(number, outcome), now)


def nudged(made, now):
    """Its driver looks, for it was woken."""
    return made.advance(Woke(now), now)
