"""Ids of AWS's support in lines, notes and reports; names of things in no metric."""

import logging

import pytest
from botocore.exceptions import ClientError
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import resilience
from resilience.context import serving
from resilience.inbound import Inbound
from resilience.telemetry.logs import LogSink
from resilience.telemetry.metrics import MetricsSink
from tests.botocore.answers import js, xml


IDS = {"x-amz-request-id": "R1", "x-amz-id-2": "H1"}
MORE = {"x-amz-request-id": "R2", "x-amz-id-2": "H2"}


def lines(caplog):
    return [r.resilience for r in caplog.records if hasattr(r, "resilience")]


@pytest.fixture
def logged(connect, make_engine, caplog):
    """Return a client of S3 whose calls are logged."""
    caplog.set_level(logging.INFO, "resilience")
    engine = make_engine()
    engine.add_sink(LogSink())
    return connect("s3", engine)


def test_a_failed_call(logged, wire, caplog):
    """Each line, the note and the report have both ids."""
    wire.plans = [xml(403, "AccessDenied", IDS)]
    with pytest.raises(ClientError) as caught:
        logged.get_object(Bucket="b", Key="k")
    report = resilience.report(caught.value)

    assert [("R1", "H1")] * 2 == [
        (line["request_id"], line["host_id"]) for line in lines(caplog)
    ]
    assert {"request_id": "R1", "host_id": "H1"}.items() <= dict(report.ids).items()
    (note,) = caught.value.__notes__
    assert "; request_id R1; host_id H1" in note


def test_a_call_that_recovered(logged, wire, caplog):
    """The failed attempt has its ids, and the call those of its success."""
    wire.plans = [xml(503, "SlowDown", IDS), (200, MORE, b"data")]
    logged.get_object(Bucket="b", Key="k")["Body"].read()

    assert [("R1", "H1"), ("R2", "H2")] == [
        (line["request_id"], line["host_id"]) for line in lines(caplog)
    ]


def test_no_answer(logged, wire, caplog):
    """Without an answer there is the id that the request itself carried."""
    wire.plans = ["drop"]
    logged.get_object(Bucket="b", Key="k")["Body"].read()

    sent = wire.header("amz-sdk-invocation-id")
    assert sent[0] == lines(caplog)[0]["invocation_id"]


def test_ids_of_other_protocols(connect, make_engine, wire):
    """Services with JSON name the header otherwise."""
    wire.plans = [js(400, "ValidationException", {"x-amzn-requestid": "R3"})]
    with pytest.raises(ClientError) as caught:
        connect("dynamodb", make_engine()).list_tables()

    assert "R3" == dict(resilience.report(caught.value).ids)["request_id"]


@pytest.mark.parametrize("scope", [["region"], ["region", "bucket"]])
def test_buckets_are_no_labels(scope, connect, make_engine, wire):
    """No metric has a bucket in an attribute, though a breaker has one for each."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    breaker = {"scope": scope, "min_calls": 1, "failure_ratio": 0.01}
    engine = make_engine({"breaker": {**breaker, "mode": "observe"}})
    engine.add_sink(MetricsSink(provider))
    client = connect("s3", engine)
    wire.default = (500, {}, b"")
    for bucket in ("secret-one", "secret-two"):
        with pytest.raises(ClientError):
            client.get_object(Bucket=bucket, Key="k")
    text = reader.get_metrics_data().to_json()
    provider.shutdown()

    assert "s3.GetObject" in text
    assert "secret" not in text


@pytest.mark.parametrize("deadline", [None, 60.0])
@pytest.mark.parametrize(("before", "requests"), [(0, 3), (1, 2), (2, 1), (9, 1)])
def test_a_call_inside_a_retry_spends_less(
    *, deadline, before, requests, connect, make_engine, wire
):
    """Attempts that the caller made before count, so that layers do not multiply."""
    engine = make_engine({"breaker": "off"})
    client = connect("sqs", engine)
    wire.default = (500, {}, b"")
    at = None if deadline is None else engine.now() + deadline
    with serving(Inbound(deadline_at=at, previous_attempts=before)):
        with pytest.raises(ClientError):
            client.list_queues()
        count = wire.count
    with pytest.raises(ClientError):
        client.list_queues()

    assert (requests, 3) == (count, wire.count - count)
