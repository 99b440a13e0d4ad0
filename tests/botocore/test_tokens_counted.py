"""What a server that deduplicates by token would have done, counted on the wire.

moto executes a token twice, so these rows run against a server that executes nothing:
the tokens that it was sent say how often AWS would have.
"""

import json
from collections import Counter
from typing import NamedTuple
from urllib.parse import parse_qs

import pytest
from botocore.exceptions import ConnectionClosedError

import resilience


FIFO = "http://127.0.0.1/1/jobs.fifo"
TOPIC = "arn:aws:sns:us-east-1:1:orders.fifo"
PLAIN = "http://127.0.0.1/1/jobs"


def _xml(operation):
    """An answer of the query protocol that says nothing."""
    name = operation.title().replace("_", "")
    return f"<R><{name}Result/></R>".encode()


def _json(name):
    return lambda body: json.loads(body).get(name)


def _query(name):
    return lambda body: parse_qs(body.decode()).get(name, [None])[0]


def _entries(name):
    return lambda body: tuple(entry.get(name) for entry in json.loads(body)["Entries"])


def _members(name):
    def read(body):
        fields = parse_qs(body.decode())
        found = [key for key in sorted(fields) if key.endswith(f".{name}")]
        return tuple(fields[key][0] for key in found) or None

    return read


class Row(NamedTuple):
    service: str
    operation: str
    params: dict
    token: object
    """Reads it from a request's body."""
    by_default: bool = False
    """Does botocore fill it, under any policy?"""

    @property
    def name(self):
        return f"{self.service}.{self.operation}"


STACK = {"StackName": "s", "TemplateBody": "{}"}
MESSAGE = {"MessageBody": "m", "MessageGroupId": "g"}
NOTE = {"Message": "m", "MessageGroupId": "g"}
PUT = [{"Put": {"TableName": "t", "Item": {"k": {"S": "a"}}}}]
ROWS = [
    Row(
        "sqs",
        "send_message",
        {"QueueUrl": FIFO, **MESSAGE},
        _json("MessageDeduplicationId"),
    ),
    Row(
        "sqs",
        "send_message_batch",
        {"QueueUrl": FIFO, "Entries": [{"Id": n, **MESSAGE} for n in "ab"]},
        _entries("MessageDeduplicationId"),
    ),
    Row("sqs", "receive_message", {"QueueUrl": FIFO}, _json("ReceiveRequestAttemptId")),
    Row(
        "sns",
        "publish",
        {"TopicArn": TOPIC, **NOTE},
        _query("MessageDeduplicationId"),
    ),
    Row(
        "sns",
        "publish_batch",
        {
            "TopicArn": TOPIC,
            "PublishBatchRequestEntries": [{"Id": n, **NOTE} for n in "ab"],
        },
        _members("MessageDeduplicationId"),
    ),
    Row("cloudformation", "create_stack", STACK, _query("ClientRequestToken")),
    Row("cloudformation", "update_stack", STACK, _query("ClientRequestToken")),
    Row(
        "cloudformation",
        "delete_stack",
        {"StackName": "s"},
        _query("ClientRequestToken"),
    ),
    Row(
        "cloudformation",
        "execute_change_set",
        {"ChangeSetName": "c", "StackName": "s"},
        _query("ClientRequestToken"),
    ),
    Row(
        "ec2",
        "run_instances",
        {"MinCount": 1, "MaxCount": 1},
        _query("ClientToken"),
        by_default=True,
    ),
    Row(
        "ec2",
        "create_volume",
        {"AvailabilityZone": "a"},
        _query("ClientToken"),
        by_default=True,
    ),
    Row(
        "ecs",
        "run_task",
        {"taskDefinition": "t"},
        _json("clientToken"),
        by_default=True,
    ),
    Row(
        "secretsmanager",
        "create_secret",
        {"Name": "s"},
        _json("ClientRequestToken"),
        by_default=True,
    ),
    Row(
        "dynamodb",
        "transact_write_items",
        {"TransactItems": PUT},
        _json("ClientRequestToken"),
        by_default=True,
    ),
    Row(
        "dynamodb",
        "execute_transaction",
        {"TransactStatements": [{"Statement": "DELETE FROM t WHERE k='a'"}]},
        _json("ClientRequestToken"),
        by_default=True,
    ),
]
IS_KEYED = pytest.mark.parametrize("keyed", [False, True], ids=["default", "keyed"])
IS_ROW = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
HAS_TOKEN = pytest.mark.parametrize(
    ("row", "keyed"),
    # Nothing is added where neither botocore does nor the policy asks for it.
    [
        (row, keyed)
        for row in ROWS
        for keyed in (False, True)
        if keyed or row.by_default
    ],
    ids=lambda value: getattr(value, "name", value),
)


