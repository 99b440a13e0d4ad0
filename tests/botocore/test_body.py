"""Bodies of objects that are cut: the rest is asked for, or the original error comes.

Against moto's server over HTTP, through a proxy that cuts and stalls.
"""

import hashlib
import io
import random

import boto3
import pytest
import urllib3
from botocore.exceptions import (
    ClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

import resilience
from resilience.botocore.resume import ObjectChanged
from tests.botocore.cutting.proxy import Fault


pytestmark = pytest.mark.real
DATA = random.Random(7).randbytes(300_000)


@pytest.fixture
def s3(cutting_proxy, connect, make_engine):
    """Return a protected client of a bucket that holds DATA as `k`."""

    def make(rules=None, **config):
        engine = make_engine({"breaker": "off", **(rules or {})})
        client = connect("s3", engine, endpoint_url=cutting_proxy.url, **config)
        client.create_bucket(Bucket="bkt")
        client.put_object(Bucket="bkt", Key="k", Body=DATA)
        return client

    return make


def cuts(*faults):
    """Faults for the first GETs of the object, one after the other."""
    left = list(faults)

    def fault(request):
        is_ours = request.method == "GET" and request.path.startswith("/bkt/k")
        return left.pop(0) if is_ours and left else None

    return fault


def gets(cutting_proxy):
    return [r for r in cutting_proxy.seen if r.method == "GET" and "/bkt/k" in r.path]


def in_chunks(body):
    return b"".join(body.iter_chunks(10_000))


def by_readinto(body):
    got, part = bytearray(), bytearray(70_000)
    while count := body.readinto(part):
        got += part[:count]
    return bytes(got)


def raw_read(body):
    with body as raw:
        return raw.read()


def raw_stream(body):
    return b"".join(body._raw_stream.stream(50_000))


def raw_read1(body):
    raw, got = body._raw_stream, b""
    while more := raw.read1(9000):
        got += more
    return got


READERS = {
    "read": lambda body: body.read(),
    "read-amt": lambda body: body.read(200_000) + body.read(200_000) + body.read(),
    "chunks": in_chunks,
    "lines": lambda body: b"\n".join(body.iter_lines(8192)),
    "iter": b"".join,
    "readinto": by_readinto,
    "raw": raw_read,
    "stream": raw_stream,
    "read1": raw_read1,
    "readlines": lambda body: b"".join(body.readlines()),
    "buffered": lambda body: io.BufferedReader(body._raw_stream, 5000).read(),
}


@pytest.mark.parametrize("kind", ["fin", "rst"])
@pytest.mark.parametrize("reader", READERS)
def test_every_way_of_reading_goes_on(kind, reader, cutting_proxy, s3):
    """A cut costs nothing but another request, whichever way the body is read."""
    client = s3()
    cutting_proxy.fault = cuts(Fault(kind, 100_000), Fault(kind, 50_000))
    body = client.get_object(Bucket="bkt", Key="k")["Body"]

    got = READERS[reader](body)

    expected = DATA
    if reader == "lines":
        expected = b"\n".join(line for line in DATA.splitlines())
    assert hashlib.sha256(expected).digest() == hashlib.sha256(got).digest()
    ranges = [r.headers.get("range") for r in gets(cutting_proxy)]
    assert 3 == len(ranges)
    assert ranges[0] is None
    assert all(r.headers["if-match"].startswith('"') for r in gets(cutting_proxy)[1:])


def test_the_running_checksum_holds_over_all(cutting_proxy, s3):
    """A byte that changed on the way is found by botocore's checksum, as ever."""
    client = s3()
    cutting_proxy.fault = cuts(Fault("fin", 100_000))
    body = client.get_object(Bucket="bkt", Key="k")["Body"]
    assert "StreamingChecksumBody" == type(body).__name__
    body._checksum.update(b"x")

    with pytest.raises(Exception, match="did not match calculated"):
        body.read()
    assert 2 == len(gets(cutting_proxy))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("bytes=1000-200999", DATA[1000:201_000]),
        ("bytes=1000-", DATA[1000:]),
        ("bytes=-200000", DATA[-200_000:]),
    ],
)
def test_a_range_of_the_users_own(given, expected, cutting_proxy, s3):
    """The rest of a range is asked for as a part of it."""
    client = s3()
    cutting_proxy.fault = cuts(Fault("fin", 50_000))
    body = client.get_object(Bucket="bkt", Key="k", Range=given)["Body"]

    assert expected == body.read()
    start = 300_000 - len(expected) if given != "bytes=1000-200999" else 1000
    asked = gets(cutting_proxy)[1].headers["range"]
    assert asked.startswith(f"bytes={start + 50_000}-")


