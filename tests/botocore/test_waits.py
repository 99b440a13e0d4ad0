"""Waiters and paginators within a deadline; without one they are botocore's."""

import boto3
import pytest
from botocore.exceptions import BotoCoreError, WaiterError
from botocore.waiter import time as native_time

import resilience
from resilience.botocore.waits import LAST_POLL_S


WAITS = {"WaiterConfig": {"Delay": 5, "MaxAttempts": 20}}


@pytest.fixture
def ambient(clock, monkeypatch):
    """Deadlines run on the engine's clock, where sleeping costs no time."""
    monkeypatch.setattr(resilience.context, "monotonic", clock.now)
    return clock


@pytest.fixture
def native_sleeps(monkeypatch):
    """What botocore itself would sleep."""
    slept = []
    monkeypatch.setattr(native_time, "sleep", slept.append)
    return slept


def test_a_wait_ends_with_its_deadline(wire, connect, make_engine, ambient):
    """Polls go on while they fit, a last one just before the end; then the error."""
    client = connect("s3", make_engine())
    wire.default = (404, {}, b"")
    began = ambient.now()
    with resilience.deadline(12), pytest.raises(WaiterError, match="deadline") as error:
        client.get_waiter("bucket_exists").wait(Bucket="bkt", **WAITS)

    assert 4 == wire.count
    assert [5.0, 5.0] == ambient.slept[:2]
    assert ambient.slept[2] == pytest.approx(2 - LAST_POLL_S, abs=0.2)
    assert ambient.now() - began < 12
    assert error.value.last_response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_a_wait_that_succeeds(wire, connect, make_engine, ambient, native_sleeps):
    """What comes true in time is found, by botocore's own rules."""
    client = connect("s3", make_engine())
    wire.plans = [(404, {}, b""), (404, {}, b""), (200, {}, b"")]
    with resilience.deadline(60):
        client.get_waiter("bucket_exists").wait(Bucket="bkt", **WAITS)

    assert 3 == wire.count
    assert [5.0, 5.0] == ambient.slept
    assert {0} == set(native_sleeps)


def test_attempts_run_out_as_ever(wire, connect, make_engine, ambient):
    """The waiter's own maximum holds, and its own error is raised."""
    client = connect("s3", make_engine())
    wire.default = (404, {}, b"")
    config = {"Delay": 1, "MaxAttempts": 3}
    waiter = client.get_waiter("bucket_exists")
    with resilience.deadline(60), pytest.raises(WaiterError, match="Max attempts"):
        waiter.wait(Bucket="bkt", WaiterConfig=config)

    assert 3 == wire.count


def test_the_models_delay_is_used(wire, connect, make_engine, ambient):
    """Where no delay is given, the waiter's own is slept."""
    client = connect("s3", make_engine())
    wire.plans = [(404, {}, b"")]
    waiter = client.get_waiter("bucket_exists")
    with resilience.deadline(60):
        waiter.wait(Bucket="bkt")

    assert [float(waiter.config.delay)] == ambient.slept


@pytest.mark.parametrize("mode", ["enforce", "observe", "bypass"])
def test_without_a_deadline_or_acting_it_is_native(
    *, mode, wire, connect, make_engine, ambient, native_sleeps
):
    """The sleeping is native where there is nothing for us to keep to."""
    client = connect("s3", make_engine(mode=mode))
    wire.plans = [(404, {}, b"")]
    waiter = client.get_waiter("bucket_exists")
    if mode == "enforce":
        waiter.wait(Bucket="bkt", **WAITS)
    else:
        with resilience.deadline(1):
            waiter.wait(Bucket="bkt", **WAITS)

    assert [5] == native_sleeps
    assert [] == ambient.slept


def test_a_deadline_that_has_passed(wire, connect, make_engine, ambient):
    """The first poll is refused like any call, unsent."""
    client = connect("s3", make_engine())
    with resilience.deadline(0), pytest.raises(BotoCoreError, match="deadline"):
        client.get_waiter("bucket_exists").wait(Bucket="bkt", **WAITS)

    assert 0 == wire.count


def test_existing_clients_and_resources(wire, session, make_engine, ambient):
    """Clients that were made before, and what resources wait by, keep to it, too."""
    before = session.client("s3", endpoint_url=wire.url)
    resilience.botocore.register(before, make_engine())
    wire.default = (404, {}, b"")
    with resilience.deadline(2), pytest.raises(WaiterError, match="deadline"):
        before.get_waiter("bucket_exists").wait(Bucket="bkt", **WAITS)
    resilience.botocore.unregister(before)
    assert "get_waiter" not in vars(before)

    resilience.botocore.register(session, make_engine())
    bucket = session.resource("s3", endpoint_url=wire.url).Bucket("bkt")
    with resilience.deadline(2), pytest.raises(WaiterError, match="deadline"):
        bucket.wait_until_exists()
    assert isinstance(session, boto3.Session)


PAGE = b"""<ListBucketResult><IsTruncated>true</IsTruncated>
<NextContinuationToken>%d</NextContinuationToken></ListBucketResult>"""


def test_pages_spend_one_budget(wire, connect, make_engine, ambient):
    """Each page is a call within the deadline around whoever asks for it."""
    client = connect("s3", make_engine())
    wire.plans = [(200, {}, PAGE % n) for n in range(9)]
    pages = iter(client.get_paginator("list_objects_v2").paginate(Bucket="bkt"))
    with resilience.deadline(10):
        next(pages)
        next(pages)
        ambient.skipped += 11
        with pytest.raises(BotoCoreError, match="deadline"):
            next(pages)

    assert 2 == wire.count
