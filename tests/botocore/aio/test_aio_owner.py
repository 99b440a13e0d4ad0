"""One owner of the retries of awaited clients, counted at the server."""

import asyncio
from functools import partial

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError

import resilience
import resilience.botocore


MODES = ["legacy", "standard", "adaptive"]
FAULTS = {"status": [503] * 20, "dropped": ["drop"] * 20}
ENDS = (ClientError, ConnectionClosedError, HTTPClientError)


@pytest.fixture
def dial(connect, http):
    """Return a function that makes clients, with each HTTP session in turn."""
    return partial(connect, http=http)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("mode", MODES)
async def test_one_owner(mode, fault, wire, dial, make_engine):
    """Under enforce the policy's attempts are made, not the client's, nor both."""
    engine = make_engine({"retry": {"max_attempts": 4}})
    client = await dial("sqs", engine, mode=mode)
    wire.plans = FAULTS[fault][:]

    with pytest.raises(ENDS) as caught:
        await client.list_queues()

    assert 4 == wire.count
    assert "attempts-exhausted" == resilience.report(caught.value).reason


@pytest.mark.parametrize("mode", MODES)
async def test_recovered(mode, wire, connect, make_engine, clock):
    """A call that recovers says how many retries it took, and the waits were ours."""
    client = await connect("dynamodb", make_engine(), mode=mode)
    wire.plans = [500, 502]

    answer = await client.list_tables()

    assert 2 == answer["ResponseMetadata"]["RetryAttempts"]
    assert 2 == len(clock.slept)
    assert 3 == wire.count


@pytest.mark.parametrize("mode", MODES)
async def test_engine_mode_switches_at_run_time(mode, wire, connect, make_engine):
    """The native behaviour is back with the next call, and so is ours."""
    engine = make_engine({"retry": {"max_attempts": 2}, "breaker": "off"})
    client = await connect("sqs", engine, mode=mode, retries={"total_max_attempts": 3})
    client._endpoint._sleep = lambda seconds: asyncio.sleep(0)
    counts = []

    for word in ("enforce", "observe", "bypass", "enforce"):
        engine.mode = word
        wire.seen, wire.plans = [], ["drop"] * 4
        with pytest.raises(ENDS):
            await client.list_queues()
        counts.append(wire.count)

    assert [2, 3, 3, 2] == counts


async def test_honoured_client_config(wire, connect, make_engine):
    """Under `honour-client-config` botocore's handler decides, and we may veto."""
    engine = make_engine(
        {"profile": "honour-client-config", "retry": {"max_attempts": 9}}
    )
    client = await connect("sqs", engine, retries={"total_max_attempts": 3})
    client._endpoint._sleep = lambda seconds: asyncio.sleep(0)
    wire.plans = [500] * 9

    with pytest.raises(ClientError):
        await client.list_queues()

    assert 3 == wire.count


@pytest.mark.parametrize(
    ("mode", "connections"), [("enforce", 1), ("observe", 2), ("bypass", 2)]
)
async def test_no_repeat_beneath_us(mode, connections, wire, connect, make_engine):
    """No PUT is repeated by aiohttp itself where the engine owns the repeats."""
    engine = make_engine(
        {"retry": "off", "breaker": "off"},
        operations={"s3.PutObject": {"idempotency": "none"}},
    )
    client = await connect("s3", engine, retries={"total_max_attempts": 1})
    engine.mode = mode
    wire.default = (200, {}, b"")
    await client.put_object(Bucket="b", Key="k", Body=b"1")
    wire.seen, wire.plans = [], ["drop", "drop"]

    with pytest.raises(ENDS):
        await client.put_object(Bucket="b", Key="k", Body=b"1")

    assert connections == wire.count


async def test_error_says_as_botocore_does(wire, connect, make_engine):
    """`reached max retries` and its metadata are those of botocore's own retries."""
    client = await connect("sqs", make_engine())
    wire.plans = [500] * 5

    with pytest.raises(ClientError, match=r"reached max retries: 2") as caught:
        await client.list_queues()

    metadata = caught.value.response["ResponseMetadata"]
    assert metadata["MaxAttemptsReached"] is True
    assert any("ended by attempts-exhausted" in n for n in caught.value.__notes__)


async def test_damaged_answer_of_dynamodb(wire, connect, make_engine):
    """An answer that does not match its checksum is asked for again."""
    client = await connect("dynamodb", make_engine())
    wire.plans = [(200, {"x-amz-crc32": "1"}, b'{"TableNames": []}')]

    await client.list_tables()

    assert 2 == wire.count


async def test_adaptive_limiter_keeps_still(wire, connect, make_engine):
    """Under enforce the adaptive limiter neither learns nor holds back."""
    client = await connect("sqs", make_engine(), mode="adaptive")
    throttled = (400, {}, b'{"__type": "ThrottlingException", "message": "slow"}')
    wire.plans = [throttled] * 2

    await client.list_queues()

    found = client.meta.events._emitter._handlers.prefix_search("before-send.sqs.A")
    wrapped = [arg for one in found for arg in getattr(one, "args", ())]
    limiters = [one.__self__ for one in wrapped if hasattr(one, "__self__")]
    limiters = [one for one in limiters if hasattr(one, "_enabled")]
    assert limiters
    assert not any(limiter._enabled for limiter in limiters)


async def test_foreign_handlers_are_named(wire, connect, make_engine, sink):
    """A handler of somebody else's that answers `needs-retry` is told once."""
    client = await connect("sqs", make_engine())
    client.meta.events.register("needs-retry.sqs", lambda **_: None)

    await client.list_queues()
    await client.list_queues()

    codes = [notice.code for notice in sink.of("Notice")]
    assert 1 == codes.count("foreign-retry-handlers")


async def test_native_clients_have_no_strangers(wire, connect, make_engine, sink):
    """Nothing of aiobotocore's own is taken for somebody else's."""
    client = await connect("sqs", make_engine())

    await client.list_queues()

    assert {"policy"} >= {notice.code for notice in sink.of("Notice")}
    assert resilience.botocore.owner_of(client).endswith("keeps still")
