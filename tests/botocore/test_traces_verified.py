"""A write whose answer was lost, and that was found: telemetry calls it a success."""

import logging

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import resilience
from resilience.telemetry import names
from resilience.telemetry.logs import LogSink
from resilience.telemetry.traces import TraceSink


pytestmark = pytest.mark.real
PUT = {"Bucket": "orders", "Key": "1", "Body": b"x"}
PATIENT = {"retry": {"initial_backoff": "1ms"}}
WATCHING = {"mode": "observe", "min_calls": 1, "failure_ratio": 0.01}


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def keyed(faulting, connect, make_engine, exporter, sink):
    """Return a function that makes a client of a bucket, whose writes are keyed."""

    def make(**rules):
        rules = {"idempotency": "keyed", "breaker": WATCHING, **PATIENT, **rules}
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        engine = make_engine(operations={"s3.PutObject": rules})
        engine.add_sink(LogSink())
        engine.add_sink(TraceSink(provider))
        client = connect("s3", engine, endpoint_url=faulting.url)
        client.create_bucket(Bucket="orders")
        sink.records.clear()
        exporter.clear()
        return client

    return make


def of_put(sink, kind):
    return [r for r in sink.of(kind) if r.target.method == "PutObject"]


CAUSES = {
    "refused repeat": {},
    "no attempt left": {"retry": {"max_attempts": 1}},
    "no budget left": {"retry_budget": {"kind": "quota", "capacity": 1}},
    "no repeats at all": {"retry": "off"},
}


@pytest.mark.parametrize("cause", CAUSES)
def test_a_lost_answer(cause, keyed, faulting, sink, caplog):
    """The attempt failed and counts as that; the call succeeded, and says how."""
    caplog.set_level(logging.INFO, "resilience")
    client = keyed(**CAUSES[cause])
    faulting.plan = ["after"]
    client.put_object(**PUT, IfNoneMatch="*")
    (end,), attempts = of_put(sink, "CallEnded"), of_put(sink, "AttemptEnded")

    assert ("ok", "verified", False) == (end.outcome.kind, end.reason, end.ambiguous)
    assert "ConnectionClosedError" == end.first_code
    assert ("return", "verified") == (attempts[-1].decision, attempts[-1].reason)
    assert len(attempts) == end.attempts
    assert "ConnectionClosedError" == attempts[0].outcome.code
    assert sink.of("BreakerChanged")
    assert "call recovered: " in caplog.text
    assert "call failed: " not in caplog.text


def test_its_spans(keyed, faulting, exporter):
    """The attempt's span failed, the call's did not, and the decision stands on it."""
    client = keyed(retry={"max_attempts": 1})
    faulting.plan = ["after"]
    client.put_object(**PUT)
    found = {span.name: span for span in exporter.get_finished_spans()}
    call = found["Sent.s3.PutObject"]

    assert StatusCode.OK is call.status.status_code
    assert "verified" == call.attributes[names.REASON]
    assert [names.EVENT_BREAKER, names.EVENT_STOP] == [e.name for e in call.events]
    assert "verified" == call.events[1].attributes[names.REASON]
    assert StatusCode.ERROR is found["Attempt.s3.PutObject"].status.status_code


def test_a_write_of_an_earlier_call(keyed, sink):
    """What is there before anything is sent took no attempt."""
    client = keyed()
    with resilience.idempotency_key("order-17"):
        client.put_object(**PUT)
        first = len(of_put(sink, "CallEnded"))
        client.put_object(**PUT)
    end = of_put(sink, "CallEnded")[-1]

    assert 1 == first
    assert ("ok", "verified", 0) == (end.outcome.kind, end.reason, end.attempts)


def test_a_write_that_is_not_there(keyed, faulting, sink):
    """Looked for and not found, the call failed, and is recorded once."""
    client = keyed(retry={"max_attempts": 1})
    faulting.plan = ["before"]
    with pytest.raises(Exception, match="closed"):
        client.put_object(**PUT)
    (end,), (attempt,) = of_put(sink, "CallEnded"), of_put(sink, "AttemptEnded")

    assert ("transport", "attempts-exhausted") == (end.outcome.kind, end.reason)
    assert "fail" == attempt.decision


def test_a_healthy_write(keyed, sink):
    """A keyed write without trouble is an ordinary success."""
    keyed().put_object(**PUT)
    (end,) = of_put(sink, "CallEnded")

    assert ("ok", "ok", 1) == (end.outcome.kind, end.reason, end.attempts)
