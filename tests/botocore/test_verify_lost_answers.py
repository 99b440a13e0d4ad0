"""A lost answer, operation by operation: the effect once, or the honest error."""

import json
import re

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

import resilience
from tests.botocore.faulting import make_table


KEYED = {"idempotency": "keyed"}
SERVICES = ("dynamodb", "ec2", "kinesis", "s3", "sns", "sqs")
POLICIES = {
    "default": {},
    "keyed": {f"{name}.*": KEYED for name in SERVICES},
}


@pytest.fixture(params=["default", "keyed"])
def client(request, faulting, connect, make_engine):
    """Return a function that makes clients under both policies, and the policy."""
    engine = make_engine({"breaker": "off"}, operations=POLICIES[request.param])

    def make(service):
        return connect(service, engine, endpoint_url=faulting.url)

    make.policy = request.param
    return make


@pytest.fixture
def lose(faulting):
    """Return a function: lose the answer of one call; True: it was an honest error."""

    def call(fn, *args, **kwargs):
        faulting.plan = ["after"]
        try:
            fn(*args, **kwargs)
        except ConnectionClosedError as error:
            report = resilience.report(error)
            assert report.ambiguous
            assert "to find out: " in str(report)
            return True
        finally:
            faulting.plan = []
        return False

    return call


def versioned(client):
    s3 = client("s3")
    s3.create_bucket(Bucket="orders")
    enabled = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket="orders", VersioningConfiguration=enabled)
    return s3


AT = {"Bucket": "orders", "Key": "1"}


@pytest.mark.real
def test_put_object_if_none_match(client, lose):
    """Built-in: the honest error. Keyed: the success that it was. Never 412."""
    s3 = versioned(client)

    failed = lose(s3.put_object, **AT, Body=b"x", IfNoneMatch="*")

    assert (client.policy == "default") is failed
    assert 1 == len(s3.list_object_versions(Bucket="orders")["Versions"])


@pytest.mark.real
def test_put_object_if_match(client, lose):
    """The same for a write over a known content."""
    s3 = versioned(client)
    etag = s3.put_object(**AT, Body=b"old")["ETag"]

    failed = lose(s3.put_object, **AT, Body=b"x", IfMatch=etag)

    assert (client.policy == "default") is failed
    assert 2 == len(s3.list_object_versions(Bucket="orders")["Versions"])


@pytest.mark.real
def test_put_and_delete_in_a_versioned_bucket(client, lose):
    """Keyed: one version, one marker. Built-in: the same bytes twice, as declared."""
    s3 = versioned(client)

    assert not lose(s3.put_object, **AT, Body=b"x")
    assert not lose(s3.delete_object, **AT)

    found = s3.list_object_versions(Bucket="orders")
    once = 1 if client.policy == "keyed" else 2
    assert (once, once) == (len(found["Versions"]), len(found["DeleteMarkers"]))
    assert 1 == len({version["ETag"] for version in found["Versions"]})


@pytest.mark.real
def test_create_multipart_upload(client, lose):
    """Keyed: one upload and the error that says where to look for it."""
    s3 = versioned(client)

    failed = lose(s3.create_multipart_upload, **AT)

    uploads = s3.list_multipart_uploads(Bucket="orders")["Uploads"]
    keyed = client.policy == "keyed"
    assert (keyed, 1 if keyed else 2) == (failed, len(uploads))


@pytest.mark.real
def test_update_item_add(client, lose):
    """Counted once, and said that it may have been."""
    dynamodb = client("dynamodb")
    make_table(dynamodb)

    assert lose(
        dynamodb.update_item,
        TableName="t",
        Key={"k": {"S": "a"}},
        UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )

    assert {"N": "1"} == dynamodb.scan(TableName="t")["Items"][0]["n"]


