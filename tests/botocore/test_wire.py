"""The first law on the wire: what a server is sent does not change."""

import io
import re

import pytest
from botocore.exceptions import ClientError, HTTPClientError

import resilience
import resilience.botocore


MODES = ["legacy", "standard", "adaptive"]
SIGNED = re.compile(rb"Signature=[0-9a-f]+|[0-9]{8}T[0-9]{6}Z")
VOLATILE = {"amz-sdk-invocation-id", "x-amz-date", "authorization", "date"}

CALLS = {
    "s3-put": ("s3", lambda c: c.put_object(Bucket="b", Key="k", Body=b"data")),
    "s3-stream": (
        "s3",
        lambda c: c.put_object(Bucket="b", Key="k", Body=io.BytesIO(b"data")),
    ),
    "s3-get": ("s3", lambda c: c.get_object(Bucket="b", Key="k")["Body"].read()),
    "dynamodb-update": (
        "dynamodb",
        lambda c: c.update_item(TableName="t", Key={"k": {"S": "1"}}),
    ),
    "sqs-receive": (
        "sqs",
        lambda c: c.receive_message(QueueUrl="http://q/1/q", WaitTimeSeconds=3),
    ),
    "ec2-run": (
        "ec2",
        lambda c: c.run_instances(MinCount=1, MaxCount=1, ClientToken="t"),
    ),
    "lambda-invoke": ("lambda", lambda c: c.invoke(FunctionName="f", Payload=b"{}")),
}


def normal(request):
    """One request, without what differs between any two of them."""
    command, path, headers, body = request
    kept = [
        (name, re.sub(r"ttl=[^;]*", "ttl", value))
        for name, value in headers
        if name not in VOLATILE
    ]
    return command, path, kept, body


def sent(wire, client, call):
    """Return what *call* sent; its error, if any, by type and text."""
    wire.seen = []
    try:
        call(client)
        end = None
    except (ClientError, HTTPClientError) as error:
        end = type(error).__name__, SIGNED.sub(b"", str(error).encode())
    return [normal(request) for request in wire.seen], end


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("mode", MODES)
def test_healthy_calls_are_the_same(name, mode, wire, connect, make_engine):
    """Under the built-in policy a healthy call is sent exactly as a bare one."""
    service, call = CALLS[name]
    body = {"s3": b"", "ec2": b"<RunInstancesResponse/>"}.get(service, b"{}")
    wire.default = (200, {}, body)
    bare = sent(wire, connect(service, mode=mode), call)
    ours = sent(wire, connect(service, make_engine(), mode=mode), call)

    assert bare == ours


@pytest.mark.parametrize("word", ["observe", "bypass"])
@pytest.mark.parametrize("fault", ["500", "503-once", "drop", "drop-once", "404"])
@pytest.mark.parametrize("mode", MODES)
def test_faults_are_left_alone(
    *, word, fault, mode, wire, connect, make_engine, monkeypatch
):
    """Observing and bypassing leave requests, retries and errors as they are bare."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    plans = {
        "500": [500] * 12,
        "503-once": [503],
        "drop": ["drop"] * 12,
        "drop-once": ["drop"],
        "404": [404],
    }[fault]

    def run(client):
        wire.plans = plans[:]
        return sent(wire, client, lambda c: c.update_item(TableName="t", Key={}))

    bare = run(connect("dynamodb", mode=mode))
    ours = run(connect("dynamodb", make_engine(mode=word), mode=mode))

    assert bare == ours


def test_observing_records_what_happened(wire, connect, make_engine, sink, monkeypatch):
    """Every native attempt is recorded, and each call ends once."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    client = connect("sqs", make_engine(mode="observe"))
    wire.plans = [500, "drop"]

    client.list_queues()

    codes = [record.outcome.code for record in sink.of("AttemptEnded")]
    ends = [(end.reason, end.attempts) for end in sink.of("CallEnded")]
    assert ["500", "ConnectionClosedError", "OK"] == codes
    assert [("ok", 3)] == ends


def test_no_timeout_is_made_up(wire, connect, make_engine):
    """Without a time in policy or surroundings botocore's own timeouts stand."""
    client = connect("sqs", make_engine())
    seen = []
    client.meta.events.register(
        "request-created", lambda request, **_: seen.append(dict(request.context))
    )

    client.list_queues()

    assert "read_timeout" not in seen[0]


def test_unregistered_session_is_bare(wire, connect, session, make_engine, monkeypatch):
    """After `unregister` clients that exist behave as if we had never been there."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    client = connect("sqs", make_engine({"retry": "off"}), mode="legacy")
    wire.plans = [500]
    with pytest.raises(Exception, match="500"):
        client.list_queues()
    resilience.botocore.unregister(session)
    wire.seen, wire.plans = [], [500] * 9

    with pytest.raises(Exception, match="reached max retries: 4") as caught:
        client.list_queues()

    assert 5 == wire.count
    assert resilience.report(caught.value) is None
