"""Awaited waiters and paginators within a deadline."""

import pytest
from botocore.exceptions import BotoCoreError, WaiterError

import resilience
from resilience.botocore.waits import LAST_POLL_S


WAITS = {"WaiterConfig": {"Delay": 5, "MaxAttempts": 20}}


@pytest.fixture
def ambient(clock, monkeypatch):
    """Deadlines run on the engine's clock, where sleeping costs no time."""
    monkeypatch.setattr(resilience.context, "monotonic", clock.now)
    return clock


async def test_a_wait_ends_with_its_deadline(wire, connect, make_engine, ambient):
    """Polls go on while they fit, a last one just before the end; then the error."""
    client = await connect("s3", make_engine())
    wire.default = (404, {}, b"")
    began = ambient.now()
    with resilience.deadline(12), pytest.raises(WaiterError, match="deadline") as error:
        await client.get_waiter("bucket_exists").wait(Bucket="bkt", **WAITS)

    assert 4 == wire.count
    assert [5.0, 5.0] == ambient.slept[:2]
    assert ambient.slept[2] == pytest.approx(2 - LAST_POLL_S, abs=0.2)
    assert ambient.now() - began < 12
    assert error.value.last_response["ResponseMetadata"]["HTTPStatusCode"] == 404


async def test_a_wait_that_succeeds(wire, connect, make_engine, ambient):
    """What comes true in time is found, by botocore's own rules."""
    client = await connect("s3", make_engine())
    wire.plans = [(404, {}, b""), (404, {}, b""), (200, {}, b"")]
    with resilience.deadline(60):
        await client.get_waiter("bucket_exists").wait(Bucket="bkt", **WAITS)

    assert 3 == wire.count
    assert [5.0, 5.0] == ambient.slept


async def test_existing_client(wire, connect, make_engine, ambient):
    """The waiters of a client that was registered by itself are bound, too."""
    client = await connect("s3")
    resilience.botocore.register(client, make_engine())
    wire.default = (404, {}, b"")
    with resilience.deadline(7), pytest.raises(WaiterError, match="deadline"):
        await client.get_waiter("bucket_exists").wait(Bucket="bkt", **WAITS)


async def test_without_a_deadline_nothing_is_touched(wire, connect, make_engine):
    """The waiter's own maximum holds, and its own error is raised."""
    client = await connect("s3", make_engine())
    wire.default = (404, {}, b"")
    config = {"Delay": 0, "MaxAttempts": 3}
    with pytest.raises(WaiterError, match="Max attempts"):
        await client.get_waiter("bucket_exists").wait(Bucket="b", WaiterConfig=config)

    assert 3 == wire.count


async def test_pages_end_with_their_deadline(wire, connect, make_engine, ambient):
    """Each page is a call within what is left; nothing is asked for afterwards."""
    client = await connect("dynamodb", make_engine({"breaker": "off"}))

    def page(handler):
        ambient.skipped += 3
        return 200, {}, f'{{"LastEvaluatedTableName": "table{wire.count}"}}'.encode()

    wire.default = page
    pages = client.get_paginator("list_tables").paginate()
    with resilience.deadline(10), pytest.raises(BotoCoreError):
        await pages.build_full_result()

    assert 3 <= wire.count <= 4
