"""What all calls of one method on one channel share, for blocking and asyncio alike.

Adapters ask here for the live binding, the facts of a call, what one attempt sends, and
for the report at the end. Nothing here sends anything.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from resilience.context import LONGEST_S, ambient_key, deadline_at
from resilience.core.target import Facts, Target
from resilience.report import attach, of_call

from . import extract
from .idempotency import declared
from .metadata import for_attempt

if TYPE_CHECKING:
    from resilience.core.binding import Binding
    from resilience.core.call import Call
    from resilience.core.command import StartAttempt
    from resilience.core.outcome import Outcome
    from resilience.engine import PolicyEngine

    from .connectivity import Witness


def target_of(name: str, method: str | bytes) -> Target:
    """The target of gRPC *method*, `/package.Service/Method`, on the target *name*."""
    path = method.decode("utf-8", "replace") if isinstance(method, bytes) else method
    service, _, rpc = path.removeprefix("/").rpartition("/")
    return Target(protocol="grpc", name=name, service=service, method=rpc)


class Route:
    """One method of one channel. Safe to share between threads."""

    __slots__ = ("_binding", "_declared", "_plain", "engine", "target", "witness")

    def __init__(
        self, engine: PolicyEngine, name: str, method: str | bytes, witness: Witness
    ) -> None:
        self.engine = engine
        self.target = target_of(name, method)
        self.witness = witness
        self._declared = declared(self.target.service, self.target.method)
        self._plain = Facts(declared=self._declared)
        self._binding = engine.bind(self.target)

    def binding(self) -> Binding:
        """The binding that is live now."""
        engine = self.engine
        engine.look()
        binding = self._binding
        if binding.epoch != engine.epoch:
            binding = self._binding = engine.bind(self.target)
        return binding

    def facts(self, timeout: float | None) -> Facts:
        """The facts of a call with the caller's own *timeout* in seconds."""
        ambient = deadline_at.get()
        if timeout is not None and timeout >= LONGEST_S:
            timeout = None
        if ambient is None and timeout is None:
            return self._plain
        return Facts(declared=self._declared, timeout_s=timeout, deadline_at=ambient)


class Sending:
    """What the attempts of one call send. Owned by one driver."""

    __slots__ = ("_acts", "_key", "_metadata", "_policy", "_timeout", "_witness")

    def __init__(
        self,
        route: Route,
        binding: Binding,
        call: Call,
        timeout: float | None,
        metadata: Any,
    ) -> None:
        self._acts = binding.mode == "enforce"
        self._policy = binding.policy
        self._witness = route.witness
        self._metadata = metadata
        self._timeout = timeout
        self._key: str | None = None
        if self._acts:
            if timeout is not None and timeout >= LONGEST_S:
                self._timeout = None
            if metadata is not None and hasattr(metadata, "__next__"):
                self._metadata = tuple(metadata)
            if call.idempotency == "keyed":
                self._key = ambient_key.get() or str(uuid.uuid4())

    def timeout(self, start: StartAttempt) -> float | None:
        """The timeout that the attempt is given, in seconds; None: none."""
        return self._timeout if start.timeout_s is None else start.timeout_s

    def metadata(self, number: int) -> Any:
        """The metadata of attempt *number*; the caller's own object if it can be."""
        if not self._acts or (number == 1 and self._key is None):
            return self._metadata
        return for_attempt(
            self._metadata, number, self._policy.key_header, self._key
        )

    def outcome(self, error: Any, timeout: float | None, elapsed_s: float) -> Outcome:
        """What the end of an attempt in *error* means."""
        trusts = self._policy.trust_transport_details
        attempt = extract.Attempt(timeout, elapsed_s, self._witness, trusts)
        return extract.outcome_of(error, attempt)


def attach_report(
    call: Call, error: BaseException, retry_after_s: float | None = None
) -> None:
    """Put the history of *call*, which has ended, on the error that its caller gets."""
    hint = extract.explanation(error)
    attach(error, of_call(call, retry_after_s, hint))
