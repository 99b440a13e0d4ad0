"""A drill in aiobotocore: the same faults, with each HTTP library."""

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError

import resilience
from tests.drilling.drills import armed


def line(kind, whom="targets: [s3]", ratio=1.0):
    return f"kind: {kind}, ratio: {ratio}, lasts: 60s, {whom}"


# Nothing but the number of attempts decides here.
SAFE = {
    "breaker": "off",
    "retry_budget": "off",
    "retry": {"initial_backoff": "1ms", "max_backoff": "2ms"},
}
OFF = {"retry": "off"}


def reached(error):
    return [attempt.reached for attempt in resilience.report(error).attempts]


async def head(client):
    return await client.head_bucket(Bucket="orders")


@pytest.mark.parametrize(
    ("kind", "error", "facts", "executed"),
    [
        ("lost", exceptions.ConnectionClosedError, "maybe", 1),
        ("cut", exceptions.ConnectionClosedError, "maybe", 1),
        ("refuse", exceptions.EndpointConnectionError, "no", 0),
        ("status, code: SlowDown", ClientError, "no", 0),
    ],
)
async def test_faults(
    kind, error, facts, executed, *, http, connect, make_engine, wire, monkeypatch
):
    """Each fault ends an attempt as a real one does, executed or not."""
    with armed(monkeypatch, line(kind)) as drill:
        client = await connect("s3", make_engine(OFF), http=http)
        with pytest.raises(error) as caught:
            await head(client)
    seen = drill.calls.one()

    assert reached(caught.value) == [facts]
    assert (wire.count, seen.answered) == (executed, executed)
    assert "(drill test)" in str(caught.value)


async def test_what_is_safe_is_repeated(http, connect, make_engine, wire, monkeypatch):
    """The engine repeats what a fault ended, as it repeats after a real one."""
    with armed(monkeypatch, line("lost", ratio=0.3)) as drill:
        client = await connect("s3", make_engine(SAFE), http=http)
        for _ in range(6):
            await head(client)
    seen = [drill.calls.one() for _ in range(6)]

    assert {one.code for one in seen} == {"OK"}
    assert sum(one.attempts for one in seen) == wire.count > 6


@pytest.mark.parametrize(("where", "executed"), [("before", 0), ("after", 1)])
async def test_a_delay_meets_the_timeout(
    where, executed, *, http, connect, make_engine, wire, monkeypatch
):
    """A delay beyond the read timeout ends in time, as a silent server does."""
    with armed(monkeypatch, line(f"delay, delay: 30s, where: {where}")):
        client = await connect("s3", make_engine(OFF), http=http, read_timeout=0.25)
        with pytest.raises(exceptions.ReadTimeoutError) as caught:
            await head(client)

    assert reached(caught.value) == ["maybe"]
    assert wire.count == executed


async def test_a_body_that_is_cut(connect, make_engine, wire, monkeypatch):
    """Without a policy the reader of a cut body meets the break."""
    wire.default = (200, {}, b"ten pages")
    with armed(monkeypatch, line("cut")):
        client = await connect("s3", make_engine(mode="bypass"))
        answer = await client.get_object(Bucket="orders", Key="report")
        with pytest.raises(Exception, match="drill test"):
            await answer["Body"].read()


async def test_calls_that_no_fault_hits(connect, make_engine, wire, monkeypatch):
    """Who is not aimed at is answered as ever, and counted."""
    with armed(monkeypatch, line("lost", "targets: [sqs]")) as drill:
        await head(await connect("s3", make_engine()))
    seen = drill.calls.one()

    assert (seen.code, seen.attempts, seen.answered) == ("OK", 1, 1)


async def test_without_the_variable_there_is_no_seam(connect, make_engine, wire):
    """A client without a drill sends by aiobotocore's own session."""
    client = await connect("s3", make_engine())
    await head(client)

    assert "send" not in vars(client._endpoint.http_session)