def test_a_changed_object_is_an_error(cutting_proxy, s3):
    """Nothing of another object is spliced in: the service's 412 is raised."""
    client = s3()
    cutting_proxy.fault = cuts(Fault("fin", 100_000))
    body = client.get_object(Bucket="bkt", Key="k")["Body"]
    first = body.read(60_000)
    client.put_object(Bucket="bkt", Key="k", Body=b"y" * 300_000)

    with pytest.raises(ObjectChanged) as caught:
        body.read()

    assert DATA[:60_000] == first
    assert "PreconditionFailed" == caught.value.response["Error"]["Code"]
    assert isinstance(caught.value, (ClientError, ResponseStreamingError))


def test_a_deleted_object_is_an_error(cutting_proxy, s3):
    """An object that went away is said to have gone."""
    client = s3()
    cutting_proxy.fault = cuts(Fault("fin", 100_000))
    body = client.get_object(Bucket="bkt", Key="k")["Body"]
    client.delete_object(Bucket="bkt", Key="k")

    with pytest.raises(ClientError, match=r"NoSuchKey|404"):
        body.read()


def test_a_version_is_read_to_its_end(cutting_proxy, s3):
    """In a versioned bucket the version that was begun is still there."""
    client = s3()
    at = {"Bucket": "versions", "Key": "k"}
    client.create_bucket(Bucket="versions")
    client.put_bucket_versioning(
        Bucket="versions", VersioningConfiguration={"Status": "Enabled"}
    )
    client.put_object(**at, Body=DATA)
    left = [Fault("fin", 100_000)]
    cutting_proxy.fault = lambda r: (
        left.pop() if left and r.path == "/versions/k" else None
    )
    answer = client.get_object(**at)
    client.put_object(**at, Body=b"y" * 300_000)

    assert DATA == answer["Body"].read()
    assert f"versionId={answer['VersionId']}" in cutting_proxy.seen[-1].path


@pytest.mark.parametrize("mode", ["observe", "bypass"])
def test_other_modes_are_native(mode, cutting_proxy, connect, make_engine, s3):
    """Observing and bypassing leave the body as botocore made it."""
    s3()
    made = connect("s3", make_engine(mode=mode), endpoint_url=cutting_proxy.url)
    cutting_proxy.fault = cuts(Fault("fin", 100_000))
    body = made.get_object(Bucket="bkt", Key="k")["Body"]

    assert urllib3.response.HTTPResponse is type(body._raw_stream)
    with pytest.raises(ResponseStreamingError):
        body.read()


@pytest.mark.parametrize(
    "rules", [{"retry": "off"}, {"profile": "honour-client-config"}]
)
def test_no_retries_no_resume(rules, cutting_proxy, s3):
    """Who has no retries of ours gets the native error."""
    client = s3(rules)
    cutting_proxy.fault = cuts(Fault("fin", 100_000))
    body = client.get_object(Bucket="bkt", Key="k")["Body"]

    with pytest.raises(ResponseStreamingError):
        body.read()
    assert 1 == len(gets(cutting_proxy))


def test_short_reads_end_as_natively(cutting_proxy, s3):
    """Without a resume a short body is an `IncompleteReadError` for chunks."""
    client = s3({"retry": "off"})
    cutting_proxy.fault = cuts(Fault("fin", 100_000))
    body = client.get_object(Bucket="bkt", Key="k")["Body"]

    with pytest.raises(IncompleteReadError):
        in_chunks(body)


def test_attempts_without_progress_end(cutting_proxy, s3, sink):
    """Cuts that bring nothing are counted like failed attempts, and then said."""
    client = s3({"retry": {"max_attempts": 3}})
    cutting_proxy.fault = cuts(*[Fault("fin", 100_000)] + [Fault("fin", 0)] * 9)
    body = client.get_object(Bucket="bkt", Key="k")["Body"]

    with pytest.raises(ResponseStreamingError) as caught:
        body.read()

    assert 3 == len(gets(cutting_proxy))
    found = resilience.report(caught.value)
    assert "attempts-exhausted" == found.reason
    assert "after 100000 of 300000 bytes" in found.attempts[0].message