@pytest.mark.real
def test_put_item_attribute_not_exists(client, lose):
    """Built-in: the honest error. Keyed: the success that it was."""
    dynamodb = client("dynamodb")
    make_table(dynamodb)

    failed = lose(
        dynamodb.put_item,
        TableName="t",
        Item={"k": {"S": "a"}},
        ConditionExpression="attribute_not_exists(k)",
    )

    assert (client.policy == "default") is failed
    assert 1 == dynamodb.scan(TableName="t")["Count"]


@pytest.mark.real
def test_send_message_to_a_standard_queue(client, lose):
    """Built-in: a duplicate rather than a loss. Keyed: once, and the honest error."""
    sqs = client("sqs")
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]

    failed = lose(sqs.send_message, QueueUrl=url, MessageBody="m")

    keyed = client.policy == "keyed"
    assert (keyed, 1 if keyed else 2) == (failed, waiting(sqs, url))


@pytest.mark.real
@pytest.mark.parametrize("given", [{}, {"MessageDeduplicationId": "d"}])
def test_send_message_to_a_fifo_queue(given, client, lose):
    """One message, by the caller's id, or by one of ours where the policy asks."""
    sqs = client("sqs")
    url = sqs.create_queue(QueueName="j.fifo", Attributes={"FifoQueue": "true"})
    url = url["QueueUrl"]
    if client.policy == "default" and not given:
        with pytest.raises(ClientError, match="InvalidParameterValue"):
            sqs.send_message(QueueUrl=url, MessageBody="m", MessageGroupId="g")
        return

    assert not lose(
        sqs.send_message, QueueUrl=url, MessageBody="m", MessageGroupId="g", **given
    )

    assert 1 == waiting(sqs, url)


def waiting(sqs, url):
    names = ["ApproximateNumberOfMessages"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return int(found["Attributes"][names[0]])


@pytest.mark.real
def test_put_record(client, lose):
    """Built-in: two records, as producers' contract says. Keyed: one, and the error."""
    kinesis = client("kinesis")
    kinesis.create_stream(StreamName="s", ShardCount=1)

    failed = lose(kinesis.put_record, StreamName="s", Data=b"d", PartitionKey="p")

    shard = {"StreamName": "s", "ShardId": "shardId-000000000000"}
    at = kinesis.get_shard_iterator(**shard, ShardIteratorType="TRIM_HORIZON")
    found = kinesis.get_records(ShardIterator=at["ShardIterator"])["Records"]
    keyed = client.policy == "keyed"
    assert (keyed, 1 if keyed else 2) == (failed, len(found))


@pytest.mark.real
def test_receive_message(client, lose):
    """Asked again under any policy: the lost delivery comes back by itself."""
    sqs = client("sqs")
    queue = {"VisibilityTimeout": "0"}
    url = sqs.create_queue(QueueName="jobs", Attributes=queue)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="m")

    assert not lose(sqs.receive_message, QueueUrl=url)


@pytest.mark.real
def test_tokens_on_the_wire(client, lose, faulting):
    """Where the fake server ignores tokens they are equal on the wire."""
    ec2, dynamodb = client("ec2"), client("dynamodb")
    make_table(dynamodb)
    item = {"TableName": "t", "Item": {"k": {"S": "a"}}}
    faulting.seen.clear()

    assert not lose(dynamodb.transact_write_items, TransactItems=[{"Put": item}])
    bodies = [json.loads(seen[4]) for seen in faulting.seen]
    assert [bodies[0]["ClientRequestToken"]] * 2 == [
        body["ClientRequestToken"] for body in bodies
    ]
    faulting.seen.clear()
    # There is no such image, which does not matter to the wire.
    faulting.plan = ["before"]
    with pytest.raises(ClientError):
        ec2.run_instances(MinCount=1, MaxCount=1, ImageId="ami-1", SubnetId="none")
    found = [re.search(rb"ClientToken=([^&]+)", seen[4])[1] for seen in faulting.seen]
    assert (2, 1) == (len(found), len({*found}))
