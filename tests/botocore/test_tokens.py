"""The caller's idempotency key becomes the token that AWS deduplicates by."""

import json
from urllib.parse import parse_qs

import pytest

import resilience


def run_instances(client, **more):
    return client.run_instances(MinCount=1, MaxCount=1, **more)


@pytest.fixture
def tokens(wire):
    """Return a function that gives the token of each request that was sent."""
    wire.default = (200, {}, b"<RunInstancesResponse/>")

    def sent():
        bodies = [parse_qs(body.decode()) for _, _, _, body in wire.seen]
        return [body.get("ClientToken", [None])[0] for body in bodies]

    return sent


def test_one_key_one_token(wire, tokens, connect, make_engine):
    """Every attempt of every call inside carries the key."""
    client = connect("ec2", make_engine())
    wire.plans = [500]
    with resilience.idempotency_key("order-17"):
        run_instances(client)
        run_instances(client)

    assert ["order-17"] * 3 == tokens()


def test_without_a_key_botocore_fills_the_token(tokens, connect, make_engine):
    """Two calls have two tokens, as bare."""
    client = connect("ec2", make_engine())
    run_instances(client)
    run_instances(client)

    one, other = tokens()
    assert one
    assert one != other


def test_the_callers_own_token_stays(tokens, connect, make_engine):
    """A token among the parameters is not replaced."""
    client = connect("ec2", make_engine())
    with resilience.idempotency_key("order-17"):
        run_instances(client, ClientToken="mine")

    assert ["mine"] == tokens()


@pytest.mark.parametrize("mode", ["observe", "bypass"])
def test_only_under_enforce(mode, tokens, connect, make_engine):
    """Where nothing is acted upon, nothing is filled in."""
    client = connect("ec2", make_engine(mode=mode))
    with resilience.idempotency_key("order-17"):
        run_instances(client)

    assert "order-17" not in tokens()


@pytest.mark.parametrize("key", ["short", "k" * 200])
def test_a_key_of_another_length(key, wire, connect, make_engine):
    """Where a token's length is bounded, the same digest stands for the key."""
    client = connect("secretsmanager", make_engine())
    with resilience.idempotency_key(key):
        client.create_secret(Name="a")
        client.create_secret(Name="a")

    sent = [json.loads(body)["ClientRequestToken"] for _, _, _, body in wire.seen]
    assert sent[0] == sent[1]
    assert 32 <= len(sent[0]) <= 64


def test_operations_without_a_token(wire, connect, make_engine):
    """A key around a call that has no token changes nothing."""
    client = connect("sqs", make_engine())
    with resilience.idempotency_key("order-17"):
        client.list_queues()

    assert b"order-17" not in wire.seen[0][3]
