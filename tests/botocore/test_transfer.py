"""s3transfer in its threads: the caller's deadline, one owner of repeats, no orphans.

Against moto's server over HTTP, through a proxy that cuts and stalls.
"""

import io
import random
import re
import threading
import time
from copy import deepcopy

import pytest
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore import context as botocore_context
from botocore.exceptions import BotoCoreError
from s3transfer import futures
from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError
from s3transfer.manager import TransferManager

import resilience
from resilience.botocore.flight import current
from resilience.botocore.transfer import ATTRIBUTE, Ambient, Task, carry
from tests.botocore.cutting.proxy import Fault


pytestmark = pytest.mark.real
MIB = 1 << 20
DATA = random.Random(7).randbytes(11 * MIB)
SMALL = DATA[:100_000]
PARTS = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
ALONE = TransferConfig(
    multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, use_threads=False
)


@pytest.fixture
def s3(cutting_proxy, connect, make_engine):
    """Return a function that makes a client, protected by default, of a bucket."""

    def make(rules=None, *, mode="enforce", **config):
        engine = make_engine({"breaker": "off", **(rules or {})}, mode=mode)
        client = connect("s3", engine, endpoint_url=cutting_proxy.url, **config)
        client.create_bucket(Bucket="bkt")
        return client

    return make


def often(fault, method, mark, times=1):
    """The same fault for the first requests that fit."""
    left = [fault] * times

    def find(request):
        fits = request.method == method and mark in request.path
        return left.pop() if fits and left else None

    return find


def uploads(client, key):
    """Multipart uploads of *key* that are under way."""
    found = client.list_multipart_uploads(Bucket="bkt").get("Uploads") or []
    return [one for one in found if one["Key"] == key]


def abort_threads():
    for thread in threading.enumerate():
        if thread.name == "resilience-abort":
            thread.join(10)


def seen_deadlines(client):
    """Note the deadline of each call, where it is made."""
    seen = []
    client.meta.events.register(
        "before-call.s3",
        lambda model, **_: seen.append(
            (model.name, current.get().deadline_at, threading.current_thread().name)
        ),
    )
    return seen


@pytest.mark.parametrize("config", [PARTS, ALONE])
def test_threads_have_the_callers_deadline(config, s3, tmp_path):
    """All calls of a transfer, in whatever thread, have the deadline around it."""
    client = s3()
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(DATA)
    seen = seen_deadlines(client)
    with resilience.deadline(60):
        deadline = resilience.context.ambient_deadline()
        client.upload_file(str(source), "bkt", "big", Config=config)
        client.download_file("bkt", "big", str(back), Config=config)
        client.upload_fileobj(io.BytesIO(DATA), "bkt", "obj", Config=config)
        client.download_fileobj("bkt", "obj", io.BytesIO(), Config=config)
        source_of = {"Bucket": "bkt", "Key": "obj"}
        client.copy(source_of, "bkt", "copied", Config=config)

    assert DATA == back.read_bytes()
    names = {name for name, _, _ in seen}
    assert {"UploadPart", "GetObject", "CompleteMultipartUpload"} <= names
    assert {deadline} == {at for _, at, _ in seen}


def test_the_resource_api_has_it_too(s3, session, cutting_proxy):
    """Buckets and objects transfer by way of the client."""
    s3()
    found = session.resource("s3", endpoint_url=cutting_proxy.url)
    seen = seen_deadlines(found.meta.client)
    with resilience.deadline(60):
        deadline = resilience.context.ambient_deadline()
        found.Object("bkt", "res").upload_fileobj(io.BytesIO(SMALL))
        found.Bucket("bkt").download_fileobj("res", io.BytesIO())

    assert {deadline} == {at for _, at, _ in seen}


def test_a_client_that_was_there_before(session, cutting_proxy, make_engine):
    """A client that is registered itself carries the deadline as well."""
    client = session.client("s3", endpoint_url=cutting_proxy.url)
    resilience.botocore.register(client, make_engine())
    client.create_bucket(Bucket="bkt")
    seen = seen_deadlines(client)
    with resilience.deadline(60):
        deadline = resilience.context.ambient_deadline()
        client.upload_fileobj(io.BytesIO(SMALL), "bkt", "before")

    assert [("PutObject", deadline)] == [(name, at) for name, at, _ in seen]


def test_a_transfer_manager_of_ones_own(s3):
    """Who uses s3transfer itself has it as well."""
    client = s3()
    seen = seen_deadlines(client)
    with TransferManager(client) as manager, resilience.deadline(60):
        deadline = resilience.context.ambient_deadline()
        manager.upload(io.BytesIO(SMALL), "bkt", "own").result()

    assert [deadline] == [at for name, at, _ in seen if name == "PutObject"]


