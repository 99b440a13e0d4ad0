"""The fan-out: every sink gets every record, and no sink can hurt a call."""

import logging

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.trace import NoOpTracerProvider

from resilience.core.outcome import OK
from resilience.telemetry.fanout import REPORT_EVERY_S, Fanout
from resilience.telemetry.logs import LogSink
from resilience.telemetry.metrics import MetricsSink
from resilience.telemetry.traces import TraceSink
from resilience.testing import CollectingSink


def traced():
    return TraceSink(NoOpTracerProvider())


class Broken:
    """A sink that takes nothing."""

    def emit(self, record):
        msg = "disk full"
        raise OSError(msg)

    def close(self):
        msg = "still full"
        raise OSError(msg)


def test_a_broken_sink_is_counted(records, caplog):
    """What a sink raises is counted, and the other sinks get the record."""
    after = CollectingSink()
    fanout = Fanout([Broken(), after])
    fanout.emit((records.call(), records.call()), 0.0)

    assert fanout.failures == 2
    assert len(after.records) == 2


def test_one_bad_record_does_not_take_the_next(records):
    """A sink that fails on one record is still given the next one of the same step."""

    class Picky(CollectingSink):
        def emit(self, record):
            if record.outcome is not OK:
                raise ValueError
            super().emit(record)

    picky = Picky()
    Fanout([picky]).emit((records.attempt(), records.call()), 0.0)

    assert [records.call()] == picky.records


def test_a_broken_sink_is_said_once_per_interval(records, caplog):
    """A failing sink is one warning a minute, not one per record."""
    fanout = Fanout([Broken()])
    for number in range(100):
        fanout.emit((records.call(),), number / 10)
    fanout.emit((records.call(),), REPORT_EVERY_S)

    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "Broken failed 101 times" in caplog.records[1].getMessage()


def test_a_broken_log_handler_fails_nothing(records):
    """A handler that raises is counted like any sink, even while that is said."""

    class Angry(logging.Handler):
        def emit(self, record):
            raise RuntimeError

    logger = logging.getLogger("resilience")
    angry = Angry()
    logger.addHandler(angry)
    try:
        fanout = Fanout([LogSink()])
        fanout.emit((records.call(records.refused),), 0.0)
    finally:
        logger.removeHandler(angry)

    assert fanout.failures == 1


def test_closing_a_broken_sink_closes_the_others(records):
    """`close` goes on after a sink that raises; sinks without one are left alone."""
    closed = []

    class Closing(CollectingSink):
        def close(self):
            closed.append(self)

    last = Closing()
    Fanout([Broken(), CollectingSink(), last]).close()

    assert [last] == closed


def test_logs_by_default():
    """With no sinks named, records go to the log; an empty list means none."""
    assert [LogSink] == [type(sink) for sink in Fanout(None)._sinks]
    assert Fanout([])._sinks == ()


def test_what_was_recorded_at_one_moment(records):
    """A sink that asks for it is given a step's records together."""
    steps = []

    class Whole(CollectingSink):
        def emit_step(self, given):
            steps.append(given)

    fanout = Fanout([Whole()])
    fanout.emit((records.attempt(), records.call()), 0.0)

    assert steps == [(records.attempt(), records.call())]


def test_a_sink_that_takes_no_step_is_counted(records, caplog):
    """What `emit_step` raises is counted as well."""

    class Torn(Broken):
        def emit_step(self, _):
            raise OSError

    fanout = Fanout([Torn()])
    fanout.emit((records.call(),), 0.0)

    assert fanout.failures == 1


def test_sinks_that_come_later():
    """A sink that is added later is asked for what it wants as the others are."""
    fanout = Fanout([LogSink()])
    quiet = (fanout.wants_successes, fanout.starts, fanout.tracer)
    tracer = TraceSink()
    fanout.add(tracer)
    fanout.add(MetricsSink(MeterProvider()))

    assert quiet == (False, (), None)
    assert fanout.wants_successes  # the metrics do
    assert len(fanout.starts) == 1
    assert fanout.tracer is tracer


def test_one_sink_makes_spans():
    """Of several trace sinks the first with a tracer makes spans, the others none."""
    joining, first, second = TraceSink(), traced(), traced()
    fanout = Fanout([joining, first, second])

    assert fanout.tracer is first
    assert (joining.is_idle, first.is_idle, second.is_idle) == (True, False, True)
