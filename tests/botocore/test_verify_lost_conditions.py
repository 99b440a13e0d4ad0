"""Lost answers where a repeat would be judged against its own first write, and others.

What was done is done once, and the caller is told of the success or that it may be.
"""

import re

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

import resilience
from tests.botocore.faulting import make_table


NAMES = ("dynamodb", "s3", "sqs")
KEYED = {f"{name}.*": {"idempotency": "keyed"} for name in NAMES}
AT = {"Bucket": "orders", "Key": "1"}
KEY = {"TableName": "t", "Key": {"k": {"S": "a"}}}
pytestmark = pytest.mark.real


@pytest.fixture(params=[{}, KEYED], ids=["default", "keyed"])
def rules(request):
    return request.param


@pytest.fixture
def client(rules, faulting, connect, make_engine):
    """Return a function that makes clients under *rules*."""
    engine = make_engine({"breaker": "off"}, operations=rules)
    return lambda service: connect(service, engine, endpoint_url=faulting.url)


@pytest.fixture
def lose(faulting):
    """Return a function: lose the answer of one call; its report, None: a success."""

    def call(fn, *args, **kwargs):
        faulting.plan = ["after"]
        faulting.executed.clear()
        try:
            fn(*args, **kwargs)
        except ConnectionClosedError as error:
            report = resilience.report(error)
            assert report.ambiguous
            assert "to find out: " in report.hint
            return report
        finally:
            faulting.plan = []
        return None

    return call


@pytest.fixture
def bucket(client):
    s3 = client("s3")
    s3.create_bucket(Bucket="orders")
    enabled = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket="orders", VersioningConfiguration=enabled)
    return s3


@pytest.fixture
def table(client):
    dynamodb = client("dynamodb")
    make_table(dynamodb)
    dynamodb.put_item(TableName="t", Item={"k": {"S": "a"}, "n": {"N": "1"}})
    return dynamodb


def test_delete_object_if_match(bucket, lose):
    """Gone, once; who deleted it nobody can tell, so the error is raised."""
    etag = bucket.put_object(**AT, Body=b"x")["ETag"]

    report = lose(bucket.delete_object, **AT, IfMatch=etag)

    assert "HeadObject" in report.hint
    assert 1 == len(bucket.list_object_versions(Bucket="orders")["DeleteMarkers"])


def test_delete_item_under_a_condition(table, lose):
    """The same for an item."""
    report = lose(table.delete_item, **KEY, ConditionExpression="attribute_exists(k)")

    assert "GetItem" in report.hint
    assert 0 == table.scan(TableName="t")["Count"]


def test_delete_item(table, lose):
    """Without a condition it is gone, however often it is deleted."""
    assert lose(table.delete_item, **KEY) is None
    assert 0 == table.scan(TableName="t")["Count"]


def test_delete_item_that_shows_the_old_values(table, lose):
    """A repeat would show none: the error, not an answer that is wrong."""
    assert lose(table.delete_item, **KEY, ReturnValues="ALL_OLD") is not None


def test_update_item_under_a_condition(table, lose, faulting):
    """Optimistic locking: written once, and no false refusal."""
    report = lose(
        table.update_item,
        **KEY,
        UpdateExpression="SET n = :two",
        ConditionExpression="n = :one",
        ExpressionAttributeValues={":one": {"N": "1"}, ":two": {"N": "2"}},
    )

    assert "TransactWriteItems" in report.hint
    assert {"N": "2"} == table.scan(TableName="t")["Items"][0]["n"]
    assert 1 == sum(target == "UpdateItem" for *_, target in faulting.executed)


def test_update_item_that_sets(table, lose):
    """What is set again is the same: a success, as bare."""
    values = {":two": {"N": "2"}}

    failed = lose(
        table.update_item,
        **KEY,
        UpdateExpression="SET n = :two",
        ExpressionAttributeValues=values,
    )

    assert failed is None
    assert {"N": "2"} == table.scan(TableName="t")["Items"][0]["n"]


