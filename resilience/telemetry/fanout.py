"""Hands records to the sinks; a sink that fails is counted and never stops a call."""

import logging
from collections.abc import Sequence
from typing import Protocol

from resilience.core.record import Record


REPORT_EVERY_S = 60.0
"""A failing sink is said at most once in this many seconds."""

logger = logging.getLogger("resilience")


class Sink(Protocol):
    """Where records go. Must be safe to share between threads, and must not block.

    One that has an attribute `wants_successes = False` is not sent the `CallEnded` of a
    call whose first attempt succeeded, unless another sink wants it: making those
    records is a good part of what a healthy call costs.
    """

    def emit(self, record: Record) -> None:
        """Take one record."""


class Fanout:
    """The sinks of one engine. Safe to share between threads."""

    def __init__(self, sinks: Sequence[Sink] | None) -> None:
        if sinks is None:
            from resilience.telemetry.logs import LogSink

            sinks = (LogSink(),)
        self._sinks = tuple(sinks)
        self.wants_successes = any(
            getattr(sink, "wants_successes", True) for sink in self._sinks
        )
        """Whether any sink wants records of clean successes."""
        self.failures = 0
        """Records that a sink could not take."""
        self._next_report = 0.0

    def emit(self, records: tuple[Record, ...], now: float) -> None:
        """Hand each record to each sink; never raises an `Exception`."""
        for sink in self._sinks:
            for record in records:
                try:
                    sink.emit(record)
                except Exception as error:  # noqa: BLE001 - it never fails a call
                    self._failed(sink, error, now)

    def _failed(self, sink: Sink, error: Exception, now: float) -> None:
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
                    self._failed(sink, error, self._next_report)

    def close(self) -> None:
        """Close the sinks that can be closed."""
        for sink in self._sinks:
            close = getattr(sink, "close", None)
            if close is not None:
                try:
                    close()
                except Exception as error:  # noqa: BLE001 - as in emit
                    self._failed(sink, error, self._next_report)
