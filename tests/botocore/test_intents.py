"""One key, one intent: over calls, over processes, and refused for another one."""

import datetime as dt
import io
from decimal import Decimal

import pytest
from boto3.dynamodb.conditions import Attr
from botocore.exceptions import ClientError

import resilience
from resilience.botocore.conditions_uploads import Uploads, named
from resilience.botocore.intents import fingerprint, identity


KEYED = {"s3.*": {"idempotency": "keyed"}, "dynamodb.*": {"idempotency": "keyed"}}
RUN = {"MinCount": 1, "MaxCount": 1}


@pytest.fixture
def ec2(wire, connect, make_engine):
    wire.default = (200, {}, b"<RunInstancesResponse/>")
    return connect("ec2", make_engine())


def test_a_key_with_other_parameters_is_refused(ec2, wire):
    """Nothing is sent, and the error says what to do."""
    with resilience.idempotency_key("order-17"):
        ec2.run_instances(**RUN)
        with pytest.raises(resilience.Rejected, match="a new key") as caught:
            ec2.run_instances(MinCount=1, MaxCount=2)

    assert ("key-reused", 1) == (caught.value.reason, wire.count)


def test_another_operation_has_keys_of_its_own(ec2, wire):
    """The same key names the intents of a launch and of a volume."""
    with resilience.idempotency_key("order-17"):
        ec2.run_instances(**RUN)
        ec2.create_volume(AvailabilityZone="a")

    assert 2 == wire.count


def test_what_takes_no_key_takes_any_parameters(ec2, wire):
    """Reads, and writes that carry no token, are not compared."""
    with resilience.idempotency_key("order-17"):
        for name in ("i-1", "i-2"):
            ec2.describe_instances(InstanceIds=[name])
            ec2.terminate_instances(InstanceIds=[name])

    assert 4 == wire.count


def test_a_key_is_free_again_when_nothing_was_done(ec2, wire):
    """After a refusal by the service the caller may mend the parameters."""
    wire.plans = [
        (
            400,
            {},
            b"<Response><Errors><Error><Code>Bad</Code></Error></Errors></Response>",
        )
    ]
    with resilience.idempotency_key("order-17"):
        with pytest.raises(ClientError):
            ec2.run_instances(**RUN)
        ec2.run_instances(MinCount=1, MaxCount=2)

    assert 2 == wire.count


def test_a_key_is_kept_when_it_may_have_been_done(ec2, wire):
    """After a lost answer only the same parameters are the same intent."""
    wire.plans = ["drop"] * 9
    with resilience.idempotency_key("order-17"):
        with pytest.raises(Exception, match="closed"):
            ec2.run_instances(**RUN)
        with pytest.raises(resilience.Rejected):
            ec2.run_instances(MinCount=1, MaxCount=2)


def test_engines_do_not_share_keys(wire, connect, make_engine):
    """A key belongs to one engine."""
    wire.default = (200, {}, b"<RunInstancesResponse/>")
    with resilience.idempotency_key("order-17"):
        connect("ec2", make_engine()).run_instances(**RUN)
        connect("ec2", make_engine()).run_instances(MinCount=1, MaxCount=2)

    assert 2 == wire.count


@pytest.fixture
def process(faulting, connect, make_engine):
    """Return a function that makes a client as a process that starts again would."""

    def start(service):
        engine = make_engine({"breaker": "off"}, operations=KEYED)
        return connect(service, engine, endpoint_url=faulting.url)

    return start


def put(s3, body=b"data", **more):
    return s3.put_object(Bucket="orders", Key="1", Body=body, **more)


@pytest.mark.real
@pytest.mark.parametrize("condition", [{}, {"IfNoneMatch": "*"}])
def test_a_process_that_was_killed_begins_again(condition, process, faulting):
    """The object of the same key is there already: its success, and one version."""
    s3 = process("s3")
    s3.create_bucket(Bucket="orders")
    enabled = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket="orders", VersioningConfiguration=enabled)
    with resilience.idempotency_key("order-17"):
        before = put(s3, **condition)
        after = put(process("s3"), **condition)

    found = s3.list_object_versions(Bucket="orders")["Versions"]
    assert 1 == len(found)
    assert before["VersionId"] == after["VersionId"]


@pytest.mark.real
@pytest.mark.parametrize("condition", [{}, {"IfNoneMatch": "*"}])
def test_another_process_with_other_parameters(condition, process):
    """What was written under the key is not what this call means: refused."""
    s3 = process("s3")
    s3.create_bucket(Bucket="orders")
    with resilience.idempotency_key("order-17"):
        put(s3, **condition)
        with pytest.raises(resilience.Rejected, match="by an earlier call"):
            put(process("s3"), b"other", **condition)

    assert b"data" == s3.get_object(Bucket="orders", Key="1")["Body"].read()