@pytest.fixture
def start(wire, connect, make_engine):
    """Return a function: (row, keyed) -> its call, and the tokens that were sent."""

    def make(row, *, keyed):
        rules = {f"{row.service}.*": {"idempotency": "keyed"}} if keyed else {}
        engine = make_engine({"breaker": "off"}, operations=rules)
        client = connect(row.service, engine)
        is_json = row.service in {"dynamodb", "ecs", "secretsmanager", "sqs"}
        answer = b"{}" if is_json else _xml(row.operation)
        wire.default = (200, {}, answer)

        def sent():
            return Counter(row.token(body) for _, _, _, body in wire.seen)

        return lambda: getattr(client, row.operation)(**row.params), sent

    return make


@HAS_TOKEN
def test_a_lost_answer(row, keyed, start, wire):
    """Two requests carry one token, so the effect is there once."""
    call, sent = start(row, keyed=keyed)
    wire.plans = ["drop"]
    call()

    ((token, count),) = sent().items()
    assert token
    assert 2 == count


@HAS_TOKEN
def test_two_calls_are_two_effects(row, keyed, start):
    """Each call without a key means something new."""
    call, sent = start(row, keyed=keyed)
    call()
    call()

    assert [1, 1] == [*sent().values()]


@IS_ROW
def test_one_key_is_one_effect(row, start, wire):
    """A second call under the same key carries the same token; polls are no writes."""
    call, sent = start(row, keyed=True)
    wire.plans = ["drop"]
    with resilience.idempotency_key("order-17"):
        call()
        call()

    effects = 2 if row.operation == "receive_message" else 1
    assert (effects, 3) == (len(sent()), sent().total())


WITHOUT = [
    ("sqs", "send_message", {"QueueUrl": PLAIN, "MessageBody": "m"}, b"{}"),
    ("sns", "publish", {"TopicArn": TOPIC[:-5], "Message": "m"}, _xml("publish")),
    (
        "kinesis",
        "put_record",
        {"StreamName": "s", "Data": b"d", "PartitionKey": "p"},
        b"{}",
    ),
    (
        "kinesis",
        "put_records",
        {"StreamName": "s", "Records": [{"Data": b"d", "PartitionKey": "p"}]},
        b"{}",
    ),
    (
        "lambda",
        "invoke",
        {"FunctionName": "f", "InvocationType": "Event"},
        b"",
    ),
]


@IS_KEYED
@pytest.mark.parametrize("row", WITHOUT, ids=lambda row: f"{row[0]}.{row[1]}")
def test_where_no_token_can_go(row, keyed, wire, connect, make_engine):
    """At least once by contract: repeated; keyed: once, and the honest error."""
    service, operation, params, answer = row
    rules = {f"{service}.*": {"idempotency": "keyed"}} if keyed else {}
    client = connect(service, make_engine({"breaker": "off"}, operations=rules))
    wire.plans, wire.default = ["drop"], (200, {}, answer)
    call = getattr(client, operation)

    if not keyed:
        answered = call(**params)
        if "Payload" in answered:
            answered["Payload"].read()
    else:
        with pytest.raises(ConnectionClosedError) as caught:
            call(**params)
        report = resilience.report(caught.value)
        assert report.ambiguous
        assert "to find out: " in report.hint

    assert (1 if keyed else 2) == wire.count


@IS_KEYED
@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        ("lambda", "invoke", {"FunctionName": "f"}),
        ("events", "put_events", {"Entries": [{"Detail": "{}"}]}),
        ("ec2", "reboot_instances", {"InstanceIds": ["i-1"]}),
        (
            "rds",
            "create_db_instance",
            {"DBInstanceIdentifier": "d", "DBInstanceClass": "c", "Engine": "e"},
        ),
        (
            "dynamodb",
            "execute_statement",
            {"Statement": "UPDATE t SET n=n+1 WHERE k='a'"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_never_repeated(
    *, keyed, service, operation, params, wire, connect, make_engine
):
    """Nothing makes these safe: one request, and the error says what to look at."""
    rules = {f"{service}.*": {"idempotency": "keyed"}} if keyed else {}
    client = connect(service, make_engine({"breaker": "off"}, operations=rules))
    wire.plans = ["drop"]
    with pytest.raises(ConnectionClosedError) as caught:
        getattr(client, operation)(**params)

    report = resilience.report(caught.value)
    assert (1, True) == (wire.count, report.ambiguous)
    assert "to find out: " in report.hint


def test_receiving_under_a_key_with_other_parameters(start, connect, wire, make_engine):
    """A key around a loop of polls claims nothing."""
    rules = {"sqs.*": {"idempotency": "keyed"}}
    sqs = connect("sqs", make_engine(operations=rules))
    with resilience.idempotency_key("order-17"):
        sqs.receive_message(QueueUrl=FIFO)
        sqs.receive_message(QueueUrl=FIFO, MaxNumberOfMessages=3)
        sqs.receive_message(QueueUrl=PLAIN)

    ids = [_json("ReceiveRequestAttemptId")(body) for _, _, _, body in wire.seen]
    assert ids[0] != ids[1]
    assert ids[2] is None
