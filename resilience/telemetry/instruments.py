"""The instruments that records feed: counters and histograms of one meter.

One attribute per metric of `names.py` that is not a gauge. Bucket bounds go along as
advice, which a view of the application overrides.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from . import names
from .tally import Tally


if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation


class Instruments:
    """All counters and histograms. Safe to share between threads."""

    def __init__(self, meter: "Meter") -> None:
        def histogram(metric: names.Metric) -> "Histogram":
            return meter.create_histogram(
                metric.name,
                metric.unit,
                metric.description,
                explicit_bucket_boundaries_advisory=metric.buckets,
            )

        self.attempt_duration = histogram(names.ATTEMPT_DURATION)
        self.call_duration = histogram(names.CALL_DURATION)
        self.call_retries = histogram(names.CALL_RETRIES)
        self.call_transparent_retries = histogram(names.CALL_TRANSPARENT_RETRIES)
        self.call_hedges = histogram(names.CALL_HEDGES)
        self.call_retry_delay = histogram(names.CALL_RETRY_DELAY)
        self.deadline_used = histogram(names.DEADLINE_USED)
        self.server_deadline_used = histogram(names.SERVER_DEADLINE_USED)
        self._tallies: list[Tally] = []
        self.attempt_started = self._counter(meter, names.ATTEMPT_STARTED)
        self.calls = self._counter(meter, names.CALLS)
        self.server_calls = self._counter(meter, names.SERVER_CALLS)
        self.attempts = self._counter(meter, names.ATTEMPTS)
        self.rejected = self._counter(meter, names.REJECTED)
        self.masked_failures = self._counter(meter, names.MASKED_FAILURES)
        self.ambiguous = self._counter(meter, names.AMBIGUOUS)
        self.diverted = self._counter(meter, names.DIVERTED)
        self.observed = self._counter(meter, names.OBSERVED)
        self.breaker_transitions = self._counter(meter, names.BREAKER_TRANSITIONS)
        self.notices = self._counter(meter, names.NOTICES)

    def renew(self) -> None:
        """Count anew with new locks, after a fork."""
        for tally in self._tallies:
            tally.renew()

    def _counter(self, meter: "Meter", metric: names.Metric) -> Tally:
        tally = Tally(metric)
        self._tallies.append(tally)
        meter.create_observable_counter(
            metric.name, [_observe(tally)], metric.unit, metric.description
        )
        return tally


def _observe(
    tally: Tally,
) -> "Callable[[CallbackOptions], Iterable[Observation]]":
    from opentelemetry.metrics import Observation

    def observe(_: "CallbackOptions") -> Iterable["Observation"]:
        return [Observation(value, found) for found, value in tally.counts()]

    return observe
