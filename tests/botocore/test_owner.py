"""Who owns the retries: counted at the server, in every retry mode."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

import resilience
import resilience.botocore


MODES = ["legacy", "standard", "adaptive"]
FAULTS = {"status": [503] * 20, "dropped": ["drop"] * 20}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("mode", MODES)
def test_one_owner(mode, fault, wire, connect, make_engine):
    """Under enforce the policy's attempts are made, not the client's, nor both."""
    engine = make_engine({"retry": {"max_attempts": 4}})
    client = connect("sqs", engine, mode=mode)
    wire.plans = FAULTS[fault][:]

    with pytest.raises((ClientError, ConnectionClosedError)) as caught:
        client.list_queues()

    assert 4 == wire.count
    assert "attempts-exhausted" == resilience.report(caught.value).reason


@pytest.mark.parametrize("mode", MODES)
def test_healthy_after_two_failures(mode, wire, connect, make_engine, clock):
    """A call that recovers says how many retries it took, and the waits were ours."""
    client = connect("dynamodb", make_engine(), mode=mode)
    wire.plans = [500, 502]

    answer = client.list_tables()

    assert 2 == answer["ResponseMetadata"]["RetryAttempts"]
    assert 2 == len(clock.slept)
    assert 3 == wire.count


@pytest.mark.parametrize("mode", MODES)
def test_engine_mode_switches_at_run_time(
    mode, wire, connect, make_engine, monkeypatch
):
    """The native behaviour is back with the next call, and so is ours."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    native = {"legacy": 3, "standard": 3, "adaptive": 3}[mode]
    engine = make_engine({"retry": {"max_attempts": 2}, "breaker": "off"})
    client = connect("sqs", engine, mode=mode, retries={"total_max_attempts": native})
    counts = []

    for word in ("enforce", "observe", "bypass", "enforce"):
        engine.mode = word
        wire.seen, wire.plans = [], ["drop", "drop", "drop", "drop"]
        with pytest.raises(Exception, match="closed"):
            client.list_queues()
        counts.append(wire.count)

    assert [2, native, native, 2] == counts


def test_error_says_as_botocore_does(wire, connect, make_engine):
    """`reached max retries` and its metadata are those of botocore's own retries."""
    client = connect("sqs", make_engine())
    wire.plans = [500] * 5

    with pytest.raises(ClientError, match=r"reached max retries: 2") as caught:
        client.list_queues()

    metadata = caught.value.response["ResponseMetadata"]
    assert metadata["MaxAttemptsReached"] is True
    assert 2 == metadata["RetryAttempts"]


def test_empty_budget_says_as_botocore_does(wire, connect, make_engine):
    """An empty quota is named in the metadata, and the real error is raised."""
    rules = {"retry_budget": {"kind": "quota", "capacity": 14}, "breaker": "off"}
    client = connect("sqs", make_engine(rules))
    wire.plans = [500] * 5

    with pytest.raises(ClientError) as caught:
        client.list_queues()

    assert caught.value.response["ResponseMetadata"]["RetryQuotaReached"] is True
    assert "retry-budget" == resilience.report(caught.value).reason
    assert 2 == wire.count


def test_header_names_our_attempts_from_the_second(wire, connect, make_engine):
    """`amz-sdk-request` has the engine's limit once the engine has repeated."""
    client = connect("sqs", make_engine({"retry": {"max_attempts": 4}}))
    wire.plans = [500, 500]

    client.list_queues()

    first, *later = wire.header("amz-sdk-request")
    assert first.startswith("attempt=1")
    assert ["attempt=2; max=4", "attempt=3; max=4"] == later


def test_adaptive_limiter_keeps_still(wire, connect, make_engine):
    """Under enforce the adaptive limiter neither learns nor blocks."""
    client = connect("sqs", make_engine(), mode="adaptive")
    throttled = (400, {}, b'{"__type": "ThrottlingException", "message": "slow"}')
    wire.plans = [throttled] * 2
    limiters = _limiters(client)

    client.list_queues()

    assert limiters
    assert not any(limiter._enabled for limiter in limiters)


def test_adaptive_limiter_works_under_observe(wire, connect, make_engine):
    """Under observe it learns as in a bare client."""
    engine = make_engine(mode="observe")
    once = {"total_max_attempts": 1}
    client = connect("sqs", engine, mode="adaptive", retries=once)
    limiters = _limiters(client)
    wire.plans = [(400, {}, b'{"__type": "ThrottlingException", "message": "slow"}')]

    with pytest.raises(ClientError):
        client.list_queues()

    assert all(limiter._enabled for limiter in limiters)


def _limiters(client):
    found = client.meta.events._emitter._handlers.prefix_search("before-send.sqs.X")
    owners = [getattr(handler, "__self__", None) for handler in found]
    return [one for one in owners if type(one).__name__ == "ClientRateLimiter"]


