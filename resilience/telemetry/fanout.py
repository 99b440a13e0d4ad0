"""Hands records to the sinks; a sink that fails is counted and never stops a call."""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from resilience.core.record import Record
from resilience.core.target import Target

from .traces import TraceSink


REPORT_EVERY_S = 60.0
"""A failing sink is said at most once in this many seconds."""

logger = logging.getLogger("resilience")


class Sink(Protocol):
    """Where records go. Must be safe to share between threads, and must not block.

    One that has an attribute `wants_successes = False` is not sent the `CallEnded` of a
    call whose first attempt succeeded, unless another sink wants it: making those
    records is a good part of what a healthy call costs.

    One that has an attribute `wants_draws = True` has each call keep the random numbers
    that it took, for its `CallEnded`.

    One that has a method `emit_step(records)` is handed at once what was recorded at
    one moment. One that has `attempt_started(target)` hears of each gRPC attempt as it
    starts.
    """

    def emit(self, record: Record) -> None:
        """Take one record."""


class Fanout:
    """The sinks of one engine. Safe to share between threads."""

    def __init__(self, sinks: Sequence[Sink] | None) -> None:
        if sinks is None:
            from resilience.telemetry.logs import LogSink

            sinks = (LogSink(),)
        self._sinks: tuple[Sink, ...] = ()
        self.wants_successes = False
        """Whether any sink wants records of clean successes."""
        self.wants_draws = False
        """Whether any sink wants the random numbers that calls took."""
        self.tracer: TraceSink | None = None
        """The sink that makes spans; None: there is none."""
        self.starts: tuple[Callable[[Target], None], ...] = ()
        """Who hears of attempts that start."""
        self.failures = 0
        """Records that a sink could not take."""
        self._next_report = 0.0
        for sink in sinks:
            self.add(sink)

    def add(self, sink: Sink) -> None:
        """Hand records to *sink* too."""
        self._sinks = (*self._sinks, sink)
        self.wants_successes |= bool(getattr(sink, "wants_successes", True))
        self.wants_draws |= bool(getattr(sink, "wants_draws", False))
        started: Callable[[Target], None] | None
        started = getattr(sink, "attempt_started", None)
        if started is not None:
            self.starts = (*self.starts, started)
        if isinstance(sink, TraceSink):
            self._trace_with(sink)

    def _trace_with(self, sink: TraceSink) -> None:
        """One sink makes spans; one that only joins gives way to one with a tracer."""
        idle: TraceSink | None = sink
        if self.tracer is None or self.tracer.tracer is None:
            idle, self.tracer = self.tracer, sink
        if idle is not None:
            idle.is_idle = True

    def emit(self, records: tuple[Record, ...], now: float) -> None:
        """Hand each record to each sink; never raises an `Exception`."""
        for sink in self._sinks:
            at_once = getattr(sink, "emit_step", None)
            if at_once is not None:
                try:
                    at_once(records)
                except Exception as error:  # noqa: BLE001 - it never fails a call
                    self.failed(sink, error, now)
                continue
            for record in records:
                try:
                    sink.emit(record)
                except Exception as error:  # noqa: BLE001 - it never fails a call
                    self.failed(sink, error, now)

    def failed(self, sink: object, error: Exception, now: float) -> None:
        """Count what *sink* could not take; say so, once in a while."""
        self.failures += 1
        if now < self._next_report:
            return
        self._next_report = now + REPORT_EVERY_S
        try:
            text = "sink %s failed %d times, the newest: %r"
            logger.warning(text, type(sink).__name__, self.failures, error)
        except Exception:  # noqa: BLE001, S110 - a log handler may be what fails
            pass

    def renew(self) -> None:
        """Let sinks renew their locks, after a fork."""
        for sink in self._sinks:
            renew = getattr(sink, "renew", None)
            if renew is not None:
                try:
                    renew()
                except Exception as error:  # noqa: BLE001 - as in emit
                    self.failed(sink, error, self._next_report)

    def close(self) -> None:
        """Close the sinks that can be closed."""
        for sink in self._sinks:
            close = getattr(sink, "close", None)
            if close is not None:
                try:
                    close()
                except Exception as error:  # noqa: BLE001 - as in emit
                    self.failed(sink, error, self._next_report)
