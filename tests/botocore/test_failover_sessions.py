"""A failover within its call's time, and with whose session it is made."""

import gc

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
)

import resilience
from resilience.botocore import failover_calls as failover
from resilience.botocore import failover_clients
from resilience.botocore.failover_clients import NoSibling, has_own_endpoint, make
from resilience.botocore.guard import guard_of
from resilience.core.policy import FailoverRegion
from tests.botocore.regions import (
    AT,
    ONE,
)


def test_what_is_left_of_the_deadline(wire, away, s3_of, clock):
    """The other region has what is left of the call's own time, and no more."""
    s3 = s3_of(timeout="30s", attempt_timeout="20s")

    def late(handler):
        clock.skipped += 12
        return 503

    wire.plans = [late]
    with resilience.deadline(25):
        s3.head_object(**AT)

    assert 1 == away.count


def test_no_time_left(wire, away, s3_of, clock):
    """When the deadline has passed nobody is asked any more."""
    s3 = s3_of(timeout="5s")

    def late(handler):
        clock.skipped += 6
        return 503

    wire.plans = [late]
    with pytest.raises((BotoCoreError, ClientError)) as caught:
        s3.head_object(**AT)

    assert "no time was left" in caught.value.__notes__[0]
    assert 0 == away.count


def test_boto3_sessions_of_their_own(wire, away, make_engine, rule, session):
    """A client that was registered alone fails over with its own credentials."""
    s3 = session.client("s3", endpoint_url=wire.url)
    resilience.botocore.register(s3, make_engine(operations={"s3.*": rule}))
    wire.plans = ["drop"]
    s3.head_object(**AT)

    (authorization,) = away.header("authorization")
    assert "Credential=key/" in authorization
    assert "/eu-west-1/s3/" in authorization


def test_explicit_credentials(wire, away, make_engine, rule, session):
    """Keys that were given to the client itself are the sibling's, too."""
    resilience.botocore.register(session, make_engine(operations={"s3.*": rule}))
    s3 = session.client(
        "s3",
        endpoint_url=wire.url,
        aws_access_key_id="other",
        aws_secret_access_key="secret",
        aws_session_token="token",
    )
    wire.plans = ["drop"]
    s3.head_object(**AT)

    assert "Credential=other/" in away.header("authorization")[0]
    assert ["token"] == away.header("x-amz-security-token")


def test_a_session_that_is_gone(wire, away, make_engine, rule, loader):
    """A client outlives its session, and fails over all the same."""
    made = boto3.Session("gone", "secret", region_name="us-east-1")
    resilience.botocore.register(made, make_engine(operations={"s3.*": rule}))
    s3 = made.client("s3", endpoint_url=wire.url)
    del made
    gc.collect()
    wire.plans = ["drop"]
    s3.head_object(**AT)

    assert "Credential=gone/" in away.header("authorization")[0]


def test_a_client_with_an_endpoint_of_its_own(wire, connect, make_engine):
    """Without an address in the policy such a client does not go to AWS itself."""
    rules = {"s3.*": {"failover": [{"region": "eu-west-1"}], "retry": ONE}}
    s3 = connect("s3", make_engine(operations=rules))
    wire.plans = ["drop"]
    with pytest.raises(ConnectionClosedError) as caught:
        s3.head_object(**AT)

    assert "write `endpoint_url` for eu-west-1" in caught.value.__notes__[0]


def test_a_service_with_one_endpoint(connect, make_engine, session):
    """A service that is the same in all regions has nowhere to go."""
    rules = {"iam.*": {"failover": [{"region": "eu-west-1"}], "retry": ONE}}
    resilience.botocore.register(session, make_engine(operations=rules))
    iam = session.client("iam")
    guard = guard_of(iam, type(iam)._resilience_registration)

    with pytest.raises(NoSibling, match="one endpoint for both regions"):
        make(guard, guard_place("eu-west-1"))


def test_where_aws_is(session, make_engine):
    """A client without an endpoint of its own is asked where AWS has the region."""
    resilience.botocore.register(session, make_engine())
    s3 = session.client("s3", config=Config(read_timeout=7, user_agent_extra="mine"))
    guard = guard_of(s3, type(s3)._resilience_registration)
    made = make(guard, guard_place("eu-west-1"))

    assert "https://s3.eu-west-1.amazonaws.com" == made.meta.endpoint_url
    assert 7 == made.meta.config.read_timeout
    assert "mine" in made.meta.config.user_agent
    assert guard_of(made, guard.registration).is_sibling
    assert not has_own_endpoint(s3)


def test_a_client_that_cannot_be_made(wire, away, s3_of, monkeypatch):
    """What goes wrong there is told with the error, and not tried at each call."""
    tries = []

    def broken(*_):
        tries.append(1)
        raise OSError(24, "no files left")

    monkeypatch.setattr(failover_clients, "make", broken)
    s3 = s3_of()
    wire.default = 503
    for _ in range(3):
        with pytest.raises(ClientError) as caught:
            s3.head_object(**AT)

    assert 1 == len(tries)
    assert "OSError: [Errno 24] no files left" in caught.value.__notes__[0]


def test_another_engine(wire, away, session, make_engine, rule):
    """A client that gets another engine takes the clients that answer for it along."""
    s3 = session.client("s3", endpoint_url=wire.url)
    resilience.botocore.register(s3, make_engine(operations={"s3.*": rule}))
    wire.default = 503
    s3.head_object(**AT)
    other = make_engine(operations={"s3.*": rule})
    resilience.botocore.register(s3, other)
    s3.head_object(**AT)

    scopes = {scope["scope"] for scope in other.snapshot()["scopes"]}
    assert "aws:service=s3,region=eu-west-1" in scopes


def test_unregistering(wire, away, s3_of, session):
    """A client that is given back fails over no more."""
    s3 = s3_of()
    wire.default = 503
    s3.head_object(**AT)
    resilience.botocore.unregister(session)
    with pytest.raises(ClientError):
        s3.head_object(**AT)

    assert 1 == away.count


def test_a_fault_of_ours(wire, away, s3_of, sink, monkeypatch):
    """Whatever breaks in a failover, the caller gets the call's own error."""
    monkeypatch.setattr(failover.Elsewhere, "members", lambda *_: 1 / 0)
    s3 = s3_of()
    wire.plans = ["drop"]
    with pytest.raises(ConnectionClosedError):
        s3.head_object(**AT)

    assert any("ZeroDivisionError" in notice.message for notice in sink.of("Notice"))


def guard_place(region):
    return FailoverRegion(
        region=region, endpoint_url=None, rename={}, repeats_ambiguous=False
    )
