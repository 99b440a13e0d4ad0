"""What operations declare about being repeated."""

import contextlib
import socket
import struct
import threading

import botocore
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from packaging.version import Version

import resilience
from resilience.botocore import declared
from resilience.botocore.idempotency_table import TABLE, written


loader = Loader()
IS_NEW = Version("1.44.5") <= Version(botocore.__version__)
NEWER = {
    "dynamodb": "Search* CancelBulkOperation StartBulk*",
    "ec2": "Validate* BatchModify*",
    "kinesis": "ReceiveQueueRecords ReceiveDeadLetterQueueRecords Acknowledge* "
    "RestoreDeadLetterQueueRecords",
    "lambda": "SendDurableExecutionCallback* CheckpointDurable* Stop* Pause* Resume*",
}
"""Words of the table for operations that came between 1.41.0 and 1.44.5."""


def service_model(service):
    return ServiceModel(loader.load_service_model(service, "service-2"), service)


@pytest.mark.parametrize("service", sorted({*TABLE} - {"stepfunctions", "swf"}))
def test_the_table_is_complete(service):
    """Each operation of these services has an entry with a reason, or a token."""
    model = service_model(service)
    missing = []
    for name in model.operation_names:
        found = written(service, name)
        if found is None or not found.reason:
            word, _ = declared(service, name, model.operation_model(name))
            if word != "keyed":
                missing.append(name)

    assert [] == missing


@pytest.mark.parametrize("service", TABLE)
def test_the_table_names_what_exists(service):
    """No row stands for an operation that no release ever had."""
    names = service_model(service).operation_names
    idle = {
        word
        for row in TABLE[service]
        for word in row.operations.split()
        if not any(n == word or n.startswith(word.rstrip("*")) for n in names)
    }

    assert idle <= (set() if IS_NEW else set(NEWER.get(service, "").split()))


@pytest.mark.parametrize(
    ("service", "operation", "params", "expected"),
    [
        ("s3", "PutObject", {}, "safe"),
        ("s3", "PutObject", {"IfNoneMatch": "*"}, "none"),
        ("s3", "PutObject", {"IfMatch": "e"}, "none"),
        ("s3", "PutObject", {"WriteOffsetBytes": 3}, "none"),
        ("s3", "GetObject", {}, "safe"),
        ("s3", "DeleteObject", {}, "safe"),
        ("s3", "DeleteObject", {"IfMatch": "e"}, "none"),
        ("s3", "CreateMultipartUpload", {}, "accept_duplicates"),
        ("s3", "CompleteMultipartUpload", {}, "safe"),
        ("s3", "CompleteMultipartUpload", {"IfNoneMatch": "*"}, "none"),
        ("s3", "RenameObject", {}, "keyed"),
        ("dynamodb", "GetItem", {}, "safe"),
        ("dynamodb", "PutItem", {}, "safe"),
        ("dynamodb", "PutItem", {"ConditionExpression": "x"}, "none"),
        ("dynamodb", "PutItem", {"ReturnValues": "ALL_OLD"}, "none"),
        ("dynamodb", "PutItem", {"ReturnValues": "NONE"}, "safe"),
        ("dynamodb", "UpdateItem", {}, "none"),
        ("dynamodb", "DeleteItem", {"Expected": {"a": {}}}, "none"),
        ("dynamodb", "TransactWriteItems", {}, "keyed"),
        ("dynamodb", "ExecuteTransaction", {}, "keyed"),
        ("dynamodb", "ExecuteStatement", {"Statement": " select *"}, "safe"),
        ("dynamodb", "ExecuteStatement", {"Statement": "UPDATE t"}, "none"),
        ("dynamodb", "BatchExecuteStatement", {"Statements": []}, "safe"),
        ("sqs", "SendMessage", {}, "accept_duplicates"),
        ("sqs", "SendMessage", {"MessageDeduplicationId": "d"}, "keyed"),
        (
            "sqs",
            "SendMessageBatch",
            {"Entries": [{"MessageDeduplicationId": "d"}, {}]},
            "accept_duplicates",
        ),
        (
            "sqs",
            "SendMessageBatch",
            {"Entries": [{"MessageDeduplicationId": "d"}]},
            "keyed",
        ),
        ("sqs", "ReceiveMessage", {}, "accept_duplicates"),
        ("sqs", "PurgeQueue", {}, "none"),
        ("sns", "Publish", {}, "accept_duplicates"),
        ("kinesis", "PutRecord", {}, "accept_duplicates"),
        ("kinesis", "PutRecords", {}, "accept_duplicates"),
        ("lambda", "Invoke", {}, "none"),
        ("lambda", "Invoke", {"InvocationType": "Event"}, "accept_duplicates"),
        ("lambda", "Invoke", {"InvocationType": "DryRun"}, "safe"),
        ("ec2", "RunInstances", {}, "keyed"),
        ("ec2", "DescribeInstances", {}, "safe"),
        ("ec2", "TerminateInstances", {}, "safe"),
        ("ec2", "RebootInstances", {}, "none"),
        ("ec2", "CreateVpc", {}, "none"),
        ("ec2", "CreateTags", {}, "safe"),
        ("ec2", "AllocateAddress", {}, "none"),
        ("ec2", "AcceptReservedInstancesExchangeQuote", {}, "none"),
        ("sts", "AssumeRole", {}, "safe"),
        ("rds", "CreateDBInstance", {}, "none"),
        ("rds", "DescribeDBInstances", {}, "safe"),
        ("events", "PutEvents", {}, "none"),
        ("ses", "SendEmail", {}, "none"),
        ("ecs", "RunTask", {}, "keyed"),
        ("secretsmanager", "CreateSecret", {}, "keyed"),
        ("athena", "StartQueryExecution", {}, "safe"),
        ("cloudformation", "CreateStack", {}, "none"),
        ("cloudformation", "CreateStack", {"ClientRequestToken": "t"}, "keyed"),
        ("iot", "ConfirmTopicRuleDestination", {}, "none"),
        ("cognito-identity", "GetId", {}, "none"),
        ("cloudwatch", "GetMetricData", {}, "safe"),
    ],
)
def test_declarations(service, operation, params, expected):
    """The table, the model, tokens, HTTP methods and verbs are asked in this order."""
    model = service_model(service).operation_model(operation)
    word, reason = declared(service, operation, model, params)

    assert expected == word
    assert reason


