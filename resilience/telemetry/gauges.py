"""The metrics that are looked at when somebody collects, not counted as they happen.

Breakers that are not closed, from their records; policy, scopes, limiters and sink
failures, from the snapshots of engines that are watched.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from . import limits, names
from .states import BreakerStates


if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation

Snapshot = Callable[[], Mapping[str, Any]]
"""`engine.snapshot`."""
Value = Callable[[Mapping[str, Any]], float]


def register(
    meter: "Meter", states: BreakerStates, watched: Sequence[Snapshot]
) -> None:
    """Make the gauges of *meter*; *watched* is read at each collection."""
    from opentelemetry.metrics import Observation

    def breakers(_: "CallbackOptions") -> Iterable["Observation"]:
        for scope, state, count in states.counts():
            yield Observation(count, {names.SCOPE: scope, names.STATE: state})

    def read(
        value: Value, *, is_info: bool = False
    ) -> "Callable[[CallbackOptions], Iterable[Observation]]":
        def observe(_: "CallbackOptions") -> Iterable["Observation"]:
            for snapshot in [*watched]:
                seen = snapshot()
                found = {names.POLICY_NAME: str(seen["name"])}
                yield Observation(value(seen), _info(seen) if is_info else found)

        return observe

    def limiters(field: str) -> "Callable[[CallbackOptions], Iterable[Observation]]":
        def observe(_: "CallbackOptions") -> Iterable["Observation"]:
            for snapshot in [*watched]:
                for scope, value in limits.read(snapshot(), field):
                    yield Observation(value, {names.SCOPE: scope})

        return observe

    _gauge(meter, names.BREAKER_STATE, breakers)
    _gauge(meter, names.LIMITER_LIMIT, limiters("limit"))
    _gauge(meter, names.LIMITER_IN_FLIGHT, limiters("in_flight"))
    _gauge(meter, names.LIMITER_WAITING, limiters("waiting"))
    _gauge(meter, names.POLICY_INFO, read(lambda _: 1, is_info=True))
    _gauge(meter, names.POLICY_LOADED, read(lambda seen: seen["loaded_at"]))
    _gauge(meter, names.SCOPES, read(lambda seen: len(seen["scopes"])))
    _counter(meter, names.SCOPES_EVICTED, read(itemgetter("evicted_scopes")))
    _counter(meter, names.SINK_FAILURES, read(itemgetter("sink_failures")))


def _counter(
    meter: "Meter",
    metric: names.Metric,
    observe: "Callable[[CallbackOptions], Iterable[Observation]]",
) -> None:
    meter.create_observable_counter(
        metric.name, [observe], metric.unit, metric.description
    )


def _gauge(
    meter: "Meter",
    metric: names.Metric,
    observe: "Callable[[CallbackOptions], Iterable[Observation]]",
) -> None:
    meter.create_observable_gauge(
        metric.name, [observe], metric.unit, metric.description
    )


def _info(seen: Mapping[str, Any]) -> dict[str, str]:
    return {
        names.POLICY_NAME: str(seen["name"]),
        names.POLICY_HASH: str(seen["policy_hash"]),
        names.POLICY_EDITION: str(seen["edition"]),
        names.POLICY_SOURCES: ",".join(map(str, seen["sources"])),
        names.MODE: str(seen["mode"]),
    }
