"""Calls inside calls, redirects, and everything that crosses our hooks unseen."""

import threading

import boto3
import botocore
import pytest
from botocore.exceptions import ClientError, ParamValidationError
from botocore.stub import Stubber

import resilience
import resilience.botocore
from resilience.botocore.flight import current


REDIRECT = b"""<?xml version="1.0"?><Error><Code>PermanentRedirect</Code>
<Message>elsewhere</Message></Error>"""
TOPICS = b"<ListTopicsResponse><ListTopicsResult/></ListTopicsResponse>"


def test_a_redirect_costs_no_attempt(wire, connect, make_engine, sink):
    """S3's redirect to another region is followed, and is not an attempt."""
    engine = make_engine({"retry": {"max_attempts": 1}})
    client = connect("s3", engine)
    region = {"x-amz-bucket-region": "eu-west-1", "content-type": "application/xml"}
    wire.plans = [(301, region, REDIRECT), (200, {}, b"data")]

    body = client.get_object(Bucket="b", Key="k")["Body"].read()

    (end,) = sink.of("CallEnded")
    assert b"data" == body
    assert 2 == wire.count
    assert (1, "ok") == (end.attempts, end.outcome.kind)
    assert "eu-west-1" in wire.header("authorization")[1]


def test_the_redirectors_head_bucket_is_its_own_call(wire, connect, make_engine, sink):
    """HeadBucket inside a redirect is a call of its own; the outer one goes on."""
    client = connect("s3", make_engine())
    region = {"x-amz-bucket-region": "eu-west-1"}
    wire.plans = [(301, {}, REDIRECT), 500, (200, region, b""), (200, {}, b"data")]

    client.get_object(Bucket="b", Key="k")

    ends = [(end.target.method, end.attempts) for end in sink.of("CallEnded")]
    assert [("HeadBucket", 2), ("GetObject", 1)] == ends
    assert 4 == wire.count


def test_an_outer_retry_survives_a_nested_call(wire, connect, make_engine, sink):
    """A call that another makes in a hook does not disturb its retries."""
    engine = make_engine()
    client, other = connect("sqs", engine), connect("sns", engine)
    client.meta.events.register("request-created", lambda **_: other.list_topics())
    topics = (200, {}, TOPICS)
    wire.plans = [topics, 500, topics]

    client.list_queues()

    ends = [(end.target.service, end.attempts) for end in sink.of("CallEnded")]
    assert [("sns", 1), ("sns", 1), ("sqs", 2)] == ends


def test_a_bypassed_call_inside_ours_is_bare(wire, connect, make_engine):
    """A nested call of a bypassed client has its native retries."""
    client = connect("sqs", make_engine({"retry": "off"}))
    inner = boto3.Session("k", "s", region_name="us-east-1")
    resilience.botocore.register(inner, make_engine(mode="bypass"))
    other = inner.client("sns", endpoint_url=wire.url)
    seen = []

    def nested(**_):
        seen.append(current.get())
        if len(seen) == 1:
            other.list_topics()

    other.meta.events.register(
        "request-created", lambda **_: seen.append(current.get())
    )
    client.meta.events.register("request-created", nested)
    wire.plans = [(200, {}, TOPICS)]
    client.list_queues()

    assert seen[0] is not None
    assert seen[1] is None


def test_error_with_http_200(wire, connect, make_engine, sink):
    """An error in the body of S3's HTTP 200 is a failed attempt."""
    client = connect("s3", make_engine())
    body = b"<Error><Code>InternalError</Code><Message>m</Message></Error>"
    good = (
        b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
    )
    wire.plans = [(200, {}, body), (200, {}, good)]

    client.complete_multipart_upload(
        Bucket="b",
        Key="k",
        UploadId="u",
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "e"}]},
    )

    codes = [ended.outcome.code for ended in sink.of("AttemptEnded")]
    assert ["InternalError", "OK"] == codes


def test_damaged_dynamodb_answer(wire, connect, make_engine, sink):
    """A DynamoDB answer that does not match its checksum is asked for again."""
    client = connect("dynamodb", make_engine())
    wire.plans = [(200, {"x-amz-crc32": "1"}, b"{}")]

    client.list_tables()

    assert "ChecksumError" == sink.of("AttemptEnded")[0].outcome.code
    assert 2 == wire.count


def test_a_body_that_cannot_be_rewound(wire, connect, make_engine):
    """It is sent once, and the server's error is raised, not ours about the body."""
    client = connect(
        "s3",
        make_engine(),
        signature_version=botocore.UNSIGNED,
        request_checksum_calculation="when_required",
    )

    class Pipe:
        def __init__(self):
            self.left = [b"data", b""]

        def read(self, amount=-1):
            return self.left.pop(0) if self.left else b""

        def __len__(self):
            return 4

    wire.plans = [500] * 5
    with pytest.raises(ClientError, match="500"):
        client.put_object(Bucket="b", Key="k", Body=Pipe(), ContentLength=4)

    assert 1 == wire.count


def test_stubber(connect, make_engine, sink):
    """Stubbed answers and errors come through, and are not retried."""
    client = connect("sqs", make_engine())
    with Stubber(client) as stubber:
        stubber.add_response("list_queues", {"QueueUrls": ["u"]})
        stubber.add_client_error("list_queues", "InternalError", "m", 500)

        assert ["u"] == client.list_queues()["QueueUrls"]
        with pytest.raises(ClientError, match="InternalError"):
            client.list_queues()
        stubber.assert_no_pending_responses()

    assert 2 == len(sink.of("CallEnded"))


