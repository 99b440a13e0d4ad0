"""The spans of one call: the call's own, one for each attempt, decisions as events.

After gRFC A72, for AWS too; attributes are those of each protocol's conventions. Times,
codes and reasons come from records; a span begins when an attempt does, for what is
sent must name it. Knows no sink and no client library.
"""

import time
from typing import TYPE_CHECKING

from resilience.core.outcome import Outcome
from resilience.core.record import AttemptEnded, BreakerChanged, CallEnded, Decided
from resilience.core.target import Target

from . import names


if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

Fields = dict[str, str | int | float | bool]


class CallSpans:
    """The spans of one call. Owned by whoever drives it.

    Args:
        tracer: makes them.
        context: what surrounds the call.
        target: of the call.
        call_id: the id in log lines and notes.
        outer: a span that stands for the call already; None: one is made.
        waited_s: how long ago the call arrived (it may have waited for a breaker).
    """

    __slots__ = (
        "__weakref__",
        "_answered_at",
        "_attempts",
        "_stopped",
        "_target",
        "_tracer",
        "context",
        "is_ours",
        "makes_attempts",
        "span",
    )

    def __init__(
        self,
        tracer: "Tracer",
        context: "Context",
        target: Target,
        call_id: str,
        *,
        outer: "Span | None" = None,
        waited_s: float = 0.0,
    ) -> None:
        from opentelemetry.trace import set_span_in_context

        self._tracer = tracer
        self._target = target
        self.is_ours = outer is None
        """Is the call's span ours, so that nobody else tells the server of it?"""
        self._attempts: dict[int, Span] = {}
        self._answered_at: int | None = None
        self._stopped = ""
        self.span: Span
        """The call's own: ours, or one that another made for it."""
        found: Fields = {names.CALL_ID: call_id, names.TARGET: target.name}
        if outer is None:
            start = time.time_ns() - int(waited_s * 1e9) if waited_s > 0 else None
            self.span = tracer.start_span(
                f"Sent.{_dotted(target)}", context, attributes=found, start_time=start
            )
        else:
            self.span = outer
            outer.set_attributes(found)
        self.makes_attempts = True
        """False: somebody inside makes the spans of attempts."""
        self.context: Context = set_span_in_context(self.span, context)
        """That of the call: attempts are made in it."""

    # -- attempts ----------------------------------------------------------------

    def start_attempt(
        self,
        number: int,
        *,
        previous: int = 0,
        is_free: bool = False,
        name: str = "",
        more: Fields | None = None,
    ) -> "Span":
        """Begin the span of attempt *number*.

        Args:
            number: starts at 1.
            previous: attempts before it, free repeats left out.
            is_free: whether it is itself one.
            name: empty: the one that A72 gives.
            more: its attributes in place of gRPC's.
        """
        from opentelemetry.trace import SpanKind

        target = self._target
        if more is None:
            more = {
                names.PREVIOUS_ATTEMPTS: previous,
                names.TRANSPARENT_RETRY: is_free,
                names.RPC_SYSTEM: "grpc",
                names.RPC_SERVICE: target.service,
                names.RPC_METHOD: target.method,
            }
        # A72 leaves the kind open. What calls the server is the client's span: service
        # maps pair it with the server's, which is its child.
        made = self._attempts[number] = self._tracer.start_span(
            name or f"Attempt.{_dotted(target)}",
            self.context,
            SpanKind.CLIENT,
            {names.ATTEMPT: number, **more},
        )
        return made

    @property
    def attempt(self) -> "Span | None":
        """The span of the newest attempt under way; None: there is none."""
        return next(reversed(self._attempts.values()), None)

    def answered(self, found: Fields) -> None:
        """The attempt has its answer now; records that say what it is worth come later.

        By then a span around the call may have ended.
        """
        self._answered_at = time.time_ns()
        attempt = self.attempt
        if attempt is not None:
            attempt.set_attributes(found)

    def attempt_ended(self, ended: AttemptEnded) -> None:
        """End the span of the attempt, and note what was decided."""
        self._end_attempt(ended.number, ended.outcome)
        if ended.outcome.kind == "ok" or ended.decision == "ignore":
            return  # it lost: the span's status says so
        event = names.EVENT_RETRY
        if ended.decision in {"hedge", "wait"}:
            event = names.EVENT_HEDGE
        elif ended.decision != "retry":
            event, self._stopped = names.EVENT_STOP, ended.reason
        found = _of_outcome(ended.outcome)
        found[names.ATTEMPT] = ended.number
        found[names.REASON] = ended.reason
        if ended.decision == "retry":
            found[names.WAIT] = ended.wait_s
        if ended.outcome.pushback_s is not None:
            found[names.PUSHBACK] = ended.outcome.pushback_s
        self._note(event, found)

    def _end_attempt(self, number: int, outcome: Outcome) -> None:
        span = self._attempts.pop(number, None)
        ended_at, self._answered_at = self._answered_at, None
        if span is None:
            return
        status = names.GRPC_STATUS_NUMBERS.get(outcome.code)
        if status is not None and self._target.protocol == "grpc":
            span.set_attribute(names.RPC_STATUS, status)
        elif self._target.protocol == "aws" and outcome.kind != "ok":
            span.set_attribute(names.ERROR_TYPE, outcome.code)
        _set_status(span, outcome)
        span.end(ended_at)

    # -- the call ----------------------------------------------------------------

    def decided(self, decided: Decided) -> None:
        """Note what an observing mechanism would have done."""
        found: Fields = {
            names.MECHANISM: decided.mechanism,
            names.DECISION: decided.decision,
            names.REASON: decided.reason,
            names.WAIT: decided.wait_s,
        }
        self._note(names.EVENT_OBSERVED, found)

    def breaker_changed(self, changed: BreakerChanged) -> None:
        """Note that the call moved a breaker."""
        found: Fields = {
            names.SCOPE: changed.scope,
            names.OLD_STATE: changed.old,
            names.STATE: changed.new,
            names.EVIDENCE: changed.evidence,
        }
        self._note(names.EVENT_BREAKER, found)

    def call_ended(self, ended: CallEnded) -> None:
        """End the call's span, and that of an attempt that no record has ended."""
        outcome = ended.outcome
        for number in [*self._attempts]:
            self._end_attempt(number, outcome)
        found: Fields = {names.REASON: ended.reason}
        if ended.attempts == 0:
            found[names.MESSAGE] = outcome.message
            self._note(names.EVENT_REJECTED, found)
        elif outcome.kind != "ok" and ended.reason != self._stopped:
            self._note(names.EVENT_STOP, found)  # a repeat that was due was not made
        told: Fields = {names.ATTEMPTS_MADE: ended.attempts, names.REASON: ended.reason}
        if ended.hedges:
            told[names.HEDGES] = ended.hedges
        if ended.timeout_s is not None:
            told[names.DEADLINE_ORIGIN] = ended.deadline_origin
        if ended.ambiguous:
            told[names.IS_AMBIGUOUS] = True
        if not self.span.is_recording():
            return
        self.span.set_attributes(told)
        if self.is_ours:
            _set_status(self.span, outcome)
            self.span.end()

    def _note(self, event: str, found: Fields) -> None:
        if self.span.is_recording():
            self.span.add_event(event, found)


def _dotted(target: Target) -> str:
    return f"{target.service}.{target.method}".removeprefix(".")


def _of_outcome(outcome: Outcome) -> Fields:
    found: Fields = {
        names.CODE: outcome.code,
        names.KIND: outcome.kind,
        names.REACHED: outcome.reached,
    }
    if outcome.message:
        found[names.MESSAGE] = outcome.message
    for name, value in outcome.ids:
        if name in _IDS:
            found[_IDS[name]] = value
    return found


_IDS = {
    "request_id": names.AWS_REQUEST_ID,
    "host_id": names.AWS_EXTENDED_REQUEST_ID,
}


def _set_status(span: "Span", outcome: Outcome) -> None:
    """OK, or the error with code and text (A72)."""
    from opentelemetry.trace import StatusCode

    if outcome.kind == "ok":
        span.set_status(StatusCode.OK)
    else:
        text = f"{outcome.code}, {outcome.message}" if outcome.message else outcome.code
        span.set_status(StatusCode.ERROR, text)
