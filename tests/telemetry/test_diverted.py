"""What telemetry tells of calls that somebody else was asked to answer."""

import logging

import pytest

from resilience.core.record import Diverted
from resilience.core.target import Target
from resilience.telemetry import names
from resilience.telemetry.logs import LogSink
from tests.telemetry.measured import Meter


TARGET = Target(protocol="aws", name="s3", service="s3", method="GetObject")


def diverted(code="OK"):
    return Diverted(
        *("c", TARGET, "failover", "eu-west-1", code, "breaker-open", 0.25, 1.0)
    )


@pytest.mark.parametrize(("code", "level"), [("OK", "INFO"), ("503", "WARNING")])
def test_a_line(caplog, code, level):
    """One line: who was asked, why, and what came of it."""
    caplog.set_level(logging.INFO, "resilience")
    LogSink().emit(diverted(code))

    (line,) = caplog.records
    assert level == line.levelname
    assert "failover to eu-west-1" == line.resilience["event"]
    assert ("eu-west-1", code, "breaker-open") == tuple(
        line.resilience[key] for key in ("place", "code", "reason")
    )


def test_many_lines_are_folded(caplog):
    """Alike lines of an outage are written a few times and counted."""
    caplog.set_level(logging.INFO, "resilience")
    sink = LogSink(said=2)
    for _ in range(10):
        sink.emit(diverted())
    sink.close()

    assert 3 == len(caplog.records)
    assert 8 == caplog.records[-1].resilience["folded"]


def test_a_count():
    """The counter tells mechanism, place and code, and no bucket."""
    meter = Meter()
    for code in ("OK", "OK", "503"):
        meter.sink.emit(diverted(code))

    found = {
        point.attributes["resilience.code"]: point
        for point in meter.points(names.DIVERTED.name)
    }
    assert (2, 1) == (found["OK"].value, found["503"].value)
    assert "eu-west-1" == found["OK"].attributes["resilience.place"]
