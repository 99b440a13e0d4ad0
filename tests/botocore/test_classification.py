"""The table on the wire: what each answer of AWS leads to, request by request."""

import json

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

import resilience
import resilience.botocore
from tests.botocore.answers import CALLS, ROWS, SAFE, UNSAFE, js, xml


OTHERS = ["aws-standard-2.1", "none"]
"""Profiles beside the one that nobody names."""
WATCHING = {
    "mode": "observe",
    "kind": "classic",
    "min_calls": 1,
    "failure_ratio": 0.01,
}
"""A breaker that opens at the first failure, and stops nobody."""


def rules_of(profile):
    return {"breaker": WATCHING} | (
        {} if profile == "default" else {"profile": profile}
    )


def code_of(error):
    if isinstance(error, ClientError):
        found = error.response["Error"].get("Code")
        return found or str(error.response["ResponseMetadata"]["HTTPStatusCode"])
    return type(error).__name__


def ended(wire, client, row, role):
    """Return how many requests a call made, and the error it ended in."""
    wire.seen, wire.plans = [], [row.answer] * 12
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its code is compared
        CALLS[row.service, role](client)
    return wire.count, caught.value


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(*, row, wire, connect, session, make_engine, sink):
    """Requests, kind, reached, the breaker's evidence and the caller's error."""
    client = connect(row.service, make_engine(), inject_host_prefix=False)
    ways = [("default", role) for role in row.calls]
    for profile, role in [*ways, *((other, row.calls[0]) for other in OTHERS)]:
        resilience.botocore.register(session, make_engine(rules_of(profile)))
        sink.records.clear()
        count, error = ended(wire, client, row, role)
        end = sink.of("CallEnded")[-1]

        most = 4 if row.service == "dynamodb" and profile != "none" else 3
        is_repeated = (UNSAFE if role == UNSAFE else SAFE) in row.repeats
        assert (profile, role, count) == (profile, role, most if is_repeated else 1)
        assert row.code == code_of(error)
        assert (row.kind, row.reached) == (end.outcome.kind, end.outcome.reached)
        assert count == len(resilience.report(error).attempts)
        assert row.counts == bool(sink.of("BreakerChanged"))


@pytest.mark.parametrize("mode", ["legacy", "standard"])
@pytest.mark.parametrize("service", ["ssm", "s3", "dynamodb", "ec2", "sts"])
def test_honouring_the_client(
    *, service, mode, wire, connect, session, make_engine, monkeypatch
):
    """Under `honour-client-config` each row leads to the requests that bare does."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    more = {"inject_host_prefix": False, "mode": mode}
    bare = connect(service, **more)
    ours = connect(service, make_engine(), **more)
    for row in (row for row in ROWS if row.service == service):
        rules = {"breaker": "off", "profile": "honour-client-config"}
        resilience.botocore.register(session, make_engine(rules))
        role = row.calls[-1]
        expected, native = ended(wire, bare, row, role)
        count, error = ended(wire, ours, row, role)

        assert (row.name, expected) == (row.name, count)
        assert (type(native), code_of(native)) == (type(error), code_of(error))


DAMAGED = (200, {"x-amz-crc32": "1"}, b'{"Table": {}}')


def test_a_damaged_answer_is_read_again(wire, connect, make_engine, sink):
    """DynamoDB's checksum shows a damaged answer; a read is made once more."""
    client = connect("dynamodb", make_engine())
    wire.plans = [DAMAGED]
    client.describe_table(TableName="t")
    (first, _) = sink.of("AttemptEnded")

    assert ("ChecksumError", "transport", "maybe") == first.outcome[:3]
    assert 2 == wire.count


def test_a_damaged_answer_of_an_update_is_not_asked_for_again(
    wire, connect, make_engine
):
    """What may add twice is not repeated for a damaged answer; bare gives it, too."""
    client = connect("dynamodb", make_engine())
    wire.plans = [DAMAGED]
    CALLS["dynamodb", UNSAFE](client)

    assert 1 == wire.count


def test_a_refused_connection_was_not_reached(connect, make_engine, sink):
    """Nothing was sent, so anything is repeated; it is held against the service."""
    engine = make_engine({"breaker": WATCHING})
    client = connect("ssm", engine, endpoint_url="http://127.0.0.1:1")
    with pytest.raises(EndpointConnectionError):
        CALLS["ssm", UNSAFE](client)
    (end,) = sink.of("CallEnded")

    assert ("transport", "no", 3) == (
        end.outcome.kind,
        end.outcome.reached,
        end.attempts,
    )
    assert sink.of("BreakerChanged")


