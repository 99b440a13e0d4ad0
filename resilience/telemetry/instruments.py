"""The instruments that records feed: counters and histograms of one meter.

One attribute per metric of `names.py` that is not a gauge; bucket bounds go along as
advice, which a view of the application overrides.
"""

from typing import TYPE_CHECKING

from . import names


if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, Meter


class Instruments:
    """All counters and histograms. Safe to share between threads."""

    def __init__(self, meter: "Meter") -> None:
        def counter(metric: names.Metric) -> "Counter":
            return meter.create_counter(metric.name, metric.unit, metric.description)

        def histogram(metric: names.Metric) -> "Histogram":
            return meter.create_histogram(
                metric.name,
                metric.unit,
                metric.description,
                explicit_bucket_boundaries_advisory=metric.buckets,
            )

        self.attempt_started = counter(names.ATTEMPT_STARTED)
        self.attempt_duration = histogram(names.ATTEMPT_DURATION)
        self.call_duration = histogram(names.CALL_DURATION)
        self.call_retries = histogram(names.CALL_RETRIES)
        self.call_transparent_retries = histogram(names.CALL_TRANSPARENT_RETRIES)
        self.call_retry_delay = histogram(names.CALL_RETRY_DELAY)
        self.calls = counter(names.CALLS)
        self.attempts = counter(names.ATTEMPTS)
        self.rejected = counter(names.REJECTED)
        self.masked_failures = counter(names.MASKED_FAILURES)
        self.ambiguous = counter(names.AMBIGUOUS)
        self.observed = counter(names.OBSERVED)
        self.breaker_transitions = counter(names.BREAKER_TRANSITIONS)
        self.notices = counter(names.NOTICES)