def test_transact_write_items_in_place_of_an_update(table, lose, faulting):
    """What the hint proposes: one update with a token, repeated without harm on AWS."""
    update = {
        **KEY,
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }

    assert lose(table.transact_write_items, TransactItems=[{"Update": update}]) is None
    bodies = [seen[4] for seen in faulting.seen if seen[2] == "TransactWriteItems"]
    tokens = {
        re.search(rb'"ClientRequestToken": ?"([^"]+)', body)[1] for body in bodies
    }
    assert (2, 1) == (len(bodies), len(tokens))


def test_copy_object_with_metadata_of_its_own(bucket, lose, rules):
    """Keyed: one version. Built-in: the same bytes twice, as declared."""
    bucket.put_object(**AT, Body=b"x")
    source = {"CopySource": "orders/1", "MetadataDirective": "REPLACE"}

    assert lose(bucket.copy_object, Bucket="orders", Key="2", **source) is None

    found = bucket.list_object_versions(Bucket="orders", Prefix="2")["Versions"]
    assert (1 if rules else 2) == len(found)


def test_copy_object_with_the_metadata_of_its_source(bucket, lose, rules):
    """Nothing can carry an id. Keyed: one version, and the honest error."""
    bucket.put_object(**AT, Body=b"x")

    report = lose(bucket.copy_object, Bucket="orders", Key="2", CopySource="orders/1")

    found = bucket.list_object_versions(Bucket="orders", Prefix="2")["Versions"]
    assert (1 if rules else 2) == len(found)
    assert bool(rules) is (report is not None)


def test_complete_multipart_upload(bucket, lose):
    """One object, and its success."""
    upload = bucket.create_multipart_upload(**AT)["UploadId"]
    part = {"UploadId": upload, "PartNumber": 1}
    etag = bucket.upload_part(**AT, **part, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}

    failed = lose(
        bucket.complete_multipart_upload,
        **AT,
        UploadId=upload,
        MultipartUpload=parts,
    )

    assert failed is None
    assert 1 == len(bucket.list_object_versions(Bucket="orders")["Versions"])


@pytest.mark.parametrize("rules", [KEYED], ids=["keyed"], indirect=True)
def test_an_upload_that_may_be_left(bucket, lose):
    """The report names the uploads of the key: the caller aborts the one in excess."""
    mine = bucket.create_multipart_upload(**AT)["UploadId"]
    bucket.create_multipart_upload(Bucket="orders", Key="11")

    report = lose(bucket.create_multipart_upload, **AT)

    found = bucket.list_multipart_uploads(Bucket="orders", Prefix="1")["Uploads"]
    there = {one["UploadId"] for one in found if one["Key"] == "1"}
    named = {one["UploadId"] for one in found if one["UploadId"] in report.hint}
    assert mine in there
    assert (2, there) == (len(there), named)


@pytest.mark.parametrize("rules", [KEYED], ids=["keyed"], indirect=True)
def test_an_upload_that_was_not_begun(bucket, faulting):
    """The report says that none is there."""
    faulting.plan = ["before"]
    with pytest.raises(ConnectionClosedError) as caught:
        bucket.create_multipart_upload(**AT)

    assert "no upload of this key was there" in resilience.report(caught.value).hint


def test_a_refusal_is_no_lost_answer(table, faulting):
    """A condition that somebody else broke is refused, as bare."""
    with pytest.raises(ClientError, match="ConditionalCheckFailed") as caught:
        table.delete_item(**KEY, ConditionExpression="attribute_not_exists(k)")

    assert not resilience.report(caught.value).ambiguous


def test_receive_message(client, lose):
    """The messages of a lost answer are invisible, not gone: the next poll is served.

    They come back after the visibility timeout, and count as received once more.
    """
    sqs = client("sqs")
    long = {"VisibilityTimeout": "600"}
    url = sqs.create_queue(QueueName="jobs", Attributes=long)["QueueUrl"]
    one = {"QueueUrl": url, "MaxNumberOfMessages": 1}
    for body in ("first", "second"):
        sqs.send_message(QueueUrl=url, MessageBody=body)

    assert lose(sqs.receive_message, **one) is None

    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    # Both are out: one was lost on its way, the other one is the caller's.
    assert ["0", "2"] == [found[name] for name in names]
