"""Botocores of another shape: each private thing that is touched may be missing.

Then calls succeed as bare ones do, and one notice says what does not hold.
"""

import boto3
import pytest
from botocore import client, endpoint
from botocore.exceptions import ClientError

import resilience.botocore
from tests.botocore.shapes import SHAPES


CALLS = {
    "sqs": lambda c: c.list_queues(),
    "s3": lambda c: c.get_object(Bucket="b", Key="k")["Body"].read(),
}


def said(sink):
    """Return the codes of what was said about botocore."""
    return [one.code for one in sink.of("Notice") if one.code != "policy"]


@pytest.mark.parametrize("name", SHAPES)
def test_another_shape(*, name, wire, make_engine, sink, session, monkeypatch):
    """Every call succeeds, a second client's too, and one notice says what is off."""
    change, service, code, bare = SHAPES[name]
    wire.default = (200, {}, b"{}")
    change(monkeypatch)
    engine = make_engine({"retry": {"max_attempts": 2}})
    resilience.botocore.register(session, engine)
    for _ in range(2):
        made = session.client(service, endpoint_url=wire.url)
        for _ in range(2):
            CALLS[service](made)
        made.close()
    resilience.botocore.unregister(session)
    CALLS[service](made)
    made.close()

    assert [code] == said(sink)
    assert 5 == wire.count
    assert bare == (sink.of("CallEnded") == [])


@pytest.mark.parametrize(
    "name", [name for name, (*_, service, code, bare) in SHAPES.items() if bare]
)
def test_failures_are_bare_too(name, wire, make_engine, session, monkeypatch):
    """Where nothing could be taken over botocore's own rule holds, and it alone."""
    change, service, *_ = SHAPES[name]
    if service != "sqs":
        return
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    change(monkeypatch)
    resilience.botocore.register(session, make_engine({"retry": {"max_attempts": 9}}))
    made = session.client(
        "sqs",
        endpoint_url=wire.url,
        config=client.Config(retries={"mode": "standard", "total_max_attempts": 3}),
    )
    wire.plans = [500] * 20
    with pytest.raises(ClientError):
        made.list_queues()
    made.close()

    assert 3 == wire.count


def test_an_event_of_another_shape(wire, connect, make_engine, sink, monkeypatch):
    """When `needs-retry` says other things botocore's own handler is asked instead."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    one = connect("sqs", make_engine({"retry": {"max_attempts": 9}}))

    def broken(self, native, event):
        raise KeyError(native)

    monkeypatch.setattr("resilience.botocore.flight.Flight.needs_retry", broken)
    wire.plans = [500]
    one.list_queues()
    one.list_queues()

    assert ["unknown-event"] == said(sink)
    assert 3 == wire.count


def test_retries_that_ask_nobody(wire, connect, make_engine, sink, monkeypatch):
    """A botocore that repeats without `needs-retry` is noticed at its first failure."""
    monkeypatch.setattr(endpoint.Endpoint, "_needs_retry", lambda *_, **__: False)
    one = connect("sqs", make_engine())
    wire.plans = [500, 500]
    for _ in range(2):
        with pytest.raises(ClientError):
            one.list_queues()

    assert ["retries-unseen"] == said(sink)


def test_senders_with_more_arguments(wire, connect, make_engine, monkeypatch):
    """What a later botocore gives to its sender besides is passed on."""
    native = endpoint.Endpoint._send
    seen = []

    def send(self, request, **more):
        seen.append(more)
        return native(self, request)

    monkeypatch.setattr(endpoint.Endpoint, "_send", send)
    one = connect("sqs", make_engine())
    one.list_queues()
    ours = vars(one._endpoint)["_send"]
    vars(one._endpoint)["_send"] = lambda request: ours(request, retry_token=1)
    one.list_queues()

    assert [{}, {"retry_token": 1}] == seen


def test_an_import_that_is_missing():
    """Without botocore's adaptive limiter the module is imported all the same."""
    import subprocess
    import sys

    code = (
        "import botocore.retries.adaptive as a; del a.ClientRateLimiter; "
        "import resilience.botocore"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert "" == done.stderr


def test_waiters_of_another_shape(wire, connect, make_engine, sink, monkeypatch):
    """A waiter that keeps its operation elsewhere waits as natively."""
    from botocore.waiter import Waiter

    import resilience

    one = connect("s3", make_engine())
    waiter = one.get_waiter("bucket_exists")
    found = vars(waiter).pop("_operation_method")
    monkeypatch.setattr(Waiter, "wait", lambda self, **kwargs: found(**kwargs))
    waiter = one.get_waiter("bucket_exists")
    del vars(waiter)["_operation_method"]
    with resilience.deadline(9):
        waiter.wait(Bucket="b")

    assert ["waits-unbounded"] == said(sink)
    assert 1 == wire.count


def test_sessions_of_boto3_keep_their_inside():
    """A boto3 session holds botocore's where we look for it."""
    session = boto3.Session("k", "s")

    assert type(session._session).__module__ == "botocore.session"


def test_before_timeouts_of_a_request(wire, connect, make_engine, sink, monkeypatch):
    """Where silence cannot be allowed for longer than the client says, it is told."""
    monkeypatch.setattr("resilience.botocore.guard.PER_REQUEST", False)
    usual = connect("sqs", make_engine({"attempt_timeout": "50s", "timeout": "99s"}))
    usual.list_queues()

    assert [] == said(sink)

    longer = connect("sqs", make_engine({"attempt_timeout": "90s", "timeout": "99s"}))
    longer.list_queues()
    longer.list_queues()

    assert ["attempt-timeout-unheard"] == said(sink)
    assert 3 == wire.count