@pytest.mark.parametrize(
    ("answer", "waits"),
    [
        ((429, {"retry-after": "3"}, b""), (3.0, 4.5)),
        ((503, {"retry-after": "3"}, b""), (3.0, 4.5)),
        ((503, {"x-amz-retry-after": "1500"}, b""), (1.5, 1.5)),
        ((429, {"x-amz-retry-after": "900000"}, b""), (5.0, 6.0)),
        ((503, {"retry-after": "soon"}, b""), (0.0, 0.05)),
        (js(400, "ThrottlingException"), (0.0, 1.0)),
        (js(500, "InternalServerError"), (0.0, 0.05)),
    ],
    ids=["429", "503", "ms", "clamped", "nonsense", "throttling", "fault"],
)
def test_the_wait_before_a_repeat(*, answer, waits, wire, connect, make_engine, clock):
    """A wait that is asked for holds; else a fault waits less than throttling."""
    client = connect("ssm", make_engine())
    wire.plans = [answer]
    CALLS["ssm", SAFE](client)
    (slept,) = clock.slept

    assert waits[0] <= slept <= waits[1]


def test_a_wait_too_long_is_handed_to_the_caller(wire, connect, make_engine, clock):
    """A service that asks for an hour gets no repeat; the report says when."""
    client = connect("ssm", make_engine())
    wire.plans = [(503, {"retry-after": "3600"}, b"")]
    with pytest.raises(ClientError) as caught:
        CALLS["ssm", SAFE](client)
    report = resilience.report(caught.value)

    assert ("pushback", 3600) == (report.reason, report.retry_after_s)
    assert [] == clock.slept


HOPS = {
    "moved": (
        xml(301, "PermanentRedirect", {"x-amz-bucket-region": "eu-west-1"}),
        "s3",
        "get",
    ),
    "for now": (
        xml(307, "TemporaryRedirect", {"x-amz-bucket-region": "eu-west-1"}),
        "s3",
        "get",
    ),
    "another region": (
        xml(
            400,
            "AuthorizationHeaderMalformed",
            {"x-amz-bucket-region": "eu-west-1"},
            "<Region>eu-west-1</Region>",
        ),
        "s3",
        "put",
    ),
    "opted in": (
        xml(
            400,
            "IllegalLocationConstraintException",
            {"x-amz-bucket-region": "eu-west-1"},
        ),
        "s3",
        "get",
    ),
}


@pytest.mark.parametrize("name", HOPS)
def test_redirects_cost_nothing(*, name, wire, connect, make_engine, sink, clock):
    """The redirector follows; no attempt, no wait and no evidence is made of it."""
    answer, service, role = HOPS[name]
    client = connect(service, make_engine({"breaker": WATCHING}))
    wire.plans, wire.default = [answer], (200, {}, b"")
    CALLS[service, role](client)
    (end,) = sink.of("CallEnded")

    assert (2, 1, "ok") == (wire.count, end.attempts, end.outcome.kind)
    assert [] == clock.slept
    assert [] == sink.of("AttemptEnded") == sink.of("BreakerChanged")


def endpoints(host):
    found = [{"Address": f"http://{host}", "CachePeriodInMinutes": 60}]
    return 200, {}, json.dumps({"Endpoints": found}).encode()


@pytest.mark.parametrize(
    "answer", [421, js(400, "InvalidEndpointException")], ids=["421", "code"]
)
def test_an_endpoint_that_has_moved(answer, wire, session, make_engine, sink):
    """It is discovered anew and asked; no attempt, and no evidence is made of it."""
    resilience.botocore.register(session, make_engine({"breaker": WATCHING}))
    config = Config(endpoint_discovery_enabled=True, proxies={"http": wire.url})
    client = session.client("dynamodb", use_ssl=False, config=config)
    wire.plans = [endpoints("one.test"), answer, endpoints("two.test")]
    CALLS["dynamodb", SAFE](client)
    client.close()
    ends = [(end.target.method, end.attempts) for end in sink.of("CallEnded")]
    hosts = wire.header("host")

    assert ["one.test", "two.test"] == hosts[1::2]
    assert ["DescribeEndpoints"] * 2 + ["DescribeTable"] == [name for name, _ in ends]
    assert {1} == {attempts for _, attempts in ends}
    assert [] == sink.of("BreakerChanged")


def test_a_redirect_that_nobody_follows(wire, connect, make_engine, sink):
    """It is the caller's, as bare, and nothing against the service."""
    client = connect("ssm", make_engine({"breaker": WATCHING}))
    wire.plans = [(301, {}, b"")]
    with pytest.raises(ClientError, match="301"):
        CALLS["ssm", SAFE](client)
    (end,) = sink.of("CallEnded")

    assert (1, "application") == (wire.count, end.outcome.kind)
    assert [] == sink.of("BreakerChanged")
