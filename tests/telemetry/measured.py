"""A metrics sink, and what it has measured, as an exporter would see it."""

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from resilience.telemetry.metrics import MetricsSink
from resilience.telemetry.names import Metric


class Meter:
    """A metrics sink and what it has measured so far."""

    def __init__(self, **options: int) -> None:
        self.reader = InMemoryMetricReader()
        self.sink = MetricsSink(MeterProvider([self.reader]), **options)

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def sums(self, metric: Metric) -> dict[tuple[Any, ...], float]:
        """Counted values by the values of their attributes."""
        found = {}
        for point in self.points(metric.name):
            value = point.value if hasattr(point, "value") else point.count
            found[tuple(point.attributes.values())] = value
        return found
