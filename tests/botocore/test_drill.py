"""A drill in botocore: requests meet faults where they leave for the wire."""

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError

import resilience
import resilience.botocore
from tests.drilling.drills import armed


def line(kind, whom="targets: [s3]", ratio=1.0):
    return f"kind: {kind}, ratio: {ratio}, lasts: 60s, {whom}"


# Nothing but the number of attempts decides here.
SAFE = {
    "breaker": "off",
    "retry_budget": "off",
    "retry": {"initial_backoff": "1ms", "max_backoff": "2ms"},
}


def head(client):
    return client.head_bucket(Bucket="orders")


def reached(error):
    return [attempt.reached for attempt in resilience.report(error).attempts]


def test_a_lost_answer_was_executed(connect, make_engine, wire, monkeypatch):
    """The server has every request whose answer is lost; the error is a broken wire."""
    with armed(monkeypatch, line("lost")) as drill:
        client = connect("s3", make_engine(SAFE))
        with pytest.raises(exceptions.ConnectionClosedError) as caught:
            head(client)
    seen = drill.calls.one()

    assert reached(caught.value) == ["maybe"] * 3
    assert wire.count == 3
    assert (seen.method, seen.attempts, seen.answered) == ("s3.HeadBucket", 3, 3)
    assert str(caught.value).endswith("(drill test)")


def test_without_a_policy_the_caller_meets_the_fault(
    connect, make_engine, wire, monkeypatch
):
    """Bypassed calls meet faults, too: that is what a policy is compared with."""
    with armed(monkeypatch, line("lost")) as drill:
        client = connect(
            "s3", make_engine(mode="bypass"), retries={"total_max_attempts": 1}
        )
        with pytest.raises(exceptions.ConnectionClosedError):
            head(client)
    seen = drill.calls.one()

    assert (seen.attempts, seen.answered, seen.code) == (1, 1, "ConnectionClosedError")


@pytest.mark.parametrize(
    "service", ["s3", "dynamodb", "sqs", "sts", "ec2", "cloudwatch"]
)
def test_a_status_in_every_protocol(service, connect, make_engine, wire, monkeypatch):
    """An error answer is written as the service writes it, and never sent for."""
    calls = {
        "s3": lambda c: c.list_buckets(),
        "dynamodb": lambda c: c.list_tables(),
        "sqs": lambda c: c.list_queues(),
        "sts": lambda c: c.get_caller_identity(),
        "ec2": lambda c: c.describe_regions(),
        "cloudwatch": lambda c: c.list_metrics(),
    }
    kind = "status, code: SlowDown, message: too much"
    with armed(monkeypatch, line(kind, f"targets: [{service}]")):
        client = connect(service, make_engine(SAFE))
        with pytest.raises(ClientError) as caught:
            calls[service](client)
    said = caught.value.response["Error"]

    assert (said["Code"], said["Message"]) == ("SlowDown", "too much (drill test)")
    assert wire.count == 0


def test_a_status_after_the_server(connect, make_engine, wire, monkeypatch):
    """A status may come after the server has executed the call."""
    kind = "status, code: InternalError, http_status: 500, where: after"
    with armed(monkeypatch, line(kind)):
        client = connect("s3", make_engine(SAFE))
        with pytest.raises(ClientError) as caught:
            client.list_buckets()

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert wire.count == 3


def test_refused_connections_are_repeated(connect, make_engine, wire, monkeypatch):
    """A refusal never reached the server: anything may be tried again."""
    with armed(monkeypatch, line("refuse", "targets: [sqs]")):
        client = connect("sqs", make_engine(SAFE))
        with pytest.raises(exceptions.EndpointConnectionError) as caught:
            client.send_message(QueueUrl=wire.url + "/1/q", MessageBody="x")

    assert reached(caught.value) == ["no"] * 3
    assert wire.count == 0


@pytest.mark.parametrize(("where", "executed"), [("before", 0), ("after", 1)])
def test_a_delay_meets_the_read_timeout(
    where, executed, *, connect, make_engine, wire, monkeypatch
):
    """A delay beyond the read timeout ends in time, as a silent server does."""
    kind = f"delay, delay: 30s, where: {where}"
    with armed(monkeypatch, line(kind)):
        engine = make_engine({"retry": "off"})
        client = connect("s3", engine, read_timeout=0.25)
        with pytest.raises(exceptions.ReadTimeoutError) as caught:
            head(client)

    assert reached(caught.value) == ["maybe"]
    assert wire.count == executed


