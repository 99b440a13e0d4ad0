"""Keyed writes to S3 against moto, with answers and requests lost.

The server executes for real; each test looks at what is left there.
"""

import contextlib
from functools import partial

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, ConnectionClosedError

import resilience
from resilience.botocore.conditions_s3 import METADATA


pytestmark = pytest.mark.real
AT = {"Bucket": "orders", "Key": "1"}

KEYED = {"s3.*": {"idempotency": "keyed"}}


@pytest.fixture
def engine(make_engine):
    return make_engine({"breaker": "off"}, operations=KEYED)


@pytest.fixture
def s3(faulting, connect, engine):
    """An S3 client, and a versioned bucket of its own."""
    made = connect("s3", engine, endpoint_url=faulting.url)
    made.create_bucket(Bucket="orders")
    made.put_bucket_versioning(
        Bucket="orders", VersioningConfiguration={"Status": "Enabled"}
    )
    faulting.seen.clear()
    return made


@pytest.fixture
def bare(moto_server):
    """Return a function that makes a client which nobody protects or disturbs."""
    with contextlib.ExitStack() as stack:

        def make(service):
            host, port = moto_server
            url = f"http://{host}:{port}"
            made = boto3.client(
                service,
                endpoint_url=url,
                region_name="us-east-1",
                aws_access_key_id="key",
                aws_secret_access_key="secret",
            )
            stack.callback(made.close)
            return made

        yield make


def versions(s3, key="1"):
    found = s3.list_object_versions(Bucket="orders", Prefix=key)
    return len(found.get("Versions", [])), len(found.get("DeleteMarkers", []))


def put(s3, body=b"data", **more):
    return s3.put_object(Bucket="orders", Key="1", Body=body, **more)


AMBIGUOUS = ["after", "500 after"]


@pytest.mark.parametrize("fault", [*AMBIGUOUS, "before", "500 before"])
@pytest.mark.parametrize("condition", ["none", "IfNoneMatch", "IfMatch"])
def test_an_object_is_put_once(condition, fault, s3, faulting):
    """One version, and the answer that the write really had."""
    more, before = {}, 0
    if condition == "IfNoneMatch":
        more = {"IfNoneMatch": "*"}
    if condition == "IfMatch":
        more, before = {"IfMatch": put(s3, b"old")["ETag"]}, 1
    faulting.plan = [fault]

    answer = put(s3, **more)

    head = s3.head_object(Bucket="orders", Key="1")
    assert (before + 1, 0) == versions(s3)
    assert (head["ETag"], head["VersionId"]) == (answer["ETag"], answer["VersionId"])


@pytest.mark.parametrize("condition", ["none", "IfNoneMatch"])
def test_every_answer_is_lost(condition, s3, faulting):
    """When no attempt is left, the object that is there makes it a success."""
    faulting.plan = ["after"] * 9
    more = {} if condition == "none" else {"IfNoneMatch": "*"}

    assert put(s3, **more)["ETag"]
    assert (1, 0) == versions(s3)


def test_same_content_under_if_match(s3, faulting):
    """Where the new ETag is the old one, a repeat would pass: it is looked first."""
    etag = put(s3)["ETag"]
    faulting.plan = ["after"]

    put(s3, IfMatch=etag)

    assert (2, 0) == versions(s3)


def test_a_late_first_attempt(s3, faulting):
    """A first attempt that arrives after the look makes its own repeat fail."""
    faulting.plan = ["late", lambda: faulting.deliver() or ""]

    answer = put(s3)

    head = s3.head_object(Bucket="orders", Key="1")
    assert (1, 0) == versions(s3)
    assert head["VersionId"] == answer["VersionId"]


def test_another_writer_in_between(s3, faulting, bare):
    """A condition of ours that is lost to another writer is made anew."""
    put(s3, b"old")
    other = partial(put, bare("s3"), b"other")

    faulting.plan = ["before", lambda: other() and ""]
    put(s3)

    body = s3.get_object(Bucket="orders", Key="1")["Body"].read()
    assert (3, 0) == versions(s3)
    assert b"data" == body