def test_what_was_given_up_is_not_begun_again(cutting_proxy, s3):
    """Who reads on after the error gets what he gets natively, and nothing is sent."""
    client = s3({"retry": {"max_attempts": 2}})
    cutting_proxy.fault = cuts(Fault("fin", 100_000), Fault("fin", 0))
    body = client.get_object(Bucket="bkt", Key="k")["Body"]
    with pytest.raises(ResponseStreamingError):
        body.read()

    with pytest.raises(IncompleteReadError):
        body.read(10)
    assert 2 == len(gets(cutting_proxy))


def test_progress_pays_for_further_cuts(cutting_proxy, s3):
    """As long as each request brings something, cuts are not counted together."""
    client = s3({"retry": {"max_attempts": 2}})
    cutting_proxy.fault = cuts(*[Fault("rst", 20_000)] * 12)
    body = client.get_object(Bucket="bkt", Key="k")["Body"]

    assert DATA == b"".join(body.iter_chunks(4096))
    assert 12 < len(gets(cutting_proxy)) < 30


def test_errors_on_the_way_are_retried(cutting_proxy, s3, clock):
    """The request for the rest is a call like any other, with its backoff."""
    client = s3()
    faults = [Fault("fin", 100_000), Fault("lose"), None]
    cutting_proxy.fault = cuts(*faults)
    body = client.get_object(Bucket="bkt", Key="k")["Body"]

    assert DATA == body.read()
    assert 3 == len(gets(cutting_proxy))
    assert len(clock.slept) >= 2


def test_a_closed_body_stays_closed(cutting_proxy, s3):
    """After `close` nothing is asked for, whatever was left."""
    client = s3()
    body = client.get_object(Bucket="bkt", Key="k")["Body"]
    body.read(10)
    body.close()

    assert b"" == body._raw_stream.read(10)
    assert 1 == len(gets(cutting_proxy))


def test_a_client_that_is_gone(cutting_proxy, s3):
    """The body keeps what it needs to go on."""
    cutting_proxy.fault = cuts(Fault("fin", 100_000))
    body = s3().get_object(Bucket="bkt", Key="k")["Body"]

    assert DATA == body.read()


def test_the_resource_api(cutting_proxy, s3, session):
    """`Object.get()` has the same body."""
    s3()
    found = session.resource("s3", endpoint_url=cutting_proxy.url)
    cutting_proxy.fault = cuts(Fault("fin", 100_000))

    assert DATA == found.Object("bkt", "k").get()["Body"].read()
    assert isinstance(session, boto3.Session)


@pytest.mark.slow
def test_a_stall_is_cut_and_resumed(cutting_proxy, s3):
    """A silent body is asked for again after the policy's `idle_timeout`."""
    client = s3({"idle_timeout": "100ms"})
    cutting_proxy.fault = cuts(Fault("stall", 100_000))
    body = client.get_object(Bucket="bkt", Key="k")["Body"]

    assert DATA == body.read()
    assert 2 == len(gets(cutting_proxy))


@pytest.mark.slow
def test_the_deadline_holds_for_the_body(cutting_proxy, s3):
    """A body that stalls ends with the call's deadline, and says so."""
    client = s3()
    cutting_proxy.fault = cuts(Fault("stall", 100_000))
    with resilience.deadline(0.15):
        body = client.get_object(Bucket="bkt", Key="k")["Body"]
    with pytest.raises(ReadTimeoutError) as caught:
        body.read()

    assert "deadline" == resilience.report(caught.value).reason
    assert 1 == len(gets(cutting_proxy))


@pytest.mark.slow
def test_a_later_deadline_holds_too(cutting_proxy, s3):
    """A body that is read within a deadline ends with it, wherever it was opened."""
    client = s3()
    cutting_proxy.fault = cuts(Fault("stall", 100_000))
    body = client.get_object(Bucket="bkt", Key="k")["Body"]
    with resilience.deadline(0.1), pytest.raises(ReadTimeoutError):
        body.read()