@pytest.mark.real
@pytest.mark.parametrize(
    "condition", [{}, {"ConditionExpression": "attribute_not_exists(k)"}]
)
def test_items_of_a_process_that_was_killed(condition, process, faulting):
    """The same for an item, and for one with other attributes."""
    dynamodb = process("dynamodb")
    dynamodb.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    item = {"k": {"S": "a"}}
    with resilience.idempotency_key("order-17"):
        dynamodb.put_item(TableName="t", Item=item, **condition)
        process("dynamodb").put_item(TableName="t", Item=item, **condition)
        with pytest.raises(resilience.Rejected, match="by an earlier call"):
            process("dynamodb").put_item(
                TableName="t", Item={**item, "n": {"N": "2"}}, **condition
            )

    (found,) = dynamodb.scan(TableName="t")["Items"]
    assert "n" not in found


@pytest.mark.real
def test_an_upload_that_another_process_completes(process, faulting):
    """Begun and completed under one key: its object is known by it."""
    at = {"Bucket": "orders", "Key": "1"}
    s3 = process("s3")
    s3.create_bucket(Bucket="orders")
    with resilience.idempotency_key("order-17"):
        upload = s3.create_multipart_upload(**at)["UploadId"]
        part = s3.upload_part(**at, UploadId=upload, PartNumber=1, Body=b"x")
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        faulting.plan = ["after"] * 9
        answer = process("s3").complete_multipart_upload(
            **at, UploadId=upload, MultipartUpload=parts, IfNoneMatch="*"
        )

    faulting.plan = []
    assert s3.head_object(**at)["ETag"] == answer["ETag"]


SAME = [
    ({"a": 1, "b": [1, "x"]}, {"b": [1, "x"], "a": 1}),
    ({"a": b"12"}, {"a": bytearray(b"12")}),
    ({"a": io.BytesIO(b"12")}, {"a": b"12"}),
    ({"a": {1, 2, 3}}, {"a": {3, 1, 2}}),
    ({"a": Attr("k").eq(1)}, {"a": Attr("k").eq(1)}),
    ({"a": Decimal("1.0")}, {"a": Decimal("1.0")}),
]
OTHER = [
    ({"a": ["x", "y"]}, {"a": ["xy"]}),
    ({"a": "12"}, {"a": b"12"}),
    ({"a": None}, {}),
    ({"a": {"b": "c"}}, {"a": "b", "c": ""}),
    ({"a": Attr("k").eq(1)}, {"a": Attr("k").eq(2)}),
    ({"a": Attr("k").eq(1)}, {"a": Attr("j").eq(1)}),
    (
        {"a": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
        {"a": dt.datetime(2026, 1, 2, tzinfo=dt.UTC)},
    ),
    ({"a": Decimal(1)}, {"a": 1}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equal_parameters_have_one_fingerprint(one, other):
    """Order of names and kinds of bytes do not matter."""
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_other_parameters_have_another(one, other):
    """Nothing runs together."""
    assert fingerprint(one) != fingerprint(other)


def test_what_streams_hold_is_not_read():
    """A file counts by its length only, and stays where it was."""

    class Stream(io.RawIOBase):
        def __init__(self, length):
            self.length = length

        def __len__(self):
            return self.length

    assert fingerprint({"a": Stream(1)}) == fingerprint({"a": Stream(1)})
    assert fingerprint({"a": Stream(1)}) != fingerprint({"a": Stream(2)})


def test_identities():
    """A key gives the same everywhere, and is not to be read in it."""
    one, again = identity("order-17", {"a": 1}), identity("order-17", {"a": 1})
    changed = identity("order-17", {"a": 2})

    assert str(one) == str(again)
    assert "order" not in str(one)
    assert changed.is_reused(str(one))
    assert not one.is_reused(str(one))
    assert not one.is_reused("of somebody else")
    assert identity(None, {}).key != identity(None, {}).key


def test_claims_are_bounded(ec2, monkeypatch):
    """The oldest key goes first, and is free again."""
    monkeypatch.setattr("resilience.botocore.intents.MAX_CLAIMS", 2)
    for key in "abc":
        with resilience.idempotency_key(key):
            ec2.run_instances(**RUN)

    with resilience.idempotency_key("a"):
        ec2.run_instances(MinCount=1, MaxCount=2)
    with resilience.idempotency_key("c"), pytest.raises(resilience.Rejected):
        ec2.run_instances(MinCount=1, MaxCount=2)


def test_ids_of_uploads_are_bounded():
    """What this process began longest ago is forgotten."""
    uploads = Uploads(most=2)
    for name in "abc":
        uploads.keep(name, f"id of {name}")

    assert [None, "id of b", "id of c"] == [uploads.find(name) for name in "abc"]


def test_uploads_are_named():
    """The newest three of the key itself; what a server says is made harmless."""
    begun = [dt.datetime(2026, 11, day, tzinfo=dt.UTC) for day in (1, 4, 2, 3)]
    listed = [{"Key": "1", "UploadId": f"u{at.day}", "Initiated": at} for at in begun]
    other = {"Key": "11", "UploadId": "other", "Initiated": begun[0]}

    text = named("1", {"Uploads": [*listed, other]})
    bad = named("1", {"Uploads": [{"Key": "1", "UploadId": "a\nb\x1b[2J"}]})
    assert ["u4", "u3", "u2"] == [
        u for u in text.split() if u.startswith("u") and u[1:].isdigit()
    ]
    assert text.endswith(", ...")
    assert "other" not in text
    assert bad.isprintable()
    assert "no upload" in named("1", {})
