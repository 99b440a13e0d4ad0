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
from .metadata import for_attempt, reusable


if TYPE_CHECKING:
    from collections.abc import Callable

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
        timeout = native_timeout(timeout)
        if ambient is None and timeout is None:
            return self._plain
        return Facts(declared=self._declared, timeout_s=timeout, deadline_at=ambient)


class Sending:
    """What the attempts of one call send, and by which native entry point.

    Owned by one driver. As thin as can be: one is made for every healthy call.
    """

    __slots__ = (
        "_compression",
        "_credentials",
        "_metadata",
        "_method",
        "_request",
        "_timeout",
        "_wait_for_ready",
        "binding",
        "key",
        "limit",
        "route",
    )

    def __init__(
        self,
        route: Route,
        binding: Binding,
        method: Callable[..., Any],
        request: Any,
        timeout: float | None,
        metadata: Any,
        credentials: Any,
        wait_for_ready: bool | None,
        compression: Any,
    ) -> None:
        self.route = route
        self.binding = binding
        self._method = method
        self._request = request
        self._timeout = timeout
        self._metadata = metadata
        self._credentials = credentials
        self._wait_for_ready = wait_for_ready
        self._compression = compression

    def launch(self, start: StartAttempt) -> Any:
        """Call the native entry point for the attempt that *start* describes."""
        number, limit = start
        metadata = self._metadata
        if self.binding.mode == "enforce":
            if limit is None:
                limit = native_timeout(self._timeout)
            if number > 1 or self.binding.policy.idempotency == "keyed":
                metadata = self._extended(number)
            elif metadata is not None and hasattr(metadata, "__next__"):
                # A one-shot iterator would leave later attempts without metadata.
                metadata = self._metadata = tuple(metadata)
        elif limit is None:
            limit = self._timeout
        self.limit = limit
        return self._send(limit, metadata)

    def launch_native(self) -> Any:
        """Call the native entry point as the caller would have."""
        return self._send(self._timeout, self._metadata)

    def _send(self, limit: float | None, metadata: Any) -> Any:
        """Give no more arguments than the caller gave.

        Not every channel knows the newer ones (grpcio-testing's does not).
        """
        if self._wait_for_ready is None and self._compression is None:
            return self._method(
                self._request,
                timeout=limit,
                metadata=metadata,
                credentials=self._credentials,
            )
        return self._method(
            self._request,
            timeout=limit,
            metadata=metadata,
            credentials=self._credentials,
            wait_for_ready=self._wait_for_ready,
            compression=self._compression,
        )

    def _extended(self, number: int) -> Any:
        policy = self.binding.policy
        key = None
        if number == 1:
            self._metadata = reusable(self._metadata)
        if policy.idempotency == "keyed":
            if number == 1:
                self.key = ambient_key.get() or str(uuid.uuid4())
            key = self.key
        return for_attempt(self._metadata, number, policy.key_header, key)

    def outcome(self, error: Any, elapsed_s: float) -> Outcome:
        """What the end of the newest attempt in *error* means."""
        trusts = self.binding.policy.trust_transport_details
        witness = self.route.witness
        attempt = extract.Attempt(self.limit, elapsed_s, witness, trusts)
        return extract.outcome_of(error, attempt)


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


def attach_report(
    call: Call, error: BaseException, retry_after_s: float | None = None
) -> None:
    """Put the history of *call*, which has ended, on the error that its caller gets."""
    hint = extract.explanation(error)
    attach(error, of_call(call, retry_after_s, hint))