def test_without_a_deadline_there_is_none(s3):
    """Nothing is carried where nothing is set."""
    client = s3()
    seen = seen_deadlines(client)
    client.upload_fileobj(io.BytesIO(SMALL), "bkt", "none")

    assert ["PutObject"] == [name for name, _, _ in seen]
    assert futures.get_context() is None


def test_key_and_criticality_travel_too(s3):
    """Everything that stands around a caller stands around his transfer."""
    client = s3()
    seen = []
    client.meta.events.register(
        "before-call.s3", lambda **_: seen.append(Ambient.here())
    )
    with resilience.idempotency_key("k1"), resilience.criticality("sheddable"):
        client.upload_fileobj(io.BytesIO(SMALL), "bkt", "marked")

    assert ("k1", "sheddable") == (seen[-1].key, seen[-1].criticality)


@pytest.mark.parametrize("config", [PARTS, ALONE])
@pytest.mark.parametrize("fault", ["hush", "fin"])
def test_one_owner_of_repeats(config, fault, s3, cutting_proxy):
    """Attempts do not multiply with s3transfer's own, counted at the server."""
    client = s3({"retry": {"max_attempts": 3}}, read_timeout=0.3)
    client.put_object(Bucket="bkt", Key="dead", Body=SMALL)
    cutting_proxy.fault = often(Fault(fault), "GET", "/bkt/dead", 99)

    with pytest.raises(RetriesExceededError) as caught:
        client.download_fileobj("bkt", "dead", io.BytesIO(), Config=config)

    assert 3 == cutting_proxy.count("GET", "/bkt/dead")
    found = resilience.report(caught.value.last_exception)
    assert "attempts-exhausted" == found.reason


def test_native_repeats_where_nothing_is_proven(wire, connect, make_engine):
    """A body that cannot be resumed is left to s3transfer, as ever."""

    def cut_short(handler):
        handler.close_connection = True
        return 200, {"content-length": "8"}, b"abc"

    client = connect("s3", make_engine(), endpoint_url=wire.url)
    wire.plans = [(200, {"content-length": "8"}, b""), cut_short, cut_short]
    wire.default = (200, {}, b"abcdefgh")
    got = io.BytesIO()
    client.download_fileobj("bkt", "k", got)

    assert b"abcdefgh" == got.getvalue()
    assert 4 == wire.count


@pytest.mark.parametrize("mode", ["observe", "bypass"])
def test_other_modes_are_native(mode, s3, cutting_proxy):
    """Observing and bypassing leave s3transfer its own attempts."""
    client = s3(mode=mode)
    client.put_object(Bucket="bkt", Key="dead", Body=SMALL)
    cutting_proxy.fault = often(Fault("fin"), "GET", "/bkt/dead", 99)

    with pytest.raises(RetriesExceededError):
        client.download_fileobj("bkt", "dead", io.BytesIO())
    assert 5 == cutting_proxy.count("GET", "/bkt/dead")


def test_a_changed_object_ends_a_download(s3, cutting_proxy):
    """s3transfer says in its own words that the object is not the same."""
    client, other = s3(), s3()
    client.put_object(Bucket="bkt", Key="changes", Body=SMALL)
    cutting_proxy.fault = often(Fault("fin", 50_000), "GET", "/bkt/changes")

    def change(_):
        other.put_object(Bucket="bkt", Key="changes", Body=b"y" * 100_000)

    config = TransferConfig(io_chunksize=40_000, use_threads=False)
    got = io.BytesIO()
    with pytest.raises(S3DownloadFailedError, match="did not match expected ETag"):
        client.download_fileobj("bkt", "changes", got, Callback=change, Config=config)
    assert SMALL.startswith(got.getvalue())


def test_an_upload_through_cuts(s3, cutting_proxy, tmp_path):
    """Parts whose connection breaks are sent again: the object is whole."""
    client = s3()
    source = tmp_path / "source"
    source.write_bytes(DATA)
    cut = set()

    def fault(request):
        if request.method != "PUT" or "partNumber" not in request.path:
            return None
        is_first = request.path not in cut
        cut.add(request.path)
        return Fault("rst", 700_000, "up") if is_first else None

    cutting_proxy.fault = fault
    client.upload_file(str(source), "bkt", "cut", Config=PARTS)

    assert DATA == client.get_object(Bucket="bkt", Key="cut")["Body"].read()
    assert [] == uploads(client, "cut")
    assert 6 == cutting_proxy.count("PUT", "partNumber")


