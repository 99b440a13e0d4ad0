"""Metrics over OpenTelemetry: gRPC's own names for gRPC, `resilience.` for all.

Counts only what records say. Every attempt is counted once: those that failed, and
successes after them, by their own record; a first attempt that succeeded has none and
is counted by its call's. Names live in `names.py`, bounds of attributes in `labels.py`.
"""

from typing import TYPE_CHECKING

from resilience.core.record import (
    AttemptEnded,
    BreakerChanged,
    CallEnded,
    Decided,
    Notice,
    Record,
)
from resilience.core.target import Target

from . import gauges, names
from .instruments import Instruments
from .labels import Bounded, TargetAttributes, scope_label
from .states import BreakerStates


if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

MAX_METHODS = 200
MAX_CODES = 100


class MetricsSink:
    """Turns records into OpenTelemetry metrics. Safe to share between threads.

    gRFC A66 asks that the global provider is never used unasked, so without a provider
    nothing is measured; `from_global` asks for it. `opentelemetry` is imported only
    when there is something to measure.

    Args:
        meter_provider: where instruments are made; None: nothing is measured.
        max_methods: pairs of target and method told apart, 200 unless given; later
            ones are `other`.
        max_codes: error codes told apart, 100 unless given; later ones are `other`.
    """

    def __init__(
        self,
        meter_provider: "MeterProvider | None" = None,
        *,
        max_methods: int = MAX_METHODS,
        max_codes: int = MAX_CODES,
    ) -> None:
        self._targets = TargetAttributes(max_methods)
        self._codes = Bounded(max_codes)
        self._scopes = Bounded(max_methods)
        self._states = BreakerStates()
        self._watched: list[gauges.Snapshot] = []
        self._made: Instruments | None = None
        if meter_provider is not None:
            meter = meter_provider.get_meter(names.METER)
            self._made = Instruments(meter)
            gauges.register(meter, self._states, self._watched)

    @classmethod
    def from_global(cls) -> "MetricsSink":
        """A sink that measures with OpenTelemetry's global provider."""
        from opentelemetry.metrics import get_meter_provider

        return cls(get_meter_provider())

    def watch(self, snapshot: gauges.Snapshot) -> None:
        """Measure policy, scopes and sink failures from *snapshot* too.

        Args:
            snapshot: `engine.snapshot`; called when the metrics are collected.
        """
        self._watched.append(snapshot)

    def renew(self) -> None:
        """Make locks new, after a fork."""
        self._targets.renew()
        self._codes.renew()
        self._scopes.renew()
        self._states.renew()

    def emit(self, record: Record) -> None:
        """Count one record."""
        made = self._made
        if made is None:
            return
        match record:
            case CallEnded():
                self._call(made, record)
            case AttemptEnded():
                self._attempt(
                    made, record.target, record.outcome.code, record.elapsed_s
                )
            case Decided():
                self._decided(made, record)
            case BreakerChanged():
                self._breaker(made, record)
            case Notice():
                made.notices.add(1, {names.NOTICE: self._codes.value(record.code)})

    # -- records -----------------------------------------------------------------

    def _call(self, made: Instruments, ended: CallEnded) -> None:
        target, outcome = ended.target, ended.outcome
        code, ok = self._codes.value(outcome.code), outcome.kind == "ok"
        own = self._targets.of(target)
        if ok and ended.attempts == 1:
            took = outcome.elapsed_s
            if took is None:
                took = ended.elapsed_s - ended.wait_s
            self._attempt(made, target, outcome.code, took)
        elif ok and ended.first_code != outcome.code:
            first = self._codes.value(ended.first_code)
            made.masked_failures.add(1, {**own, names.FIRST_CODE: first})
        elif ended.attempts == 0 and ended.reason != "cancelled":
            made.rejected.add(1, {**own, names.REASON: ended.reason})
        if ended.ambiguous:
            made.ambiguous.add(1, {**own, names.CODE: code})
        found = {
            **own,
            names.CODE: code,
            names.REASON: ended.reason,
            names.MODE: ended.mode,
        }
        made.calls.add(1, found)
        if target.protocol == "grpc":
            self._grpc_call(made, ended)

    def _grpc_call(self, made: Instruments, ended: CallEnded) -> None:
        found = self._grpc(ended.target)
        status = _status(ended.outcome.code)
        made.call_duration.record(ended.elapsed_s, {**found, names.GRPC_STATUS: status})
        retries = ended.attempts - 1 - ended.free_attempts
        if retries > 0:
            made.call_retries.record(retries, found)
        if ended.free_attempts > 0:
            made.call_transparent_retries.record(ended.free_attempts, found)
        if ended.attempts > 1 or ended.wait_s > 0:
            made.call_retry_delay.record(ended.wait_s, found)

    def _attempt(
        self, made: Instruments, target: Target, code: str, elapsed_s: float
    ) -> None:
        own = self._targets.of(target)
        made.attempts.add(1, {**own, names.CODE: self._codes.value(code)})
        if target.protocol == "grpc":
            found = self._grpc(target)
            made.attempt_started.add(1, found)
            status = {**found, names.GRPC_STATUS: _status(code)}
            made.attempt_duration.record(elapsed_s, status)

    def _grpc(self, target: Target) -> dict[str, str]:
        own = self._targets.of(target)
        return {
            names.GRPC_METHOD: own[names.METHOD],
            names.GRPC_TARGET: own[names.TARGET],
        }

    def _decided(self, made: Instruments, decided: Decided) -> None:
        found = {
            **self._targets.of(decided.target),
            names.MECHANISM: decided.mechanism,
            names.DECISION: decided.decision,
            names.REASON: decided.reason,
        }
        made.observed.add(1, found)

    def _breaker(self, made: Instruments, changed: BreakerChanged) -> None:
        self._states.changed(changed)
        found = {
            names.SCOPE: self._scopes.value(scope_label(changed.scope)),
            names.OLD_STATE: changed.old,
            names.STATE: changed.new,
        }
        made.breaker_transitions.add(1, found)


def _status(code: str) -> str:
    return code if code in names.GRPC_STATUSES else "UNKNOWN"
