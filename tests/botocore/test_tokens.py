"""The caller's idempotency key becomes the token that AWS deduplicates by."""

import json
import re
from urllib.parse import parse_qs

import pytest
from botocore.exceptions import ConnectionClosedError
from botocore.model import ServiceModel

import resilience
from resilience.botocore.tokens import fitted, token_of


SERVICES = (
    "acm",
    "athena",
    "cloudformation",
    "cloudhsm",
    "codecommit",
    "dynamodb",
    "ecs",
    "emr",
    "omics",
    "rekognition",
    "secretsmanager",
    "servicecatalog",
    "ssm",
    "workspaces",
)
"""With tokens of many lengths and forms."""


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


KEYED = {"idempotency": "keyed"}
STACK = {"StackName": "s", "TemplateBody": "{}"}


@pytest.fixture
def stacks(wire, connect, make_engine):
    """Return a CloudFormation client under `keyed`, and the tokens that it sends."""
    wire.default = (200, {}, b"<r><CreateStackResult/></r>")
    client = connect(
        "cloudformation",
        make_engine(operations={"cloudformation.CreateStack": KEYED}),
    )

    def sent():
        bodies = [parse_qs(body.decode()) for _, _, _, body in wire.seen]
        return [body.get("ClientRequestToken", [None])[0] for body in bodies]

    return client, sent


def test_a_token_that_botocore_does_not_fill(stacks, wire):
    """CloudFormation's is made for each call, and stays over its attempts."""
    client, sent = stacks
    wire.plans = [500]
    client.create_stack(**STACK)
    client.create_stack(**STACK)

    one, again, other = sent()
    assert one == again
    assert one != other
    assert re.fullmatch("[a-zA-Z0-9][-a-zA-Z0-9]*", one)


def test_a_key_that_fits_the_pattern_after_all(stacks):
    """A key with characters that the token may not have becomes a digest."""
    client, sent = stacks
    for key in ("order-17", "order/17: a key with blanks"):
        with resilience.idempotency_key(key):
            client.create_stack(**STACK)
            client.create_stack(**STACK)

    plain, same, other, again = sent()
    assert ("order-17", plain) == (plain, same)
    assert other == again
    assert re.fullmatch("[a-zA-Z0-9][-a-zA-Z0-9]*", other)


def test_only_where_the_policy_says_keyed(wire, connect, make_engine):
    """What botocore leaves empty stays empty under the built-in policy."""
    wire.default = (200, {}, b"<r><CreateStackResult/></r>")
    client = connect("cloudformation", make_engine())
    with resilience.idempotency_key("order-17"):
        client.create_stack(**STACK)

    assert b"ClientRequestToken" not in wire.seen[0][3]


FIFO = "http://127.0.0.1/1/jobs.fifo"
PLAIN = "http://127.0.0.1/1/jobs"


def send_entries(client, queue):
    entries = [{"Id": n, "MessageBody": "m", "MessageGroupId": "g"} for n in "ab"]
    entries[1]["MessageDeduplicationId"] = "mine"
    client.send_message_batch(QueueUrl=queue, Entries=entries)


@pytest.fixture
def queues(wire, connect, make_engine):
    """Return an SQS client under `keyed`, and what it sends."""
    client = connect("sqs", make_engine(operations={"sqs.*": KEYED}))
    return client, lambda: [json.loads(body) for _, _, _, body in wire.seen]


def test_messages_to_a_fifo_queue(queues, wire):
    """Each call has an id, the same over its attempts; a key makes it over calls."""
    client, sent = queues
    message = {"QueueUrl": FIFO, "MessageBody": "m", "MessageGroupId": "g"}
    wire.plans = ["drop"]
    client.send_message(**message)
    with resilience.idempotency_key("order-17"):
        client.send_message(**message)
        client.send_message(**message)

    one, again, keyed, other = [m["MessageDeduplicationId"] for m in sent()]
    assert one == again
    assert ("order-17", "order-17") == (keyed, other)


def test_a_batch_to_a_fifo_queue(queues):
    """Each message of a batch has an id of its own; the caller's stays."""
    client, sent = queues
    with resilience.idempotency_key("order-17"):
        send_entries(client, FIFO)
        send_entries(client, FIFO)

    (one, mine), (again, _) = [
        [e["MessageDeduplicationId"] for e in batch["Entries"]] for batch in sent()
    ]
    assert ("order-17/a", "mine") == (one, mine)
    assert one == again


def test_messages_to_a_standard_queue(queues, wire):
    """It refuses the id, so nothing is filled in, and nothing is sent twice."""
    client, sent = queues
    wire.plans = ["drop"]
    with pytest.raises(ConnectionClosedError) as caught:
        client.send_message(QueueUrl=PLAIN, MessageBody="m")

    assert 1 == wire.count
    assert "MessageDeduplicationId" not in sent()[0]
    assert resilience.report(caught.value).ambiguous


def test_messages_to_topics(wire, connect, make_engine):
    """FIFO topics as FIFO queues."""
    wire.default = (200, {}, b"<r><PublishResult/></r>")
    client = connect("sns", make_engine(operations={"sns.*": KEYED}))
    for name in ("t.fifo", "t"):
        with resilience.idempotency_key(f"order-{name}"):
            client.publish(TopicArn=f"arn:aws:sns:us-east-1:1:{name}", Message="m")

    fifo, plain = [parse_qs(body.decode()) for _, _, _, body in wire.seen]
    assert ["order-t.fifo"] == fifo["MessageDeduplicationId"]
    assert "MessageDeduplicationId" not in plain


def test_every_token_of_every_service_can_be_made(loader):
    """Whatever the key, the token has the length and the form that the model names."""
    unfit, keys = [], ("k", "order 17/ä" * 20)
    for service in SERVICES:
        model = ServiceModel(loader.load_service_model(service, "service-2"), service)
        for name in model.operation_names:
            token = token_of(model.operation_model(name))
            if token and not all(token.allows(fitted(key, token)) for key in keys):
                unfit.append((service, name, token))

    assert [] == unfit


def test_operations_without_a_token(wire, connect, make_engine):
    """A key around a call that has no token changes nothing."""
    client = connect("sqs", make_engine())
    with resilience.idempotency_key("order-17"):
        client.list_queues()

    assert b"order-17" not in wire.seen[0][3]
