"""What all calls of one operation on one client share: target, policy, facts.

Looked up once and kept while the engine's epoch stays, so that a healthy call pays for
a dictionary look-up. The parameters of a call are read only where they change the
answer.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from resilience.context import (
    ambient_criticality,
    ambient_deadline,
    ambient_key,
    deadline_at,
    inbound,
)
from resilience.core.binding import Binding
from resilience.core.target import Facts, Target
from resilience.engine import PolicyEngine

from .duration import (
    LONG_POLLS,
    Asked,
    asked,
    by_size,
    depends_on_params,
    sized_by,
)
from .idempotency import declaration
from .intents_applied import Applied, Carrier
from .labels import MEMBERS, named
from .tokens import token_of
from .tracing import Tracing, tracing_of


if TYPE_CHECKING:
    from .failover_calls import Recourse

HONOUR = "honour-client-config"
Params = Mapping[str, Any]


class Operation:
    """One operation of one client. Safe to share between threads."""

    def __init__(
        self, service: str, model: Any, labels: tuple[tuple[str, str], ...]
    ) -> None:
        """Read what the model says.

        Args:
            service: botocore's service name.
            model: the `OperationModel`.
            labels: scope dimensions that the client itself fixes.
        """
        self.model = model
        self._labels = labels
        self._target = Target(
            protocol="aws",
            name=service,
            service=service,
            method=model.name,
            labels=labels,
        )
        self.declares = declaration(service, model.name, model)
        self._carrier = Carrier(
            service, model.name, model, token_of(model), self.declares
        )
        self._is_long_poll = (service, model.name) in LONG_POLLS
        self._asked: Asked | None = None
        if not depends_on_params(service, model.name, model):
            self._asked = asked(service, model.name, model, {})
        self._sized_by = sized_by(service, model.name, model)
        self._bound: Bound | None = None
        self._narrow: dict[tuple[tuple[str, str], ...], Bound] = {}

    def bind(self, engine: PolicyEngine, params: Params) -> "Bound":
        """The policy of a call with *params*, made anew when the engine says so."""
        bound = self._bound
        if bound is None or bound.engine is not engine or bound.epoch != engine.epoch:
            self._narrow = {}
            bound = self._bound = self._bind(engine, params)
        if not bound.dimensions:
            return bound
        labels = named(bound.dimensions, params)
        found = self._narrow.get(labels)
        if found is None:
            found = self._bind(engine, params)
            if len(self._narrow) >= MAX_NARROW:
                self._narrow = {}
            self._narrow[labels] = found
        return found

    def _bind(self, engine: PolicyEngine, params: Params) -> "Bound":
        target = self._target
        policy = engine.table.policy_for(
            "aws", target.name, target.service, target.method, engine.mode
        )
        scope = () if policy.breaker is None else policy.breaker.scope
        known = {name for name, _ in self._labels}
        dimensions = tuple(d for d in scope if d in MEMBERS and d not in known)
        if dimensions:
            labels = (*self._labels, *named(dimensions, params))
            target = replace(target, labels=labels)
        bound = Bound(engine, engine.bind(target), dimensions)
        service_id = str(self.model.service_model.service_id)
        bound.tracing = tracing_of(engine, target, service_id)
        if policy.failover is not None or policy.fallback:
            from .failover_calls import Recourse  # only where somebody asks for it

            bound.recourse = Recourse(bound, self.model)
        return bound

    def apply(self, bound: "Bound", params: Params) -> Applied | None:
        """Put the identity of a call into *params*; None: nothing is to be done.

        Raises:
            BotocoreRejected: its key was used with other parameters before.
        """
        key = ambient_key.get()
        carrier = self._carrier
        if not bound.is_keyed and (key is None or carrier.is_idle):
            return None
        where = tuple(value for _, value in self._labels)
        is_keyed = bound.is_keyed
        return carrier.apply(params, key, bound.engine, where, is_keyed=is_keyed)

    def why(self, params: Params) -> str:
        """Why a call with *params* is declared as it is."""
        return self.declares.of(params).reason

    def facts(self, bound: "Bound", params: Params) -> Facts:
        """What is known of a call with *params* when it arrives."""
        deadline = None if deadline_at.get() is None else ambient_deadline()
        served, criticality = inbound.get(), ambient_criticality.get()
        is_alone = served is None and deadline is None and criticality is None
        if is_alone and bound.facts is not None:
            return bound.facts
        wants = self._asked
        if wants is None and self._sized_by is not None:
            wants = by_size(params.get(self._sized_by))
        elif wants is None:
            service = self._target.service
            wants = asked(service, self.model.name, self.model, params)
        serves = served is not None and not served.has_ended
        facts = Facts(
            declared=self.declares.of(params).idempotency,
            deadline_at=deadline,
            inbound_at=served.deadline_at if served and deadline is not None else None,
            previous_attempts=served.previous_attempts if served and serves else 0,
            long=wants.long,
            least_s=bound.explicit_s(wants.least_s) if wants.long else None,
            wait_before_failing=self._is_long_poll,
            host_decides=bound.host_decides,
            criticality=criticality,
        )
        if served is not None:
            # AWS is told nothing of these; our own breakers go by them.
            scope = bound.binding.scope.key
            return facts._replace(level=served.level, is_probe=served.probes(scope))
        if is_alone and self._asked is not None and self.declares.is_fixed:
            bound.facts = facts
        return facts


MAX_NARROW = 10_000


class Bound:
    """An operation under one engine's live policy. Safe to share between threads."""

    __slots__ = (
        "_explicit",
        "acts",
        "binding",
        "dimensions",
        "engine",
        "epoch",
        "facts",
        "host_decides",
        "is_keyed",
        "owns_retries",
        "recourse",
        "silence_s",
        "tracing",
    )

    def __init__(
        self, engine: PolicyEngine, binding: Binding, dimensions: tuple[str, ...]
    ) -> None:
        policy = binding.policy
        self.engine = engine
        self.binding = binding
        self.epoch = binding.epoch
        self.dimensions = dimensions
        """What parameters must say before the call's scope is known."""
        self.host_decides = policy.profile == HONOUR or (
            policy.retry is not None and not binding.retry_acts
        )
        """Does botocore's own handler decide whether to retry?"""
        self.acts = binding.mode == "enforce"
        """May its calls change anything, or only look?"""
        self.owns_retries = self.acts and not self.host_decides
        """Does the engine decide about repeats, and botocore's handlers keep still?"""
        self.is_keyed = policy.idempotency == "keyed"
        """Must a repeat change nothing, says the policy?"""
        self.silence_s = policy.attempt_timeout_s
        """How long an attempt may hear nothing; None: the policy does not say."""
        self.tracing: Tracing | None = None
        """Who makes spans of its calls; None: nobody."""
        self.recourse: Recourse | None = None
        """Who else may answer; None: nobody."""
        self.facts: Facts | None = None
        """The facts of every call, where its parameters do not matter."""
        self._explicit: tuple[float | None, float | None] | None = None

    def explicit_s(self, least_s: float | None) -> float | None:
        """The least time of a long request, once rules for this very operation spoke.

        A rule that names the operation holds, whatever the request asks for; a wider
        one does not shorten it.
        """
        if self._explicit is None:
            self._explicit = _written(self.engine, self.binding.target)
        timeout_s, attempt_s = self._explicit
        self.silence_s = attempt_s or self.silence_s
        if timeout_s is not None and attempt_s is not None:
            return 0.0
        if attempt_s is not None:
            return attempt_s
        return least_s if timeout_s is None else timeout_s


def _written(engine: PolicyEngine, target: Target) -> tuple[float | None, float | None]:
    """`timeout` and `attempt_timeout` that the policy names for this very operation."""
    pattern = f"{target.service}.{target.method}"
    found: dict[str, float | None] = {}
    for source in engine.table.texts:
        for key, value in (source.rule("aws", "operations", pattern) or {}).items():
            found[key] = value if isinstance(value, float) else None
    return found.get("timeout"), found.get("attempt_timeout")
