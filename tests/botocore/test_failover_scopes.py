"""One bad bucket, table, queue, operation or host does not stop the rest."""

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from resilience.botocore.labels import named
from resilience.botocore.rejected import BotocoreRejected


QUEUE = "http://sqs.us-east-1.amazonaws.com/1/"
TABLE = {"Key": {"k": {"S": "a"}}}
ROWS = [
    ("s3", "head_object", "bucket", {"Bucket": "bad", "Key": "1"}, {"Bucket": "ok"}),
    (
        "dynamodb",
        "get_item",
        "table",
        {"TableName": "bad", **TABLE},
        {"TableName": "ok"},
    ),
    (
        "sqs",
        "get_queue_attributes",
        "queue",
        {"QueueUrl": f"{QUEUE}bad"},
        {"QueueUrl": f"{QUEUE}ok"},
    ),
    (
        "lambda",
        "get_function",
        "function",
        {"FunctionName": "bad"},
        {"FunctionName": "ok"},
    ),
]


def breaker(*scope):
    found = {"scope": [*scope], "min_calls": 2, "window": "10 calls", "open_for": "60s"}
    return {"breaker": found, "retry": "off"}


def fail(call, params, times=3):
    """Call until the breaker refuses."""
    for _ in range(times):
        try:
            call(**params)
        except BotocoreRejected:
            return True
        except (ClientError, BotoCoreError):
            pass
    return False


@pytest.mark.parametrize(("service", "method", "dimension", "bad", "good"), ROWS)
def test_one_bad_resource(
    wire, connect, make_engine, *, service, method, dimension, bad, good
):
    """The breaker of one resource opens for it alone."""
    client = connect(service, make_engine(breaker("service", "region", dimension)))
    call = getattr(client, method)
    wire.plans = [500, 500]

    assert fail(call, bad)
    call(**{**bad, **good})
    assert 3 == wire.count


@pytest.mark.parametrize("scope", [("operation",), ("service", "operation")])
def test_one_bad_operation(wire, connect, make_engine, scope):
    """The breaker of one operation leaves the others of its service alone."""
    s3 = connect("s3", make_engine(breaker(*scope)))
    wire.plans = [500, 500]

    assert fail(s3.head_object, {"Bucket": "b", "Key": "1"})
    s3.head_bucket(Bucket="b")
    assert 3 == wire.count


def test_one_bad_host(wire, session, connect, make_engine):
    """Clients of one service that send to different hosts do not share a breaker."""
    engine = make_engine(breaker("host"))
    s3 = connect("s3", engine)
    other = session.client(
        "s3", endpoint_url=wire.url.replace("127.0.0.1", "localhost")
    )
    wire.plans = [500, 500]
    at = {"Bucket": "b", "Key": "1"}

    assert fail(s3.head_object, at)
    other.head_object(**at)


def test_one_bad_service(wire, connect, make_engine):
    """By default a service in a region has a breaker of its own."""
    engine = make_engine({"breaker": {"min_calls": 2, "window": "10 calls"}})
    s3, sqs = connect("s3", engine), connect("sqs", engine)
    wire.default = 500

    assert fail(s3.head_object, {"Bucket": "b", "Key": "1"})
    wire.default = (200, {}, b"{}")
    sqs.list_queues()


@pytest.mark.parametrize(
    ("dimension", "params", "expected"),
    [
        ("bucket", {"Bucket": "b"}, "b"),
        ("table", {"TableName": "t"}, "t"),
        ("table", {"TableName": "arn:aws:dynamodb:eu-west-1:1:table/t"}, "t"),
        ("table", {"RequestItems": {"t": {}}}, "t"),
        ("table", {"RequestItems": {"t": {}, "u": {}}}, None),
        ("table", {}, None),
        ("queue", {"QueueUrl": f"{QUEUE}q"}, "q"),
        ("queue", {"QueueName": "q"}, "q"),
        ("topic", {"TopicArn": "arn:aws:sns:eu-west-1:1:t"}, "t"),
        ("stream", {"StreamName": "s"}, "s"),
        ("stream", {"StreamARN": "arn:aws:kinesis:eu-west-1:1:stream/s"}, "s"),
        ("function", {"FunctionName": "f"}, "f"),
        ("function", {"FunctionName": "f:live"}, "f"),
        ("function", {"FunctionName": "1:function:f"}, "f"),
        ("function", {"FunctionName": "arn:aws:lambda:eu-west-1:1:function:f:9"}, "f"),
        ("bucket", {"Bucket": b"b"}, None),
    ],
)
def test_names_of_resources(dimension, params, expected):
    """A resource has one name, however a caller names it."""
    wanted = () if expected is None else ((dimension, expected),)

    assert wanted == named((dimension,), params)
