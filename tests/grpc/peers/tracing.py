"""Calls that are traced: by us alone, or with OpenTelemetry's instrumentation around.

One exporter for the process, because the instrumentation's global switch knows only the
global provider.
"""

import threading
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
from opentelemetry import trace
from opentelemetry.instrumentation.grpc import (
    GrpcAioInstrumentorClient,
    GrpcInstrumentorClient,
    aio_client_interceptors,
    client_interceptor,
)
from opentelemetry.instrumentation.grpc.grpcext import intercept_channel
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)

import resilience.grpc
import resilience.grpc.aio

from .attempts import WAIT_S
from .clients import TARGET, Client


WAYS = ("alone", "global", "inside", "below our hooks", "outside", "both")
"""How the instrumentation is switched on: not at all, by `instrument()`, around the
channel that we wrap, below or around our interceptors, or around and below."""
OUTSIDE = ("outside", "both")
"""Ways in which its span is the call's."""


class Spans(SpanExporter):
    """Every span that has ended."""

    def __init__(self) -> None:
        self._ended: list[ReadableSpan] = []
        self._changed = threading.Condition()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._changed:
            self._ended += spans
            self._changed.notify_all()
        return SpanExportResult.SUCCESS

    def clear(self) -> None:
        """Forget them."""
        with self._changed:
            self._ended = []

    def wait_for(self, count: int) -> list[ReadableSpan]:
        """Wait until *count* have ended; all that have, in order of their starts."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self._ended) >= count, WAIT_S)
            assert came, [span.name for span in self._ended]
            return sorted(self._ended, key=lambda span: span.start_time)

    def tree(self, attempts: int) -> tuple[ReadableSpan, list[ReadableSpan]]:
        """The one call's span, and those of its *attempts*, its children."""
        spans = self.wait_for(attempts + 1)
        [root] = [span for span in spans if span.parent is None]
        children = [span for span in spans if span is not root]
        assert [root.context.span_id] * attempts == [
            span.parent.span_id for span in children
        ], [(span.name, span.parent) for span in spans]
        return root, children


def provider() -> tuple[TracerProvider, Spans]:
    """A provider and what it has exported."""
    made, spans = TracerProvider(), Spans()
    made.add_span_processor(SimpleSpanProcessor(spans))
    return made, spans


PROVIDER, SPANS = provider()


def use_global() -> None:
    """Make `PROVIDER` the global one; once for each process."""
    if trace.get_tracer_provider() is not PROVIDER:
        trace.set_tracer_provider(PROVIDER)


class TracedClient(Client):
    """A client whose calls meet the instrumentation in one of `WAYS`."""

    def __init__(self, way: str, style: str, address: str, engine: Any) -> None:
        self._way = way
        super().__init__(style, address, engine)

    def _open(self) -> Any:
        if self.style == "asyncio":
            return super()._open()
        if self._way == "global":
            with_global(GrpcInstrumentorClient())
            try:
                return super()._open()
            finally:
                GrpcInstrumentorClient().uninstrument()
        bare = grpc.insecure_channel(self._address, self._options)
        self._stack.enter_context(bare)
        if self._way in ("inside", "below our hooks", "both"):
            bare = intercept_channel(bare, client_interceptor(PROVIDER))
        if self._way == "below our hooks":
            ours = resilience.grpc.client_interceptor(self.engine, target=TARGET)
            return grpc.intercept_channel(bare, ours)
        ours = resilience.grpc.intercept_channel(bare, self.engine, target=TARGET)
        if self._way in OUTSIDE:
            return intercept_channel(ours, client_interceptor(PROVIDER))
        return ours

    async def _open_aio(self) -> Any:
        if self._way == "global":
            with_global(GrpcAioInstrumentorClient())
            try:
                return await super()._open_aio()
            finally:
                GrpcAioInstrumentorClient().uninstrument()
        theirs = aio_client_interceptors(PROVIDER)
        ours = resilience.grpc.aio.client_interceptors(self.engine, target=TARGET)
        layers: list[Any] = {
            "below our hooks": [*ours, *theirs],
            "outside": [*theirs, *ours],
            "both": [*theirs, *ours, *aio_client_interceptors(PROVIDER)],
            "inside": theirs,
        }.get(self._way, [])
        bare = grpc.aio.insecure_channel(
            self._address, options=self._options, interceptors=layers
        )
        if self._way in ("alone", "inside"):
            wrap = resilience.grpc.aio.intercept_channel
            return wrap(bare, self.engine, target=TARGET)
        return bare


def with_global(instrumentor: Any) -> None:
    """Switch *instrumentor* on with the global provider."""
    instrumentor.instrument(tracer_provider=PROVIDER, skip_dep_check=True)
