"""What all calls of one method on one channel share, for blocking and asyncio alike.

Adapters ask here for the live binding, the facts of a call, what one attempt sends, and
for the report at the end. Nothing here sends anything.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from resilience.context import (
    LONGEST_S,
    ambient_criticality,
    ambient_deadline,
    inbound,
)
from resilience.core.target import Facts, Target
from resilience.errors import Rejected
from resilience.report import attach, of_call

from . import extract
from .idempotency import Undeclared, declared
from .tracing import tracing_of


if TYPE_CHECKING:
    from resilience.core.binding import Binding
    from resilience.core.call import Call
    from resilience.engine import PolicyEngine

    from .connectivity import Witness


MAX_TIMEOUTS = 64
"""Of one method that are remembered: most callers use one or two."""


def target_of(name: str, method: str | bytes) -> Target:
    """The target of gRPC *method*, `/package.Service/Method`, on the target *name*."""
    path = method.decode("utf-8", "replace") if isinstance(method, bytes) else method
    service, _, rpc = path.removeprefix("/").rpartition("/")
    return Target(protocol="grpc", name=name, service=service, method=rpc)


class Route:
    """One method of one channel. Safe to share between threads."""

    __slots__ = (
        "_timed",
        "_undeclared",
        "engine",
        "is_watched",
        "last",
        "plain",
        "target",
        "tracing",
        "witness",
    )

    def __init__(
        self,
        engine: PolicyEngine,
        name: str,
        method: str | bytes,
        witness: Witness,
        undeclared: Undeclared | None = None,
        *,
        streams: bool = False,
        can_hedge: bool = False,
    ) -> None:
        self.engine = engine
        self.target = target_of(name, method)
        self.witness = witness
        self.plain = Facts(
            declared=declared(self.target.service, self.target.method),
            streams=streams,
            can_hedge=can_hedge,
        )
        """The facts of a call without a timeout or a deadline; *streams*: the answer
        is a stream."""
        self._timed: dict[float, Facts] = {}
        self.tracing = tracing_of(engine, self.target)
        """Who is told of attempts that start; None: nobody wants to hear."""
        self.last = engine.bind(self.target)
        """The binding of the call before; calls check its epoch themselves."""
        self._undeclared = undeclared
        if undeclared is not None:
            undeclared.add(self.target.full_method, self.last, self.plain.declared)
            # An epoch that never is: the first call asks for a binding, and is heard.
            self.last = replace(self.last, epoch=-1)
        self.is_watched = engine.is_controlled
        """Is there a control file, to be looked at by every call?"""

    def binding(self) -> Binding:
        """The binding that is live now."""
        engine = self.engine
        if self.is_watched:
            engine.look()
        binding = self.last
        if binding.epoch != engine.epoch:
            self.tracing = tracing_of(engine, self.target)  # sinks may have come
            binding = self.last = engine.bind(self.target)
            if self._undeclared is not None:
                self._undeclared.say()
        return binding

    def facts(self, timeout: float | None) -> Facts:
        """The facts of a call with the caller's own *timeout* in seconds.

        To be asked once for each call, in the caller's context. `plain` is the answer
        where *timeout* and all that `resilience.context` holds are None.
        """
        ambient, criticality = ambient_deadline(), ambient_criticality.get()
        served = inbound.get()
        timeout = native_timeout(timeout)
        if served is not None:
            return self.plain._replace(
                timeout_s=timeout,
                deadline_at=ambient,
                inbound_at=None if ambient is None else served.deadline_at,
                criticality=criticality,
                previous_attempts=0 if served.has_ended else served.previous_attempts,
                level=served.level,
                passes_level=served.passes_level,
                is_probe=served.probes(self.last.scope.key),
            )
        if criticality is not None:
            return self.plain._replace(
                timeout_s=timeout, deadline_at=ambient, criticality=criticality
            )
        if ambient is None:
            if timeout is None:
                return self.plain
            found = self._timed.get(timeout)
            if found is None:
                if len(self._timed) >= MAX_TIMEOUTS:
                    self._timed = {}
                made = self.plain._replace(timeout_s=timeout)
                found = self._timed[timeout] = made
            return found
        return self.plain._replace(timeout_s=timeout, deadline_at=ambient)


def is_native(binding: Binding, timeout: float | None) -> bool:
    """Bypassed, or out of time at once: gRPC itself says so, and sends nothing."""
    if binding.mode == "bypass":
        return True
    if timeout is None:
        return False
    try:
        return timeout <= 0
    except TypeError:
        return True  # no number: gRPC's own complaint is the right one


def native_timeout(timeout: float | None) -> float | None:
    """*timeout* as grpcio can take it: what means "none" overflows there."""
    return None if timeout is not None and timeout >= LONGEST_S else timeout


def attach_report(call: Call, error: BaseException, status: Any = None) -> None:
    """Put the history of *call*, which has ended, on the error that its caller gets.

    *status* tells code and details where *error* itself cannot yet.
    """
    if isinstance(error, Rejected):
        attach(error, of_call(call, error.retry_after_s))
    else:
        attach(error, of_call(call, hint=extract.explanation(status or error)))
