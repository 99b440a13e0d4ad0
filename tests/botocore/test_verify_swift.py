"""Keyed writes against OpenStack Swift, where it supports the condition."""

import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

import resilience
import resilience.botocore
from tests.botocore import swift
from tests.botocore.faulting import FaultingProxy


PROGRAMS = swift.folder_of_programs()
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(PROGRAMS is None, reason="pip install swift"),
]
AT = {"Bucket": "orders", "Key": "1"}
"""In a bucket that `s3` makes for each test."""
FAULTS = ["after", "500 after", "before"]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with swift.running(tmp_path_factory.mktemp("swift"), PROGRAMS) as found:
        yield found


@pytest.fixture
def proxy(address):
    made = FaultingProxy(address)
    yield made
    made.close()


@pytest.fixture
def s3(proxy, make_engine, monkeypatch):
    """Return a client, and make a bucket."""
    session = boto3.Session(swift.ACCESS, swift.SECRET, region_name="us-east-1")
    rules = {"s3.*": {"idempotency": "keyed"}}
    engine = make_engine({"breaker": "off"}, operations=rules)
    resilience.botocore.register(session, engine)
    config = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    made = session.client("s3", endpoint_url=proxy.url, config=config)
    monkeypatch.setitem(AT, "Bucket", f"orders-{uuid.uuid4().hex}")
    made.create_bucket(Bucket=AT["Bucket"])
    proxy.seen.clear()
    yield made
    made.close()


@pytest.mark.parametrize("fault", FAULTS)
def test_put_if_none_match(fault, s3, proxy):
    """A 412 for our own object is the success that it was."""
    proxy.plan = [fault]
    answer = s3.put_object(**AT, Body=b"x", IfNoneMatch="*")

    assert s3.head_object(**AT)["ETag"] == answer["ETag"]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(**AT, Body=b"y", IfNoneMatch="*")


@pytest.mark.parametrize("fault", FAULTS)
def test_complete_if_none_match(fault, s3, proxy):
    """The same for an upload in parts."""
    upload = s3.create_multipart_upload(**AT)["UploadId"]
    part = s3.upload_part(**AT, UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    proxy.plan = [fault]

    answer = s3.complete_multipart_upload(
        **AT, UploadId=upload, MultipartUpload=parts, IfNoneMatch="*"
    )

    assert s3.head_object(**AT)["ETag"] == answer["ETag"]


@pytest.mark.parametrize("fault", FAULTS)
def test_put_over_another(fault, s3, proxy):
    """Swift answers 501 to If-Match on a put: the condition of ours is dropped."""
    s3.put_object(**AT, Body=b"old")
    proxy.plan = [fault]
    s3.put_object(**AT, Body=b"new")

    assert b"new" == s3.get_object(**AT)["Body"].read()


@pytest.mark.parametrize("fault", FAULTS)
def test_delete(fault, s3, proxy):
    """The object is gone, and no error is raised."""
    s3.put_object(**AT, Body=b"old")
    proxy.plan = [fault]
    s3.delete_object(**AT)

    assert "Contents" not in s3.list_objects_v2(Bucket=AT["Bucket"])


def test_a_process_that_begins_again(s3, proxy):
    """A key finds what was written under it."""
    with resilience.idempotency_key("order-17"):
        s3.put_object(**AT, Body=b"x")
        proxy.seen.clear()
        s3.put_object(**AT, Body=b"x")
        with pytest.raises(resilience.Rejected, match="key"):
            s3.put_object(**AT, Body=b"y")

    assert ["HEAD"] == [seen[0] for seen in proxy.seen]
