"""The proxy fails as it was told; what it executed is in the endpoint."""

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from examples.demo.aws_side import BUCKET, TABLE, prepare
from examples.servers.cloud import client_arguments, start_cloud
from examples.servers.faulty_proxy import operation
from examples.servers.http_wire import Request
from examples.servers.supervisor import Supervisor


ONCE = Config(
    retries={"total_max_attempts": 1, "mode": "standard"},
    read_timeout=0.5,
    s3={"addressing_style": "path"},
)


@pytest.fixture(scope="module")
def running():
    with Supervisor() as owner:
        cloud = start_cloud(owner, stall_s=30.0)
        cloud.wait_ready()
        yield cloud


@pytest.fixture
def cloud(running):
    prepare(running)
    yield running
    running.settle()


def client(cloud, service):
    session = boto3.Session()
    return session.client(service, config=ONCE, **client_arguments(cloud.proxy))


def add_one(cloud):
    client(cloud, "dynamodb").update_item(
        TableName=TABLE,
        Key={"id": {"S": "counter"}},
        UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


def counter(cloud):
    dynamodb = boto3.client("dynamodb", **client_arguments(cloud.endpoint))
    reply = dynamodb.get_item(TableName=TABLE, Key={"id": {"S": "counter"}})
    return int(reply.get("Item", {}).get("n", {"N": "0"})["N"])


@pytest.mark.real
@pytest.mark.parametrize(
    ("fault", "error", "executed"),
    [
        ("error", ClientError, 0),
        ("drop", ConnectionClosedError, 0),
        ("lose", ConnectionClosedError, 1),
    ],
)
def test_fault_and_effect(cloud, fault, error, executed):
    """A lost answer was executed; an error or a dropped request was not."""
    cloud.set_shares(**{fault: 1.0})

    with pytest.raises(error):
        add_one(cloud)

    assert counter(cloud) == executed
    counts = cloud.counts()
    assert counts["dynamodb.UpdateItem received"] == 1
    assert counts[f"dynamodb.UpdateItem {fault}"] == 1


@pytest.mark.real
def test_outage_and_its_end(cloud):
    """During an outage every request fails in the way that was asked for."""
    s3 = client(cloud, "s3")
    cloud.set_outage("error")

    with pytest.raises(ClientError, match="InternalError") as caught:
        s3.put_object(Bucket=BUCKET, Key="a", Body=b"a")
    cloud.set_outage("")
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"b" * 300_000)

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert s3.get_object(Bucket=BUCKET, Key="a")["Body"].read() == b"b" * 300_000
    assert cloud.counts()["s3.PutObject executed"] == 1


@pytest.mark.real
def test_stalled_request_is_executed_later(cloud):
    """A request that is held outlasts the client, and is executed all the same."""
    cloud.set_shares(stall=1.0)

    with pytest.raises(ReadTimeoutError):
        add_one(cloud)

    assert cloud.counts()["held"] == 1
    assert counter(cloud) == 0
    cloud.settle()

    assert cloud.counts()["held"] == 0
    assert counter(cloud) == 1


@pytest.mark.parametrize(
    ("verb", "path", "header", "name"),
    [
        ("PUT", "/orders/a", "", "s3.PutObject"),
        ("GET", "/orders/a?x-id=GetObject", "", "s3.GetObject"),
        ("PUT", "/orders", "", "s3.PUT-bucket"),
        (
            "POST",
            "/",
            "X-Amz-Target: DynamoDB_20120810.GetItem\r\n",
            "dynamodb.GetItem",
        ),
    ],
)
def test_operations_are_recognised(verb, path, header, name):
    """Requests are counted by service and operation."""
    head = f"{verb} {path} HTTP/1.1\r\n{header}\r\n".encode()

    assert operation(Request(verb, path, head, b"")) == name
