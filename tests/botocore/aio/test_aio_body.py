"""Bodies of awaited objects that are cut: the rest is asked for, or the error comes.

Against moto's server over HTTP, through a proxy that cuts and stalls.
"""

import asyncio
import hashlib
import random

import pytest
from botocore.exceptions import (
    ClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

import resilience
from resilience.botocore import ObjectChanged
from tests.botocore.cutting.proxy import Fault


pytestmark = pytest.mark.real
DATA = random.Random(7).randbytes(300_000)


@pytest.fixture
def s3(cutting_proxy, connect, make_engine, session):
    """Return a protected client of a bucket that holds DATA as `k`."""

    async def make(rules=None, *, mode="enforce", **config):
        engine = make_engine({"breaker": "off", **(rules or {})}, mode=mode)
        client = await connect("s3", engine, endpoint_url=cutting_proxy.url, **config)
        if not await exists(client):
            await client.create_bucket(Bucket="bkt")
        await client.put_object(Bucket="bkt", Key="k", Body=DATA)
        return client

    return make


async def exists(client):
    try:
        await client.head_bucket(Bucket="bkt")
    except ClientError:
        return False
    return True


def cuts(*faults):
    """Faults for the first GETs of the object, one after the other."""
    left = list(faults)

    def fault(request):
        # httpx asks with the whole URL.
        is_ours = request.method == "GET" and "/bkt/k" in request.path
        return left.pop(0) if is_ours and left else None

    return fault


def gets(cutting_proxy):
    return [r for r in cutting_proxy.seen if r.method == "GET" and "/bkt/k" in r.path]


async def whole(body):
    return await body.read()


async def in_steps(body):
    got = b""
    while part := await body.read(7000):
        got += part
    return got


async def in_chunks(body):
    return b"".join([part async for part in body.iter_chunks(10_000)])


async def iterated(body):
    return b"".join([part async for part in body])


async def lines(body):
    return b"".join([line async for line in body.iter_lines(keepends=True)])


async def by_readinto(body):
    got, part = bytearray(), bytearray(70_000)
    while count := await body.readinto(part):
        got += part[:count]
    return bytes(got)


async def negative(body):
    return await body.read(-1)


WAYS = [whole, in_steps, in_chunks, iterated, lines, by_readinto, negative]


@pytest.mark.parametrize("kind", ["fin", "rst"])
@pytest.mark.parametrize("way", WAYS)
async def test_resumes(way, kind, http, s3, cutting_proxy):
    """However it is read, the rest is asked for, and all of it is the object's."""
    client = await s3(http=http)
    cutting_proxy.fault = cuts(Fault(kind, 90_000), Fault(kind, 50_000))

    answer = await client.get_object(Bucket="bkt", Key="k")
    got = await way(answer["Body"])

    assert hashlib.sha256(DATA).digest() == hashlib.sha256(got).digest()
    assert 3 == len(gets(cutting_proxy))
    ranges = [r.headers.get("range") for r in gets(cutting_proxy)]
    assert ranges[0] is None
    assert ranges[1].endswith("-299999")


async def test_checksum_runs_over_all(s3, cutting_proxy):
    """One running checksum covers what came before and after a cut."""
    client = await s3()
    cutting_proxy.fault = cuts(Fault("fin", 90_000))

    answer = await client.get_object(Bucket="bkt", Key="k", ChecksumMode="ENABLED")
    got = await answer["Body"].read()

    assert DATA == got
    assert "Checksum" in type(answer["Body"]).__name__


async def test_a_stall_is_a_cut(http, s3, cutting_proxy):
    """A connection that brings nothing for long enough is given up for another."""
    client = await s3({"idle_timeout": "100ms"}, http=http)
    cutting_proxy.fault = cuts(Fault("stall", 90_000))

    answer = await client.get_object(Bucket="bkt", Key="k")
    got = await answer["Body"].read()

    assert DATA == got
    assert 2 == len(gets(cutting_proxy))


async def test_a_changed_object(s3, cutting_proxy):
    """What changed meanwhile is an error, never spliced."""
    client = await s3()
    cutting_proxy.fault = cuts(Fault("rst", 90_000))
    answer = await client.get_object(Bucket="bkt", Key="k")
    await client.put_object(Bucket="bkt", Key="k", Body=b"other")

    with pytest.raises(ObjectChanged) as caught:
        await answer["Body"].read()

    assert "PreconditionFailed" == caught.value.response["Error"]["Code"]


@pytest.mark.parametrize("kind", ["fin", "rst"])
async def test_cut_too_often(kind, http, s3, cutting_proxy):
    """At the end of all attempts the error is botocore's, with its report."""
    client = await s3(http=http)
    cutting_proxy.fault = lambda r: Fault(kind, 100) if r.method == "GET" else None

    answer = await client.get_object(Bucket="bkt", Key="k")
    with pytest.raises((ResponseStreamingError, IncompleteReadError)) as caught:
        await answer["Body"].read()

    assert "attempts-exhausted" == resilience.report(caught.value).reason


async def test_retries_off(s3, cutting_proxy):
    """Without retries nothing is asked for again, and aiohttp's error is botocore's."""
    client = await s3({"retry": "off"})
    cutting_proxy.fault = cuts(Fault("fin", 90_000))

    answer = await client.get_object(Bucket="bkt", Key="k")
    with pytest.raises((ResponseStreamingError, IncompleteReadError)):
        await answer["Body"].read()

    assert 1 == len(gets(cutting_proxy))


async def test_a_slow_reader_is_no_stall(s3, cutting_proxy, clock):
    """Time between two reads never counts."""
    client = await s3({"idle_timeout": "100ms"})

    answer = await client.get_object(Bucket="bkt", Key="k")
    got = await answer["Body"].read(1000)
    clock.skipped += 1000
    got += await answer["Body"].read()

    assert DATA == got
    assert 1 == len(gets(cutting_proxy))


async def test_deadline_of_a_body_that_stalls(s3, cutting_proxy):
    """The ambient deadline ends a read, and nothing is asked for after it."""
    client = await s3()
    cutting_proxy.fault = cuts(Fault("stall", 90_000))
    answer = await client.get_object(Bucket="bkt", Key="k")

    with resilience.deadline(0.1), pytest.raises(ReadTimeoutError) as caught:
        await answer["Body"].read()

    assert "deadline" == resilience.report(caught.value).reason
    assert 1 == len(gets(cutting_proxy))


async def test_cancelled_reader(s3, cutting_proxy):
    """A cancelled read is cancelled, and no cut."""
    client = await s3()
    cutting_proxy.fault = cuts(Fault("stall", 90_000))
    answer = await client.get_object(Bucket="bkt", Key="k")
    task = asyncio.ensure_future(answer["Body"].read())
    await asyncio.sleep(0.02)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

    assert 1 == len(gets(cutting_proxy))
    answer["Body"].close()


async def test_observed_bodies_are_native(s3, cutting_proxy):
    """Under observe a body is aiobotocore's, and what cuts it, too."""
    client = await s3(mode="observe")

    answer = await client.get_object(Bucket="bkt", Key="k")
    async with answer["Body"] as body:
        got = await body.read()

    assert DATA == got
    assert type(answer["Body"]).__module__.startswith("aiobotocore.")
    assert not hasattr(answer["Body"], "_resilience_watch")