@pytest.mark.slow
@pytest.mark.parametrize("config", [PARTS, ALONE])
def test_an_upload_that_runs_out_of_time_is_aborted(config, s3, cutting_proxy):
    """The caller is back in time, and nothing of the upload stays."""
    client = s3()
    cutting_proxy.fault = often(Fault("stall", 100_000, "up"), "PUT", "partNumber", 9)
    began = time.monotonic()
    with resilience.deadline(0.2), pytest.raises((BotoCoreError, S3UploadFailedError)):
        client.upload_fileobj(io.BytesIO(DATA), "bkt", "late", Config=config)
    took = time.monotonic() - began

    abort_threads()
    assert [] == uploads(client, "late")
    assert 1 == cutting_proxy.count("DELETE", "/bkt/late")
    assert took < 3


@pytest.mark.slow
def test_a_download_that_runs_out_of_time(s3, cutting_proxy):
    """The caller is back in time, and s3transfer does not begin again."""
    client = s3()
    client.put_object(Bucket="bkt", Key="slow", Body=SMALL)
    cutting_proxy.fault = often(Fault("stall", 50_000), "GET", "/bkt/slow", 9)
    began = time.monotonic()
    with resilience.deadline(0.5), pytest.raises(RetriesExceededError) as caught:
        client.download_fileobj("bkt", "slow", io.BytesIO())

    assert time.monotonic() - began < 3
    assert 1 == cutting_proxy.count("GET", "/bkt/slow")
    assert "deadline" == resilience.report(caught.value.last_exception).reason


@pytest.mark.slow
def test_an_upload_that_cannot_be_aborted_is_reported(s3, cutting_proxy, sink):
    """What is left behind is named, so that somebody can remove it."""
    client = s3({"retry": {"max_attempts": 1}})

    def fault(request):
        if request.method == "DELETE":
            return Fault("lose")
        is_part = request.method == "PUT" and "partNumber" in request.path
        return Fault("stall", 100_000, "up") if is_part else None

    cutting_proxy.fault = fault
    with resilience.deadline(0.5), pytest.raises((BotoCoreError, S3UploadFailedError)):
        client.upload_fileobj(io.BytesIO(DATA), "bkt", "left", Config=PARTS)
    abort_threads()

    (notice,) = [n for n in sink.of("Notice") if n.code == "upload-left"]
    assert "s3://bkt/left" in notice.message


@pytest.mark.parametrize("outer", [False, True])
def test_a_lost_creation_is_reported(outer, s3, cutting_proxy, sink):
    """An upload that nobody knows the id of is said to be there, perhaps."""
    client = s3()
    cutting_proxy.fault = often(Fault("lose"), "POST", "/bkt/lost?uploads")
    if outer:
        client.create_multipart_upload(Bucket="bkt", Key="lost")
    else:
        client.upload_fileobj(io.BytesIO(DATA), "bkt", "lost", Config=PARTS)

    (notice,) = [n for n in sink.of("Notice") if n.code == "upload-unknown"]
    assert "s3://bkt/lost" in notice.message
    assert "1 answer" in notice.message


def test_tasks_share_the_surroundings_and_nothing_else():
    """The context is copied for each task; what one has spent is its own."""
    ambient = Ambient(1.0, None, None, None)
    one = Task(ambient)
    error = ValueError()
    one.spend({"Key": "k"}, error)
    other = deepcopy(one)

    assert error is one.spent({"Key": "k"})
    assert None is one.spent({"Key": "l"})
    assert None is other.spent({"Key": "k"})
    assert ambient is other.ambient


def test_what_s3transfer_must_have():
    """The names that deadlines travel by; where they go, nothing is carried."""
    carry()
    first = futures.get_context
    carry()

    assert first is futures.get_context
    assert hasattr(first, ATTRIBUTE)
    with botocore_context.start_as_current_context(), resilience.deadline(5):
        found = futures.get_context()
        assert isinstance(found, botocore_context.ClientContext)
        assert getattr(found, ATTRIBUTE).ambient.deadline_at is not None


@pytest.mark.parametrize("config", [PARTS, ALONE])
def test_the_same_requests_as_bare(config, cutting_proxy, connect, make_engine):
    """Healthy transfers send what they send without us, no more and no less."""
    found = []
    for engine in (None, make_engine()):
        client = connect("s3", engine, endpoint_url=cutting_proxy.url)
        client.create_bucket(Bucket="bkt")
        cutting_proxy.seen.clear()
        client.upload_fileobj(io.BytesIO(DATA), "bkt", "same", Config=config)
        got = io.BytesIO()
        client.download_fileobj("bkt", "same", got, Config=config)
        assert DATA == got.getvalue()
        found.append(
            sorted(
                (
                    r.method,
                    re.sub("uploadId=[^&]*", "", r.path),
                    r.headers.get("range", ""),
                )
                for r in cutting_proxy.seen
            )
        )

    bare, ours = found
    assert bare == ours
