"""What the attempts of one call send, for blocking and asyncio alike.

Made once for each call, as thin as can be: a healthy call pays for it. It calls the
native entry point; what comes of it is read by `extract.py`.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from resilience.context import ambient_key
from resilience.core.command import StartAttempt
from resilience.core.hop import marks_of

from . import extract
from .metadata import DEFAULT_CRITICALITY, for_attempt, is_marked
from .route import native_timeout


if TYPE_CHECKING:
    from collections.abc import Callable

    from resilience.core.binding import Binding
    from resilience.core.call import Call
    from resilience.core.outcome import Outcome
    from resilience.telemetry.spans import CallSpans

    from .route import Route


Given = tuple["float | None", Any, Any, "bool | None", Any]
"""What the caller gave beside the request: timeout, metadata, credentials,
wait_for_ready, compression."""

NOTHING_ELSE = (None, None, None)
"""For interceptors: credentials and the rest stay in the call details."""
AS_GIVEN = StartAttempt(0, None)
"""No attempt of ours: the call goes down as the caller made it."""


class Sending:
    """What the attempts of one call send, and by which native entry point.

    Owned by one driver. As thin as can be: one is made for every healthy call.
    """

    __slots__ = (
        "_request",
        "binding",
        "call",
        "entry",
        "given",
        "key",
        "limit",
        "route",
        "spans",
    )

    call: Call
    """Whose attempts these are; set by who makes both."""
    limit: float | None
    """The newest attempt's timeout in seconds."""
    key: str
    spans: CallSpans | None
    """The call's, once its first attempt was told of; None: it is not traced."""

    def __init__(
        self,
        route: Route,
        binding: Binding,
        method: Callable[..., Any],
        request: Any,
        given: Given,
    ) -> None:
        self.route = route
        self.binding = binding
        self.entry = method
        """The native entry point."""
        self._request = request
        self.given = given

    def launch(self, start: StartAttempt) -> Any:
        """Call the native entry point for the attempt that *start* describes."""
        timeout, metadata, credentials, wait_for_ready, compression = self.given
        number, limit = start
        if number:
            binding = self.binding
            if binding.mode == "enforce":
                timeout = native_timeout(timeout) if limit is None else limit
                policy, call = binding.policy, self.call
                if (
                    number > 1
                    or policy.idempotency == "keyed"
                    or call.tells
                    or policy.criticality != DEFAULT_CRITICALITY
                    # What all plain calls share is not looked through each time.
                    or (call.facts is not self.route.plain and is_marked(call.facts))
                ):
                    metadata = self._extended(number)
                elif metadata is not None and hasattr(metadata, "__next__"):
                    metadata = self._kept(metadata)
            self.limit = timeout
            tracing = self.route.tracing
            if tracing is not None:
                return tracing.launch(self, number, timeout, metadata)
        if wait_for_ready is None and compression is None:
            # As `enter` does, written flat: each frame costs a healthy call.
            return self.entry(
                self.request(number),
                timeout=timeout,
                metadata=metadata,
                credentials=credentials,
            )
        return self.enter(self.request(number), timeout, metadata)

    def enter(self, request: Any, timeout: float | None, metadata: Any) -> Any:
        """Call the native entry point.

        No more arguments are given than the caller gave: not every channel knows the
        newer ones (grpcio-testing's does not).
        """
        _, _, credentials, wait_for_ready, compression = self.given
        if wait_for_ready is None and compression is None:
            return self.entry(
                request, timeout=timeout, metadata=metadata, credentials=credentials
            )
        return self.entry(
            request,
            timeout=timeout,
            metadata=metadata,
            credentials=credentials,
            wait_for_ready=wait_for_ready,
            compression=compression,
        )

    def request(self, number: int) -> Any:
        """What attempt *number* sends."""
        return self._request

    def attempt_over(self, number: int) -> None:
        """Attempt *number* has ended: what still sends for it may stop."""

    def _extended(self, number: int) -> Any:
        policy = self.binding.policy
        metadata = self.given[1]
        if number == 1 and hasattr(metadata, "__next__"):
            metadata = self._kept(metadata)
        key = None
        if policy.idempotency == "keyed":
            if number == 1:
                self.key = ambient_key.get() or str(uuid.uuid4())
            key = self.key
        return for_attempt(
            metadata,
            number,
            policy.key_header,
            key,
            marks_of(self.call, number, policy.criticality),
        )

    def _kept(self, metadata: Any) -> Any:
        """A one-shot iterator's pairs: later attempts would find nothing in it."""
        kept = tuple(metadata)
        self.given = (self.given[0], kept, *self.given[2:])
        return kept

    def outcome(self, error: Any, elapsed_s: float) -> Outcome:
        """What the end of the newest attempt in *error* means."""
        return self.outcome_within(self.limit, error, elapsed_s)

    def outcome_within(
        self, limit: float | None, error: Any, elapsed_s: float
    ) -> Outcome:
        """The same for an attempt whose timeout was *limit*, in seconds."""
        trusts = self.binding.policy.trust_transport_details
        witness = self.route.witness
        attempt = extract.Attempt(limit, elapsed_s, witness, trusts)
        return extract.outcome_of(error, attempt)
