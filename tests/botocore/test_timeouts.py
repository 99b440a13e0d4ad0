"""What a policy's times and an ambient deadline do to a request, and to which."""

import io
import socket
import threading
import time

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

import resilience
from resilience.botocore import BotocoreRejected
from resilience.botocore.duration import Asked, asked
from resilience.botocore.flight import current


def limits(client):
    """Return a list that fills with the read timeout of each request, or None."""
    found = []
    client.meta.events.register_last(
        "request-created",  # the request of `before-send` has a context since 1.43.68
        lambda request, **_: found.append(request.context.get("read_timeout")),
    )
    return found


def lasting(client):
    """Return a list that fills with what each attempt may take, or None."""
    found = []
    client.meta.events.register_last(
        "before-send", lambda **_: found.append(current.get().limit.left())
    )
    return found


QUEUE = "http://q/1/q"
POLICY = {"timeout": "10s", "attempt_timeout": "3s"}


@pytest.mark.parametrize(
    ("service", "call", "expected"),
    [
        ("sqs", lambda c: c.list_queues(), 3),
        ("sqs", lambda c: c.receive_message(QueueUrl=QUEUE, WaitTimeSeconds=0), 3),
        ("sqs", lambda c: c.receive_message(QueueUrl=QUEUE, WaitTimeSeconds=20), 25),
        ("sqs", lambda c: c.receive_message(QueueUrl=QUEUE), 25),
        ("stepfunctions", lambda c: c.get_activity_task(activityArn="a"), 65),
        ("lambda", lambda c: c.invoke(FunctionName="f"), None),
        ("lambda", lambda c: c.invoke(FunctionName="f", InvocationType="Event"), 3),
        ("s3", lambda c: c.get_object(Bucket="b", Key="k"), None),
        ("s3", lambda c: c.put_object(Bucket="b", Key="k", Body=b"small"), 3),
        ("s3", lambda c: c.put_object(Bucket="b", Key="k", Body=b"x" * (1 << 21)), 37),
        (
            "s3",
            lambda c: c.put_object(
                Bucket="b", Key="k", Body=io.BytesIO(b"x" * (1 << 21))
            ),
            37,
        ),
        ("kinesis", lambda c: c.list_streams(), 3),
    ],
    ids=[
        "ordinary",
        "short poll",
        "long poll",
        "long poll by the queue's default",
        "activity task",
        "lambda waits",
        "lambda event",
        "streaming answer",
        "small body",
        "big body",
        "big stream",
        "not a poll",
    ],
)
def test_long_calls_are_not_shortened(
    *, service, call, expected, wire, connect, make_engine
):
    """A policy's times never cut what the request itself asks to last."""
    wire.default = (200, {}, b"" if service == "s3" else b"{}")
    client = connect(
        service, make_engine(POLICY), inject_host_prefix=False, read_timeout=100
    )
    found = lasting(client)
    call(client)

    (limit,) = found
    assert expected == (limit and pytest.approx(limit, abs=0.2))


def test_a_rule_for_the_operation_holds(wire, connect, make_engine):
    """A rule that names the operation is meant, for long calls too."""
    rules = {"lambda.Invoke": {"attempt_timeout": "15m"}}
    client = connect("lambda", make_engine(POLICY, operations=rules))
    found = lasting(client)
    client.invoke(FunctionName="f")

    assert [pytest.approx(900, abs=0.2)] == found


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"timeout": "8s", "attempt_timeout": "5s"}, 5),
        ({"timeout": "8s"}, 8),
        ({"attempt_timeout": "5s"}, 5),
    ],
)
def test_a_rule_for_the_operation_can_shorten(rule, expected, connect, make_engine):
    """Who names the operation may also cut it."""
    engine = make_engine(POLICY, operations={"sqs.ReceiveMessage": rule})
    client = connect("sqs", engine)
    found = lasting(client)
    client.receive_message(QueueUrl=QUEUE, WaitTimeSeconds=20)

    assert [pytest.approx(expected, abs=0.2)] == found


def test_deadline_bounds_every_attempt(wire, connect, make_engine, clock):
    """Each attempt gets what is left, long calls too."""
    client = connect("sqs", make_engine())
    found = lasting(client)
    wire.plans = [500]
    with resilience.deadline(30):
        client.receive_message(QueueUrl=QUEUE, WaitTimeSeconds=20)

    first, second = found
    assert 29 < second < first <= 30
    assert first - second >= sum(clock.slept)