def test_a_delay_meets_the_attempt_timeout(session, wire, monkeypatch):
    """A policy's limit ends an attempt that waits in a fault, as any other."""
    policy = {"version": 1, "aws": {"all": {"attempt_timeout": "50ms", "retry": "off"}}}
    with (
        armed(monkeypatch, line("delay, delay: 30s")),
        resilience.PolicyEngine.from_dict(policy) as engine,
    ):
        resilience.botocore.register(session, engine)
        client = session.client("s3", endpoint_url=wire.url)
        with pytest.raises(exceptions.ReadTimeoutError):
            head(client)
        client.close()

    assert wire.count == 0


def test_a_delay_within_the_timeout(connect, make_engine, wire, monkeypatch):
    """A shorter delay is only late."""
    with armed(monkeypatch, line("delay, delay: 20ms")) as drill:
        head(connect("s3", make_engine()))

    assert drill.calls.one().elapsed_s >= 0.02


def body_of(client):
    return client.get_object(Bucket="orders", Key="report")["Body"].read()


WHOLE = {"etag": '"1"', "accept-ranges": "bytes"}


def ranged(handler):
    """The object, or what is asked of it."""
    wanted = handler.headers.get("range")
    if wanted is None:
        return 200, WHOLE, b"ten pages"
    first = int(wanted.removeprefix("bytes=").partition("-")[0])
    rest = b"ten pages"[first:]
    return 206, {**WHOLE, "content-range": f"bytes {first}-8/9"}, rest


def test_a_body_that_is_cut_goes_on(connect, make_engine, wire, monkeypatch):
    """A body breaks as a real one does: the rest of it is asked for."""
    wire.default = ranged
    with armed(monkeypatch, line("cut, bytes: 4", ratio=0.5)) as drill:
        client = connect("s3", make_engine({**SAFE, "idempotency": "safe"}))
        bodies = [body_of(client) for _ in range(6)]

    assert bodies == [b"ten pages"] * 6
    assert drill.injected["cut"] >= 2
    assert wire.count > 6


def test_a_body_that_is_cut_without_a_policy(connect, make_engine, wire, monkeypatch):
    """Without a policy its reader meets the break."""
    wire.default = ranged
    with armed(monkeypatch, line("cut, bytes: 4")):
        client = connect("s3", make_engine(mode="bypass"))
        with pytest.raises(exceptions.BotoCoreError):
            body_of(client)


def test_what_is_cut_without_a_stream(connect, make_engine, wire, monkeypatch):
    """An answer that is read at once is lost whole when its connection is cut."""
    with armed(monkeypatch, line("cut")):
        client = connect("s3", make_engine({"retry": "off"}))
        with pytest.raises(exceptions.ConnectionClosedError):
            head(client)

    assert wire.count == 1


def test_nothing_is_lost_where_nothing_came(connect, make_engine, wire, monkeypatch):
    """A request that failed by itself keeps its own error."""
    wire.default = "drop"
    with armed(monkeypatch, line("lost")):
        client = connect("s3", make_engine({"retry": "off"}))
        with pytest.raises(exceptions.ConnectionClosedError) as caught:
            head(client)

    assert "drill" not in str(caught.value)


def test_calls_that_no_fault_hits(connect, make_engine, wire, monkeypatch):
    """Who is not aimed at is answered as ever, and counted; a call counts once."""
    with armed(monkeypatch, line("lost", "targets: [sqs]")) as drill:
        head(connect("s3", make_engine()))
    seen = drill.calls.one()

    assert (seen.code, seen.attempts, seen.answered) == ("OK", 1, 1)
    assert (seen.idempotency, drill.calls.empty()) == ("safe", True)


def test_without_the_variable_there_is_no_seam(connect, make_engine, wire):
    """A client without a drill sends by botocore's own session."""
    client = connect("s3", make_engine())
    head(client)

    assert "send" not in vars(client._endpoint.http_session)
