"""Metrics over OpenTelemetry: gRPC's own names for gRPC, `resilience.` for all.

Counts what records say, and attempts of gRPC as they start. Every attempt is counted
once: those that failed, and successes after them, by their own record; a first attempt
that succeeded has none and is counted by its call's. Names live in `names.py`, bounds
of attributes in `labels.py`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from resilience.core.record import (
    AttemptEnded,
    BreakerChanged,
    CallEnded,
    Decided,
    Diverted,
    Notice,
    Record,
)
from resilience.core.served import Served
from resilience.core.target import Target

from . import gauges, names
from .instruments import Instruments
from .labels import Bounded, Own, TargetAttributes, scope_label
from .states import BreakerStates


if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

MAX_METHODS = 200
MAX_CODES = 100
NOTHING_LEFT = 2.0
"""The share of a budget that was used up before the call came."""


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
        self._methods = Bounded(max_methods)
        self._made: Instruments | None = None
        self.attempt_started: Callable[[Target], None] | None = None
        """Count an attempt of gRPC that starts; None: nothing is measured."""
        if meter_provider is not None:
            meter = meter_provider.get_meter(names.METER)
            self._made = Instruments(meter)
            self.attempt_started = self._attempt_started
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
        """Count anew with new locks, after a fork: the parent counts its own."""
        self._targets.renew()
        self._codes.renew()
        self._methods.renew()
        self._scopes.renew()
        self._states.renew()
        if self._made is not None:
            self._made.renew()

    def emit(self, record: Record) -> None:
        """Count one record."""
        made = self._made
        if made is None:
            return
        match record:
            case CallEnded():
                self._call(made, record)
            case AttemptEnded():
                own = self._targets.of(record.target)
                self._attempt(made, own, record.outcome.code, record.elapsed_s)
            case Decided():
                self._decided(made, record)
            case Diverted():
                own = self._targets.of(record.target)
                code = self._codes.value(record.code)
                made.diverted.add(*own, record.mechanism, record.place, code)
            case BreakerChanged():
                self._breaker(made, record)
            case Notice():
                made.notices.add(self._codes.value(record.code))
            case Served():
                self._served(made, record)

    # -- records -----------------------------------------------------------------

    def _call(self, made: Instruments, ended: CallEnded) -> None:
        outcome = ended.outcome
        code, ok = self._codes.value(outcome.code), outcome.kind == "ok"
        own = self._targets.of(ended.target)
        if ok and ended.attempts == 1:
            took = outcome.elapsed_s
            if took is None:
                took = ended.elapsed_s - ended.wait_s
            self._attempt(made, own, outcome.code, took)
        elif ok and ended.first_code != outcome.code:
            made.masked_failures.add(*own, self._codes.value(ended.first_code))
        elif ended.attempts == 0 and ended.reason != "cancelled":
            made.rejected.add(*own, ended.reason)
        if ended.ambiguous:
            made.ambiguous.add(*own, code)
        made.calls.add(*own, code, ended.reason, ended.mode)
        share = _share(ended.elapsed_s, ended.timeout_s)
        made.deadline_used.record(share, _deadline(own, code, ended.deadline_origin))
        if own.protocol == "grpc":
            _grpc_call(made, own, ended)

    def _attempt(
        self, made: Instruments, own: Own, code: str, elapsed_s: float
    ) -> None:
        made.attempts.add(*own, self._codes.value(code))
        if own.protocol == "grpc":
            status = {**_grpc(own), names.GRPC_STATUS: _status(code)}
            made.attempt_duration.record(elapsed_s, status)

    def _attempt_started(self, target: Target) -> None:
        if self._made is not None:
            own = self._targets.of(target)
            self._made.attempt_started.add(own.method, own.target)

    def _served(self, made: Instruments, served: Served) -> None:
        method, code = self._methods.value(served.method), served.code
        made.server_calls.add(method, code, served.reason)
        share = _share(served.elapsed_s, served.budget_s)
        found = {names.METHOD: method, names.CODE: code}
        made.server_deadline_used.record(share, found)

    def _decided(self, made: Instruments, decided: Decided) -> None:
        own = self._targets.of(decided.target)
        made.observed.add(*own, decided.mechanism, decided.decision, decided.reason)

    def _breaker(self, made: Instruments, changed: BreakerChanged) -> None:
        self._states.changed(changed)
        label = self._scopes.value(scope_label(changed.scope))
        made.breaker_transitions.add(label, changed.old, changed.new)


def _grpc_call(made: Instruments, own: Own, ended: CallEnded) -> None:
    found = _grpc(own)
    status = {**found, names.GRPC_STATUS: _status(ended.outcome.code)}
    made.call_duration.record(ended.elapsed_s, status)
    retries = ended.attempts - 1 - ended.free_attempts - ended.hedges
    if ended.hedges > 0:
        made.call_hedges.record(ended.hedges, found)
    if retries > 0:
        made.call_retries.record(retries, found)
    if ended.free_attempts > 0:
        made.call_transparent_retries.record(ended.free_attempts, found)
    if ended.attempts - ended.hedges > 1 or ended.wait_s > 0:
        made.call_retry_delay.record(ended.wait_s, found)


def _share(elapsed_s: float, budget_s: float | None) -> float:
    """The part of the budget that was used; 0: there was none."""
    if budget_s is None:
        return 0.0
    return elapsed_s / budget_s if budget_s > 0 else NOTHING_LEFT


def _deadline(own: Own, code: str, origin: str) -> dict[str, str]:
    return {
        names.PROTOCOL: own.protocol,
        names.TARGET: own.target,
        names.METHOD: own.method,
        names.CODE: code,
        names.DEADLINE_ORIGIN: origin,
    }


def _grpc(own: Own) -> dict[str, str]:
    return {names.GRPC_METHOD: own.method, names.GRPC_TARGET: own.target}


def _status(code: str) -> str:
    return code if code in names.GRPC_STATUSES else "UNKNOWN"