def test_the_clients_own_timeout_stays(wire, connect, make_engine):
    """A deadline never allows more silence than the client's config does."""
    client = connect("sqs", make_engine(), read_timeout=7)
    found = limits(client)
    wire.plans = [500]
    with resilience.deadline(30):
        client.list_queues()

    assert [None, 7] == found


def test_a_timeout_of_the_request_stays(connect, make_engine):
    """What another handler set for this request is the most it gets."""
    client = connect("sqs", make_engine())
    found = limits(client)

    def mine(context, **_):
        context["read_timeout"] = 2

    client.meta.events.register("before-call", mine)
    with resilience.deadline(30):
        client.list_queues()

    assert [2] == found


def test_nothing_left_nothing_sent(wire, connect, make_engine):
    """A call whose deadline has passed is refused unsent."""
    client = connect("sqs", make_engine())
    with resilience.deadline(0), pytest.raises(BotocoreRejected) as caught:
        client.list_queues()

    assert "deadline" == caught.value.reason
    assert 0 == wire.count


def test_time_that_signing_took_counts(wire, connect, make_engine, clock):
    """When time runs out while signing, nothing is sent."""
    client = connect("sqs", make_engine())

    def slow(**_):
        clock.skipped += 5

    client.meta.events.register_first("request-created.sqs", slow)
    with resilience.deadline(2), pytest.raises(BotocoreRejected) as caught:
        client.list_queues()

    assert "deadline" == caught.value.reason
    assert "deadline" == resilience.report(caught.value).reason
    assert 0 == wire.count


def test_time_that_signing_a_repeat_took_counts(wire, connect, make_engine, clock):
    """A repeat that cannot be sent any more leaves the last real error."""
    client = connect("sqs", make_engine())
    wire.plans = [500] * 5
    count = []

    def slow(**_):
        count.append(1)
        clock.skipped += 5 if len(count) > 1 else 0

    client.meta.events.register_first("request-created.sqs", slow)
    with resilience.deadline(4), pytest.raises(ClientError, match="500"):
        client.list_queues()

    assert 1 == wire.count


def test_a_silent_server_is_left_in_time(wire, connect, make_engine):
    """An attempt timeout ends an attempt that hears nothing."""
    client = connect("sqs", make_engine({"attempt_timeout": "50ms", "retry": "off"}))
    held = threading.Event()
    wire.plans = [lambda _: (held.wait(2), 200)[1]]
    start = time.monotonic()

    with pytest.raises(ReadTimeoutError) as caught:
        client.list_queues()

    took = time.monotonic() - start
    held.set()
    assert took < 0.5
    assert resilience.report(caught.value).ambiguous


def test_connecting_is_bounded_too(connect, make_engine):
    """A host that swallows connection requests costs the deadline, not a minute."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        client = connect(
            "sqs", make_engine(), endpoint_url=f"http://127.0.0.1:{address[1]}"
        )
        start = time.monotonic()

        with resilience.deadline(0.15), pytest.raises(Exception, match="imeout"):
            client.list_queues()

        took = time.monotonic() - start
        for filler in fillers:
            filler.close()
    assert took < 0.6


@pytest.mark.parametrize(
    ("service", "operation", "params", "expected"),
    [
        ("redshift-data", "GetStatementResult", {"WaitTimeSeconds": 10}, (True, 15)),
        ("sqs", "ReceiveMessage", {"WaitTimeSeconds": "odd"}, (False, None)),
        ("s3", "CompleteMultipartUpload", {}, (True, None)),
        ("stepfunctions", "StartSyncExecution", {}, (True, 305)),
        ("bedrock-runtime", "Converse", {}, (True, None)),
        ("kinesis", "SubscribeToShard", {}, (True, None)),
        ("s3", "PutObject", {}, (False, None)),
        ("s3", "PutObject", {"Body": memoryview(bytes(4 << 20))}, (True, 69)),
        ("s3", "PutObject", {"Body": bytearray(100)}, (False, None)),
        ("s3", "PutObject", {"Body": object()}, (True, None)),
    ],
)
def test_what_operations_ask(service, operation, params, expected):
    """The table of operations that a service may hold."""
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    raw = Loader().load_service_model(service, "service-2")
    model = ServiceModel(raw, service).operation_model(operation)

    assert Asked(*expected) == asked(service, operation, model, params)
