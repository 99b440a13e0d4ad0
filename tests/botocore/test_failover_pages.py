"""What only one region understands is never sent to another."""

import jmespath
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

import resilience
from resilience.botocore.failover import MARK
from resilience.botocore.failover_tokens import (
    MAX_ISSUED,
    NO_MEMBERS,
    Issued,
    Members,
    carried,
    members_of,
)


def page(key, token=""):
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    cut = "true" if token else "false"
    text = (
        f"<ListBucketResult><IsTruncated>{cut}</IsTruncated>{more}"
        f"<Contents><Key>{key}</Key></Contents></ListBucketResult>"
    )
    return 200, {}, text.encode()


@pytest.fixture
def s3(connect, make_engine, away):
    place = {"region": "eu-west-1", "endpoint_url": away.url}
    rule = {"failover": [place], "retry": {"max_attempts": 1}}
    engine = make_engine(operations={"s3.*": rule, "s3.CreateMultipartUpload": rule})
    return connect("s3", engine)


def keys(pages):
    return [one["Key"] for page in pages for one in page["Contents"]]


def test_a_list_that_began_here(wire, away, s3):
    """A page token of the first region is not sent to the second: the error is real."""
    wire.plans = [page("a", "of-one"), "drop"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="orders")
    with pytest.raises(ConnectionClosedError) as caught:
        keys(pages)

    assert 0 == away.count
    found = resilience.report(caught.value).elsewhere
    assert "ContinuationToken came from us-east-1" in found[0]


def test_a_list_that_began_there(wire, away, s3):
    """A list that began in the second region ends there, though the first is back."""
    wire.plans = ["drop"]
    away.plans = [page("a", "of-two"), page("b", "of-two-2"), page("c")]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="orders")

    assert ["a", "b", "c"] == keys(pages)
    assert (1, 3) == (wire.count, away.count)


def test_a_list_that_breaks_there(wire, away, s3):
    """Its error is raised as it is: nobody else could go on."""
    wire.plans = ["drop"]
    away.plans = [page("a", "of-two"), 503]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="orders")
    with pytest.raises(ClientError, match="503"):
        keys(pages)

    assert 1 == wire.count


def test_a_list_without_a_token(wire, away, s3):
    """Where nothing was begun a list may begin anywhere."""
    wire.plans = ["drop"]
    away.plans = [page("a")]
    answer = s3.list_objects_v2(Bucket="orders", StartAfter="0")

    assert "eu-west-1" == answer["ResponseMetadata"][MARK]["region"]


def test_an_upload_that_began_there(wire, away, s3):
    """The parts of an upload go where it was created, and so does its end."""
    name = "InitiateMultipartUploadResult"
    text = f"<{name}><UploadId>u2</UploadId></{name}>"
    wire.plans = [503] * 3
    away.plans = [(200, {}, text.encode())]
    at = {"Bucket": "orders", "Key": "1"}
    engine = type(s3)._resilience_registration.engine
    scope = "aws:service=s3,region=us-east-1"
    with pytest.raises(ClientError):
        s3.upload_part(**at, UploadId="u0", PartNumber=1, Body=b"x")
    engine.breaker(scope).force_open()
    upload = s3.create_multipart_upload(**at)["UploadId"]
    engine.breaker(scope).reset()
    s3.upload_part(**at, UploadId=upload, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(**at, UploadId=upload)

    assert (1, 3) == (wire.count, away.count)


def test_where_tokens_are(session):
    """What botocore knows about paginators says where an operation has its tokens."""
    s3, dynamodb = session.client("s3"), session.client("dynamodb")
    lists = members_of(s3, "ListObjectsV2")
    scan = members_of(dynamodb, "Scan")

    assert {"ContinuationToken"} == set(lists.asks)
    assert {"ExclusiveStartKey"} == set(scan.asks)
    assert members_of(s3, "GetObject") is NO_MEMBERS
    assert ["x"] == [e.search({"NextContinuationToken": "x"}) for e in lists.gives]


def test_where_nothing_can_be_read(session, monkeypatch):
    """Of an unknown botocore the usual names are taken for tokens."""
    s3 = session.client("s3")
    monkeypatch.delattr(s3, "_loader")

    assert "NextToken" in members_of(s3, "ListObjectsV2").asks


def test_an_answer_of_another_shape():
    """What cannot be read is not remembered, and nothing is raised."""
    issued = Issued()
    broken = Members(frozenset(), (None,))
    issued.note({"UploadId": "u"}, broken, "eu-west-1")
    issued.note("text", NO_MEMBERS, "eu-west-1")

    assert not issued


def test_handles_wherever_they_stand():
    """Handles of what is in progress are found in batches, too."""
    params = {"Entries": [{"Id": "1", "ReceiptHandle": "r"}], "QueueUrl": "q"}

    assert [("ReceiptHandle", "r")] == [*carried(params, NO_MEMBERS)]


def test_what_is_remembered():
    """Digests only, as many as fit; of tokens that are maps as well."""
    issued, members = Issued(), Members(frozenset({"ExclusiveStartKey"}), ())
    assert not issued
    issued.note({"UploadId": "u"}, NO_MEMBERS, "eu-west-1")
    assert "eu-west-1" == issued.region_of({"UploadId": "u"}, NO_MEMBERS)
    assert not issued.region_of({"UploadId": "v"}, NO_MEMBERS)
    key = {"k": {"S": "a"}, "r": {"N": "1"}}
    last = Members(members.asks, (jmespath.compile("LastEvaluatedKey"),))
    issued.note({"LastEvaluatedKey": key}, last, "eu-west-1")
    turned = dict(reversed(key.items()))
    assert "eu-west-1" == issued.region_of({"ExclusiveStartKey": turned}, members)
    assert not issued.region_of({"ExclusiveStartKey": 7}, members)
    assert not issued.region_of({"ExclusiveStartKey": {"k": {"S": "a"}}}, members)
    many = [{"ReceiptHandle": str(number)} for number in range(MAX_ISSUED + 5)]
    issued.note({"Messages": many}, NO_MEMBERS, "eu-west-1")
    issued.note({"UploadId": "w"}, NO_MEMBERS, "eu-west-1")

    assert len(issued._by) <= MAX_ISSUED
    assert issued.region_of({"UploadId": "w"}, NO_MEMBERS)