def test_presigning_starts_nothing(wire, connect, make_engine, sink):
    """A presigned address is no call."""
    client = connect("s3", make_engine())
    url = client.generate_presigned_url("get_object", {"Bucket": "b", "Key": "k"})

    assert url.startswith(wire.url)
    assert [] == sink.of("CallEnded")


def test_moto_in_process(make_engine, sink):
    """Mocks of moto answer as ever."""
    from moto import mock_aws

    with mock_aws():
        session = boto3.Session(region_name="us-east-1")
        resilience.botocore.register(session, make_engine())
        client = session.client("s3")
        client.create_bucket(Bucket="orders")
        client.put_object(Bucket="orders", Key="1", Body=b"x")

        assert b"x" == client.get_object(Bucket="orders", Key="1")["Body"].read()
        with pytest.raises(client.exceptions.NoSuchKey):
            client.get_object(Bucket="orders", Key="2")
    ends = [(end.target.method, end.outcome.kind) for end in sink.of("CallEnded")]
    assert ("GetObject", "application") == ends[-1]
    assert 4 == len(ends)


def test_local_faults_end_the_call(connect, make_engine, sink, wire):
    """Wrong parameters are the caller's, and count against nobody."""
    client = connect("sqs", make_engine())
    with pytest.raises(ParamValidationError):
        client.receive_message(Wrong=1)

    (end,) = sink.of("CallEnded")
    assert ("local", "no", False) == (
        end.outcome.kind,
        end.outcome.reached,
        end.ambiguous,
    )
    assert 0 == wire.count


def _one_probe(make_engine):
    breaker = {
        "kind": "classic",
        "min_calls": 1,
        "window": "10 calls",
        "open_for": "1s",
        "probes": 1,
        "concurrent_probes": 1,
        "probe_timeout": "60s",
    }
    return make_engine({"breaker": breaker, "retry": "off"})


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_permits_are_given_back(error, wire, connect, make_engine, clock):
    """A probe that is interrupted gives its permit back: the next call may probe."""
    engine = _one_probe(make_engine)
    client = connect("sqs", engine)
    wire.plans = [500]
    with pytest.raises(ClientError):
        client.list_queues()
    clock.skipped += 20
    interrupt = [True]

    def stop(**_):
        if interrupt:
            interrupt.clear()
            raise error

    client.meta.events.register("before-send", stop)
    with pytest.raises(error):
        client.list_queues()

    client.list_queues()

    assert current.get() is None


def test_an_open_breaker_refuses_unsent(wire, connect, make_engine):
    """The refusal is a `BotoCoreError`, and no retry of botocore's repeats it."""
    client = connect("sqs", _one_probe(make_engine), mode="legacy")
    wire.plans = [500] * 3
    with pytest.raises(ClientError):
        client.list_queues()
    with pytest.raises(resilience.botocore.BotocoreRejected) as caught:
        client.list_queues()

    assert 1 == wire.count
    assert "breaker-open" == caught.value.reason
    assert 0 < caught.value.retry_after_s <= 1
    assert caught.value.kwargs == {"message": str(caught.value)}


def test_a_rejection_can_be_pickled():
    """Process pools hand it over whole."""
    import pickle

    error = resilience.botocore.BotocoreRejected(
        "m", reason="breaker-open", scope="s", retry_after_s=1.5
    )
    back = pickle.loads(pickle.dumps(error))

    assert (type(error), "m", "breaker-open", "s", 1.5) == (
        type(back),
        str(back),
        back.reason,
        back.scope,
        back.retry_after_s,
    )


@pytest.mark.parametrize(
    ("service", "scope", "call", "expected"),
    [
        (
            "s3",
            ["region", "bucket"],
            lambda c: c.list_objects_v2(Bucket="orders"),
            "aws:region=us-east-1,bucket=orders",
        ),
        (
            "dynamodb",
            ["table"],
            lambda c: c.get_item(TableName="t", Key={}),
            "aws:table=t",
        ),
        (
            "sqs",
            ["queue"],
            lambda c: c.purge_queue(QueueUrl="http://sqs/1/jobs"),
            "aws:queue=jobs",
        ),
        ("sqs", ["queue"], lambda c: c.list_queues(), "aws:queue=-"),
        (
            "sqs",
            ["service", "method"],
            lambda c: c.list_queues(),
            "aws:service=sqs,method=ListQueues",
        ),
    ],
)
def test_scopes_by_parameters(
    *, service, scope, call, expected, wire, connect, make_engine
):
    """A breaker's scope can name the bucket, table or queue of a call."""
    engine = make_engine({"breaker": {"scope": scope}})
    wire.default = (200, {}, b"<a/>" if service == "s3" else b"{}")
    client = connect(service, engine)
    for _ in range(3):
        call(client)

    assert [expected] == [found.key for found in engine._scopes]


def test_many_threads_take_over_once(wire, connect, make_engine):
    """A client first used by many threads at once has one owner."""
    engine = make_engine({"retry": {"max_attempts": 2}, "breaker": "off"})
    client = connect("sqs", engine)
    wire.plans = [500] * 64
    start = threading.Barrier(8)

    def work():
        start.wait()
        with pytest.raises(ClientError):
            client.list_queues()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    handlers = client.meta.events._emitter._handlers.prefix_search("needs-retry.sqs.X")
    ours = [h for h in handlers if type(h).__module__.startswith("resilience.")]
    assert 1 == len(ours)
    assert 16 == wire.count