def test_anothers_object_is_a_refusal(s3, faulting):
    """412 stays 412 where the object is somebody else's."""
    put(s3, b"old")
    faulting.plan = ["500 before"]

    with pytest.raises(ClientError, match="PreconditionFailed") as caught:
        put(s3, IfNoneMatch="*")

    assert (1, 0) == versions(s3)
    assert resilience.report(caught.value).ambiguous


def test_a_plain_refusal_is_not_looked_at(s3, faulting):
    """Without a lost answer a 412 costs no further request."""
    put(s3, b"old")
    faulting.seen.clear()

    with pytest.raises(ClientError, match="PreconditionFailed"):
        put(s3, IfNoneMatch="*")

    assert (1, 0) == (faulting.count("PUT"), faulting.count("HEAD"))


def test_the_answer_has_the_real_shape(s3, faulting):
    """What is found by looking has the members of the real success."""
    real = put(s3)
    faulting.plan = ["after"]
    found = put(s3)

    assert {*real} == {*found}
    assert 200 == found["ResponseMetadata"]["HTTPStatusCode"]
    assert found["ResponseMetadata"]["RequestId"]
    assert real["ChecksumCRC32"] == found["ChecksumCRC32"]


def test_the_callers_metadata_stays(s3, faulting):
    """The id goes beside the caller's metadata; his own id is used as it is."""
    given = {"a": "1"}
    put(s3, Metadata=given)
    mine = s3.head_object(Bucket="orders", Key="1")["Metadata"]
    faulting.plan = ["after"]
    put(s3, Metadata={METADATA: "mine"})
    own = s3.head_object(Bucket="orders", Key="1")["Metadata"]

    assert {"a", METADATA} == {*mine}
    assert {"a": "1"} == given
    assert {METADATA: "mine"} == own
    assert (2, 0) == versions(s3)


def test_no_room_for_an_id(s3, faulting):
    """Metadata that is full already is not made longer: the write is not repeated."""
    faulting.plan = ["after"]
    with pytest.raises(ConnectionClosedError) as caught:
        put(s3, Metadata={"a": "x" * 2000})

    assert (1, 0) == versions(s3)
    assert resilience.report(caught.value).ambiguous


@pytest.mark.parametrize("fault", [*AMBIGUOUS, "before"])
def test_an_object_is_deleted_once(fault, s3, faulting):
    """One delete marker, and its version in the answer."""
    put(s3)
    faulting.plan = [fault]

    answer = s3.delete_object(Bucket="orders", Key="1")

    (marker,) = s3.list_object_versions(Bucket="orders")["DeleteMarkers"]
    assert (1, 1) == versions(s3)
    assert (True, marker["VersionId"]) == (answer["DeleteMarker"], answer["VersionId"])


def test_a_conditional_delete_is_not_repeated(s3, faulting):
    """Gone is no proof of who deleted: the honest error."""
    etag = put(s3)["ETag"]
    faulting.plan = ["after"]
    with pytest.raises(ConnectionClosedError) as caught:
        s3.delete_object(Bucket="orders", Key="1", IfMatch=etag)

    report = resilience.report(caught.value)
    assert report.ambiguous
    assert "HeadObject shows if it is gone" in report.hint


@pytest.mark.parametrize("fault", AMBIGUOUS)
def test_a_copy(fault, s3, faulting):
    """A copy with metadata of its own is found by them."""
    put(s3)
    copy = {"Bucket": "orders", "Key": "2", "CopySource": "orders/1"}
    real = s3.copy_object(**{**copy, "Key": "3"}, MetadataDirective="REPLACE")
    faulting.plan = [fault]
    answer = s3.copy_object(**copy, MetadataDirective="REPLACE")

    assert (1, 0) == versions(s3, "2")
    assert real["CopyObjectResult"]["ETag"] == answer["CopyObjectResult"]["ETag"]
    assert "LastModified" in answer["CopyObjectResult"]
    faulting.plan = [fault]
    with pytest.raises((ConnectionClosedError, ClientError)):
        s3.copy_object(**{**copy, "Key": "4"})
    assert (1, 0) == versions(s3, "4")