def test_clients_own_rule_is_honoured(wire, connect, make_engine, monkeypatch):
    """`honour-client-config` makes exactly the attempts that the client asks for."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    engine = make_engine({"profile": "honour-client-config"})
    client = connect("sqs", engine, retries={"total_max_attempts": 5})
    wire.plans = [500] * 9

    with pytest.raises(ClientError, match="reached max retries: 4"):
        client.list_queues()

    assert 5 == wire.count


def test_deadline_vetoes_the_clients_own_rule(wire, connect, make_engine, monkeypatch):
    """A repeat that cannot end in time is not made, whoever wants it."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    engine = make_engine({"profile": "honour-client-config"})
    client = connect("sqs", engine, mode="legacy", retries={"total_max_attempts": 9})
    wire.plans = [500] * 9

    with resilience.deadline(0.5), pytest.raises(ClientError) as caught:
        client.list_queues()

    assert "deadline" == resilience.report(caught.value).reason
    assert wire.count < 9


def test_foreign_handlers_are_named(connect, make_engine, session, caplog):
    """Another answerer of `needs-retry` is warned of once, and shown by `owner_of`."""

    def mine(**kwargs):
        return None

    session.events.register("needs-retry", mine)
    engine = make_engine()
    first, second = connect("sqs", engine), connect("sqs", engine)
    for client in (first, second):
        client.list_queues()

    warnings = [r for r in caplog.records if "needs-retry" in r.getMessage()]
    assert 1 == len(warnings)
    assert "mine" in resilience.botocore.owner_of(first)


def test_wrappers_of_calls_are_named(wire, connect, make_engine, monkeypatch, sink):
    """What is put around calls, on a client or a class, is named: it may repeat."""
    from botocore.client import BaseClient

    client = connect("sqs", make_engine())
    assert () == resilience.botocore.strangers(client)

    native = BaseClient._make_api_call

    @functools.wraps(native)
    def around_all(self, name, params):
        return native(self, name, params)

    monkeypatch.setattr(BaseClient, "_make_api_call", around_all)
    inner = client._make_api_call

    def around_one(name, params):
        return inner(name, params)

    client._make_api_call = around_one
    client.list_queues()

    one, all_of_them = resilience.botocore.strangers(client)
    assert "test_owner" in one
    assert "around_one wraps _make_api_call" in one
    assert "around_all wraps _make_api_call" in all_of_them
    assert "around_all" in resilience.botocore.owner_of(client)
    codes = [notice.code for notice in sink.of("Notice")]
    assert 1 == codes.count("foreign-retry-handlers")


def test_tracers_and_mocks_are_no_strangers(connect, monkeypatch):
    """Known libraries that look at calls are not warned of."""
    from unittest import mock

    client = connect("sqs")
    code = compile("def traced(self, name, params): ...", "t", "exec")
    place = {"__name__": "opentelemetry.instrumentation.botocore"}
    exec(code, place)
    for found in (place["traced"], mock.MagicMock()):
        monkeypatch.setattr("botocore.client.BaseClient._make_api_call", found)

        assert () == resilience.botocore.strangers(client)


def test_attempts_of_the_clients_own(connect, make_engine):
    """A number that somebody configured is shown, and that it keeps still."""
    client = connect("sqs", make_engine(), retries={"total_max_attempts": 9})

    text = resilience.botocore.owner_of(client)

    assert text.endswith("botocore (standard mode, 9 attempts) keeps still")


def test_a_second_handler_of_botocores(wire, connect, make_engine, monkeypatch, sink):
    """Who registers one more of botocore's retry handlers has what he has natively."""
    from botocore.retries import standard

    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    client = connect("sqs", make_engine(), retries={"total_max_attempts": 2})
    events = client.meta.events
    events.unregister("needs-retry.sqs", unique_id="retry-config-sqs")
    handler = standard.register_retry_handler(client, max_attempts=2)
    events.unregister("needs-retry.sqs", unique_id="retry-config-sqs")
    events.register("needs-retry.*.*", handler.needs_retry)
    wire.plans = [500] * 9
    with pytest.raises(ClientError):
        client.list_queues()

    assert 2 == wire.count
    assert ["not-protected"] == [n.code for n in sink.of("Notice")][1:]


def test_resend_by_a_foreign_handler_is_protected_too(wire, connect, make_engine):
    """When somebody else sends again after our end, the new answer is judged anew."""
    client = connect("sqs", make_engine())
    expired = (403, {}, b'{"__type": "ExpiredToken", "message": "old"}')
    wire.plans = [expired, 500]

    def refresh(response, **kwargs):
        code = (response and response[1].get("Error", {}).get("Code")) or ""
        return 0 if code == "ExpiredToken" else None

    client.meta.events.register("needs-retry.sqs", refresh)
    client.list_queues()

    assert 3 == wire.count


@pytest.mark.parametrize("flag", ["true", "false"])
def test_new_retries_flag(flag, wire):
    """AWS_NEW_RETRIES_2026, read when botocore is imported, changes nothing of ours."""
    code = f"""
import boto3, resilience, resilience.botocore
session = boto3.Session("k", "s", region_name="us-east-1")
engine = resilience.PolicyEngine(sinks=[])
engine.sleep = lambda seconds: None
resilience.botocore.register(session, engine)
client = session.client("sqs", endpoint_url={wire.url!r})
try:
    client.list_queues()
except Exception as error:
    print(resilience.report(error).reason)
"""
    wire.plans = [500] * 9
    env = {**os.environ, "AWS_NEW_RETRIES_2026": flag, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=env,
        check=True,
    )

    assert "attempts-exhausted" in done.stdout
    assert 3 == wire.count