@pytest.mark.parametrize("service", ["accessanalyzer", "amp", "cleanrooms"])
@pytest.mark.parametrize("flag", ["readonly", "idempotent"])
def test_model_flags_are_read(service, flag):
    """`readonly` and `idempotent`, which botocore's class hides, are found."""
    raw = loader.load_service_model(service, "service-2")["operations"]
    model = service_model(service)
    flagged = {name for name in raw if raw[name].get(flag)}
    found = {
        name
        for name in raw
        if declared(service, name, model.operation_model(name))
        == ("safe", f"the model says {flag}")
    }

    assert flagged
    assert flagged == found


def test_without_a_model_the_name_decides():
    """`explain` can ask without a client."""
    assert "safe" == declared("sns", "ListTopics")[0]
    assert ("safe", "its verb reads: BatchGet") == declared("x", "BatchGetThing")
    assert "none" == declared("x", "MakeThing")[0]


def test_a_lost_answer_is_not_repeated(wire, connect, make_engine):
    """UpdateItem is sent once when its answer is lost, and the report says why."""
    client = connect("dynamodb", make_engine(), mode="legacy")
    wire.plans = ["drop"] * 9

    with pytest.raises(Exception, match="closed") as caught:
        client.update_item(TableName="t", Key={"k": {"S": "1"}})

    report = resilience.report(caught.value)
    assert 1 == wire.count
    assert ("idempotency", True) == (report.reason, report.ambiguous)
    (note,) = caught.value.__notes__
    assert "ambiguous" in note
    assert "not repeated: an update may add to what is there" in note
    assert "aws.operations.dynamodb.UpdateItem.idempotency" in note


def test_a_refused_connection_is_repeated(connect, make_engine, clock):
    """Nothing was sent, so even UpdateItem is tried again."""
    client = connect("dynamodb", make_engine(), endpoint_url="http://127.0.0.1:9")

    with pytest.raises(Exception, match="Could not connect") as caught:
        client.update_item(TableName="t", Key={"k": {"S": "1"}})

    report = resilience.report(caught.value)
    assert (4, False) == (len(report.attempts), report.ambiguous)


@pytest.mark.parametrize("ending", ["close", "reset", "nonsense"])
def test_a_failed_handshake_is_repeated(ending, connect, make_engine):
    """Before TLS stands nothing of the request was sent, whatever the error's name."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_spoil, args=(server, ending), daemon=True).start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        client = connect("dynamodb", make_engine(), endpoint_url=url)

        with pytest.raises(BotoCoreError) as caught:
            client.update_item(TableName="t", Key={"k": {"S": "1"}})

    report = resilience.report(caught.value)
    assert (4, False) == (len(report.attempts), report.ambiguous)


def _spoil(server, ending):
    """Accept connections and spoil their TLS handshakes."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            connection.recv(4096)
            if ending == "nonsense":
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            if ending == "reset":
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close()


def test_throttled_writes_are_repeated(wire, connect, make_engine):
    """A throttled UpdateItem was not executed."""
    client = connect("dynamodb", make_engine())
    throttled = b'{"__type": "ProvisionedThroughputExceededException"}'
    wire.plans = [(400, {}, throttled)]

    client.update_item(TableName="t", Key={"k": {"S": "1"}})

    assert 2 == wire.count


@pytest.mark.parametrize(
    ("rule", "count"), [({"idempotency": "safe"}, 3), ({"idempotency": "none"}, 1)]
)
def test_a_policy_outranks_the_table(rule, count, wire, connect, make_engine):
    """What a policy says about an operation holds."""
    engine = make_engine(operations={"sns.Publish": rule})
    client = connect("sns", engine)
    wire.plans = [500] * 9
    with pytest.raises(ClientError):
        client.publish(TopicArn="arn:aws:sns:us-east-1:1:t", Message="m")

    assert count == wire.count