@pytest.mark.parametrize("condition", [{}, {"IfNoneMatch": "*"}])
@pytest.mark.parametrize("fault", [*AMBIGUOUS, "before"])
def test_a_multipart_upload_is_completed_once(fault, condition, s3, faulting):
    """One object; the answer names it as the real one would."""
    at = {"Bucket": "orders", "Key": "1"}
    upload = s3.create_multipart_upload(**at)["UploadId"]
    part = s3.upload_part(**at, UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    faulting.plan = [fault]

    answer = s3.complete_multipart_upload(
        **at, UploadId=upload, MultipartUpload=parts, **condition
    )

    head = s3.head_object(**at)
    assert (1, 0) == versions(s3)
    assert (head["ETag"], head["VersionId"]) == (answer["ETag"], answer["VersionId"])
    assert answer["Location"].startswith("http")


def test_a_completion_that_is_refused_after_it_was_done(s3, faulting):
    """`NoSuchUpload` after a lost answer: the object shows the upload's own id."""
    at = {"Bucket": "orders", "Key": "1"}
    upload = s3.create_multipart_upload(**at)["UploadId"]
    part = s3.upload_part(**at, UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    faulting.plan = ["after", lambda: "gone"]
    faulting.answers["gone"] = (
        404,
        [("content-type", "application/xml")],
        b"<Error><Code>NoSuchUpload</Code><Message>none</Message></Error>",
    )

    answer = s3.complete_multipart_upload(**at, UploadId=upload, MultipartUpload=parts)

    assert s3.head_object(**at)["ETag"] == answer["ETag"]


def test_an_upload_is_begun_once(s3, faulting):
    """The orphan of a lost answer is the only one, and it is said."""
    faulting.plan = ["after"]
    with pytest.raises(ConnectionClosedError) as caught:
        s3.create_multipart_upload(Bucket="orders", Key="1")

    assert 1 == len(s3.list_multipart_uploads(Bucket="orders")["Uploads"])
    assert "ListMultipartUploads" in str(resilience.report(caught.value))


def test_a_late_delete(s3, faulting):
    """A first attempt that arrives after the look makes its own repeat fail."""
    put(s3)
    faulting.plan = ["late", lambda: faulting.deliver() or ""]

    answer = s3.delete_object(Bucket="orders", Key="1")

    assert (1, 1) == versions(s3)
    assert answer["DeleteMarker"]


def test_a_transfer_in_parts(s3, faulting, tmp_path):
    """Begun and completed with lost answers: one object, and no upload left."""
    source = tmp_path / "big"
    source.write_bytes(bytes(range(256)) * (6 << 12))
    faulting.plan = ["", "after", "", "after", "", "after", ""]
    s3.upload_file(
        str(source),
        "orders",
        "1",
        Config=TransferConfig(multipart_threshold=5 << 20, use_threads=False),
    )

    assert source.read_bytes() == s3.get_object(**AT)["Body"].read()
    assert (1, 0) == versions(s3)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="orders")


def test_a_transfer_in_one(s3, faulting, tmp_path):
    """A small file is one PutObject, from a body that is a file."""
    source = tmp_path / "small"
    source.write_bytes(b"data")
    faulting.plan = ["after"]
    s3.upload_file(str(source), "orders", "1")

    assert b"data" == s3.get_object(**AT)["Body"].read()
    assert (1, 0) == versions(s3)


def test_nothing_is_added_where_nobody_asked(faulting, connect, make_engine):
    """Under the built-in policy requests go out as bare, a key around them or not."""
    s3 = connect("s3", make_engine(), endpoint_url=faulting.url)
    s3.create_bucket(Bucket="orders")
    with resilience.idempotency_key("k"):
        put(s3)

    assert {} == s3.head_object(Bucket="orders", Key="1")["Metadata"]


@pytest.mark.parametrize("mode", ["observe", "bypass"])
def test_only_under_enforce(mode, faulting, connect, make_engine):
    """Looking on changes no request."""
    engine = make_engine(operations=KEYED, mode=mode)
    s3 = connect("s3", engine, endpoint_url=faulting.url)
    s3.create_bucket(Bucket="orders")
    with resilience.idempotency_key("k"):
        put(s3)

    assert {} == s3.head_object(Bucket="orders", Key="1")["Metadata"]
    assert 1 == faulting.count("HEAD")
