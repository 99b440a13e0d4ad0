"""Failover and fallbacks of clients whose calls are awaited."""

import pytest
from botocore.exceptions import ClientError

import resilience


AT = {"Bucket": "orders", "Key": "1"}


async def test_a_read_that_was_lost(wire, away, connect, make_engine, rule):
    """A read that its region did not answer is answered by the next one."""
    s3 = await connect("s3", make_engine(operations={"s3.*": rule}))
    wire.plans = [503, 503]
    answers = [await s3.head_object(**AT) for _ in range(2)]

    found = answers[1]["ResponseMetadata"]["ResilienceFailover"]
    assert ("eu-west-1", "us-east-1") == (found["region"], found["instead_of"])
    assert [("HEAD", "/orders-eu/1")] * 2 == [seen[:2] for seen in away.seen]


async def test_an_answer_is_an_answer(wire, away, connect, make_engine, rule):
    """What the first region says no to is not asked for anywhere else."""
    s3 = await connect("s3", make_engine(operations={"s3.*": rule}))
    wire.plans = [404]
    with pytest.raises(ClientError, match="404"):
        await s3.head_object(**AT)

    assert 0 == away.count


async def test_a_write_that_may_be_there(wire, away, connect, make_engine, rule):
    """A write that the first region may have executed is not made in the second."""
    s3 = await connect("s3", make_engine(operations={"s3.PutObject": rule}))
    wire.plans = [503]
    with pytest.raises(ClientError) as caught:
        await s3.put_object(**AT, Body=b"x")

    found = resilience.report(caught.value).elsewhere
    assert "us-east-1 may have executed it" in found[0]
    assert 0 == away.count


async def test_a_list_that_began_there(wire, away, connect, make_engine, rule):
    """A list that began in the second region ends there."""
    first = (
        b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t"
        b"</NextContinuationToken><Contents><Key>a</Key></Contents></ListBucketResult>"
    )
    second = b"<ListBucketResult><Contents><Key>b</Key></Contents></ListBucketResult>"
    s3 = await connect("s3", make_engine(operations={"s3.*": rule}))
    wire.plans, away.plans = [503], [(200, {}, first), (200, {}, second)]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="orders")

    keys = [one["Key"] async for page in pages for one in page["Contents"]]
    assert ["a", "b"] == keys
    assert (1, 2) == (wire.count, away.count)


async def test_a_fallback(wire, connect, make_engine):
    """A fallback may be asynchronous."""
    rule = {"fallback": "cached", "retry": {"max_attempts": 1}}
    engine = make_engine(operations={"s3.*": rule})
    s3 = await connect("s3", engine)

    @engine.fallback("cached")
    async def cached(failed):
        return failed.request

    wire.plans = [503]
    assert AT == await s3.head_object(**AT)


async def test_observing(wire, away, connect, make_engine, *, rule, sink):
    """In mode observe nobody else is asked."""
    s3 = await connect("s3", make_engine(operations={"s3.*": rule}, mode="observe"))
    wire.default = 503
    with pytest.raises(ClientError):
        await s3.head_object(**AT)

    assert any(r.mechanism == "failover" for r in sink.of("Decided"))
    assert 0 == away.count


async def test_siblings_are_closed(wire, away, connect, make_engine, rule):
    """Clients that answered are closed with the client they answered for."""
    s3 = await connect("s3", make_engine(operations={"s3.*": rule}))
    wire.plans = [503]
    await s3.head_object(**AT)
    kept = vars(s3)["_resilience_guard"].elsewhere.awaited
    await s3.close()

    assert [] == kept._contexts
