"""A lost answer to an awaited write: the effect once, or the honest error."""

import pytest
from botocore.exceptions import ConnectionClosedError, HTTPClientError

import resilience
from resilience.botocore import BotocoreRejected


pytestmark = pytest.mark.real
AT = {"Bucket": "orders", "Key": "1"}
CLOSED = (ConnectionClosedError, HTTPClientError)
KEYED = {f"{name}.*": {"idempotency": "keyed"} for name in ("dynamodb", "s3", "sqs")}


@pytest.fixture(params=["default", "keyed"])
def policy(request):
    return request.param


@pytest.fixture
def client(policy, faulting, connect, make_engine):
    """Return a function that makes clients under both policies."""
    operations = KEYED if policy == "keyed" else {}
    engine = make_engine({"breaker": "off"}, operations=operations)

    async def make(service, **more):
        return await connect(service, engine, endpoint_url=faulting.url, **more)

    return make


@pytest.fixture
def lose(faulting):
    """Return a function: lose the answer of one call; True: it was an honest error."""

    async def call(fn, **kwargs):
        faulting.plan = ["after"]
        try:
            await fn(**kwargs)
        except CLOSED as error:
            report = resilience.report(error)
            assert report.ambiguous
            assert "to find out: " in str(report)
            return True
        finally:
            faulting.plan = []
        return False

    return call


async def versioned(client, **more):
    s3 = await client("s3", **more)
    await s3.create_bucket(Bucket="orders")
    await s3.put_bucket_versioning(
        Bucket="orders", VersioningConfiguration={"Status": "Enabled"}
    )
    return s3


async def table(client):
    dynamodb = await client("dynamodb")
    await dynamodb.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return dynamodb


async def versions(s3):
    found = await s3.list_object_versions(Bucket="orders")
    return len(found.get("Versions", ())), len(found.get("DeleteMarkers", ()))


async def test_put_object_if_none_match(client, lose, policy, http):
    """Built-in: the honest error. Keyed: the success that it was. Never 412."""
    s3 = await versioned(client, http=http)

    failed = await lose(s3.put_object, **AT, Body=b"x", IfNoneMatch="*")

    assert (policy == "default") is failed
    assert (1, 0) == await versions(s3)


async def test_put_object_if_match(client, lose, policy):
    """The same for a write over a known content."""
    s3 = await versioned(client)
    etag = (await s3.put_object(**AT, Body=b"old"))["ETag"]

    failed = await lose(s3.put_object, **AT, Body=b"x", IfMatch=etag)

    assert (policy == "default") is failed
    assert (2, 0) == await versions(s3)


async def test_put_and_delete_in_a_versioned_bucket(client, lose, policy):
    """Keyed: one version, one marker. Built-in: the same bytes twice, as declared."""
    s3 = await versioned(client)

    assert not await lose(s3.put_object, **AT, Body=b"x")
    assert not await lose(s3.delete_object, **AT)

    once = 1 if policy == "keyed" else 2
    assert (once, once) == await versions(s3)


async def test_create_multipart_upload(client, lose, policy, caplog):
    """Keyed: one upload, the error, and the word that it may be left."""
    s3 = await versioned(client)

    failed = await lose(s3.create_multipart_upload, **AT)

    uploads = (await s3.list_multipart_uploads(Bucket="orders"))["Uploads"]
    is_keyed = policy == "keyed"
    assert (is_keyed, 1 if is_keyed else 2) == (failed, len(uploads))
    assert "an upload that nobody completes may be left" in caplog.text


async def test_update_item_add(client, lose):
    """Counted once, and said that it may have been."""
    dynamodb = await table(client)

    assert await lose(
        dynamodb.update_item,
        TableName="t",
        Key={"k": {"S": "a"}},
        UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )

    found = await dynamodb.scan(TableName="t")
    assert {"N": "1"} == found["Items"][0]["n"]


async def test_put_item_attribute_not_exists(client, lose, policy):
    """Built-in: the honest error. Keyed: the success that it was."""
    dynamodb = await table(client)

    failed = await lose(
        dynamodb.put_item,
        TableName="t",
        Item={"k": {"S": "a"}},
        ConditionExpression="attribute_not_exists(k)",
    )

    assert (policy == "default") is failed
    assert 1 == (await dynamodb.scan(TableName="t"))["Count"]


async def test_send_message_to_a_fifo_queue(client, lose, policy):
    """One message, by an id of ours where the policy asks for it."""
    if policy == "default":
        return
    sqs = await client("sqs")
    made = await sqs.create_queue(QueueName="j.fifo", Attributes={"FifoQueue": "true"})
    url = made["QueueUrl"]

    assert not await lose(
        sqs.send_message, QueueUrl=url, MessageBody="m", MessageGroupId="g"
    )

    names = ["ApproximateNumberOfMessages"]
    found = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
    assert "1" == found["Attributes"][names[0]]


async def test_a_reset_may_have_been_executed(client, lose, wire, connect, make_engine):
    """A connection that is reset under a request is no refusal to connect."""
    engine = make_engine({"breaker": "off"})
    reset = await connect("dynamodb", engine)

    def cut(handler):
        handler.connection.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: RST
        return "drop"

    wire.plans = [cut]
    with pytest.raises(Exception, match="http://127") as caught:
        await reset.update_item(
            TableName="t",
            Key={"k": {"S": "a"}},
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    assert resilience.report(caught.value).ambiguous
    assert 1 == wire.count


async def test_same_key_other_parameters(client, policy):
    """A key names one intent: with other parameters it is refused."""
    if policy == "default":
        return
    s3 = await versioned(client)
    with resilience.idempotency_key("order-1"):
        await s3.put_object(**AT, Body=b"x")
        await s3.put_object(**AT, Body=b"x")
        with pytest.raises(BotocoreRejected) as caught:
            await s3.put_object(**AT, Body=b"y")

    assert "key-reused" == caught.value.reason
    assert (1, 0) == await versions(s3)
