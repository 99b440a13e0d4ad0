"""Whatever holds clients: sessions, copies of them, boto3 itself, threads, wrappers."""

import copy
import pickle
import threading
from unittest import mock

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

import resilience
import resilience.botocore
from tests.botocore.emitters import contents


register, unregister = resilience.botocore.register, resilience.botocore.unregister
NO_WAIT = mock.patch("botocore.endpoint.time.sleep")
LEVELS = [
    "*.*",
    "*.sqs",
    "*.sqs.ListQueues",
    "sqs",
    "sqs.*",
    "sqs.ListQueues",
    "",
]
EVENTS = [
    "provide-client-params",
    "before-parameter-build",
    "before-call",
    "request-created",
    "choose-signer",
    "before-sign",
    "before-send",
    "response-received",
    "needs-retry",
    "after-call",
    "after-call-error",
]


def owner(client):
    return resilience.botocore.owner_of(client)


def _listen(client, order):
    events = client.meta.events
    ways = [events.register_last, events.register, events.register_first]
    for event in EVENTS:
        for level in LEVELS:
            for way in ways:
                name = f"{event}.{level}".rstrip(".")
                label = f"{name} {way.__name__}"

                def note(event_name, label=label, **_):
                    order.append((event_name, label))

                way(name, note)


def test_handlers_of_users_keep_their_order(wire, connect, make_engine, monkeypatch):
    """Handlers at each level and place are called as often and in the same order."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    orders = []
    for engine in (None, make_engine(), make_engine(mode="observe")):
        client = connect("sqs", engine)
        order = []
        _listen(client, order)
        wire.plans = [500, (200, {}, b"{}"), 400]
        client.list_queues()
        with pytest.raises(client.exceptions.ClientError):
            client.list_queues()
        orders.append(order)

    bare, enforced, observed = orders
    assert len(bare) > 300
    assert bare == enforced == observed


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
@pytest.mark.parametrize("service", ["sqs", "s3", "dynamodb"])
@pytest.mark.parametrize("kind", ["session", "client"])
def test_given_back_bit_by_bit(
    *, kind, service, mode, wire, session, connect, make_engine
):
    """After unregistering, emitter, sockets and attributes are those of before."""
    wire.default = (200, {}, b"<a/>" if service == "s3" else b"{}")
    client = connect(service, make_engine() if kind == "session" else None, mode=mode)
    call = getattr(client, LISTING[service])
    before = _state(client)
    if kind == "client":
        register(client, make_engine())
    call()
    during = _state(client)

    unregister(client if kind == "client" else session)
    call()

    # A bare client has no copy of what its session listens to on our behalf.
    copied = before["handlers"]["ids"].pop("resilience-creating-client-class", None)
    if copied is not None:
        before["handlers"]["creating-client-class"].remove(copied)
    assert before == _state(client)
    assert before != during
    assert owner(client).startswith("botocore")


LISTING = {"sqs": "list_queues", "dynamodb": "list_tables", "s3": "list_buckets"}


def _state(client):
    endpoint = client._endpoint
    sockets = endpoint.http_session
    return {
        "attributes": sorted(vars(client)),
        "endpoint": sorted(vars(endpoint)),
        "session": sorted(vars(sockets)),
        "pools": dict(sockets._pool_classes_by_scheme),
        "handlers": contents(client.meta.events),
    }


def test_the_session_itself_is_given_back(session, make_engine):
    """A session has the handlers that it had, and its next clients are bare."""
    before = contents(session.events)
    register(session, make_engine())

    assert before != contents(session.events)

    unregister(session)

    assert before == contents(session.events)


def test_clients_come_back_with_their_session(wire, connect, session, make_engine):
    """Unregistering gives all clients back; registering again takes all over."""
    engine = make_engine({"retry": {"max_attempts": 2}})
    client, idle = connect("sqs", engine), connect("sqs", engine)
    client.list_queues()
    counts = []
    for step in (unregister, register, unregister):
        step(session, *([engine] if step is register else []))
        for one in (client, idle):
            wire.seen, wire.plans = [], ["drop"] * 3
            one.meta.config.retries["total_max_attempts"] = 3
            with NO_WAIT, pytest.raises(ConnectionClosedError):
                one.list_queues()
            counts.append(wire.count)

    assert [3, 3, 2, 2, 3, 3] == counts


def test_a_library_and_an_application(wire, connect, session, make_engine):
    """Both register one session: there is one owner, the last engine."""
    client = connect("sqs", make_engine({"retry": {"max_attempts": 5}}))
    client.list_queues()
    register(session, make_engine({"retry": {"max_attempts": 2}}))
    register(session, make_engine({"retry": {"max_attempts": 3}}))
    wire.seen, wire.plans = [], [500] * 9
    with pytest.raises(client.exceptions.ClientError):
        client.list_queues()

    assert 3 == wire.count


def test_a_client_outlasts_its_session(wire, connect, session, make_engine):
    """A client registered by itself, whose session is too, follows its own engine."""
    client = connect("sqs", make_engine({"retry": {"max_attempts": 2}}))
    register(client, make_engine({"retry": {"max_attempts": 4}}))
    register(session, make_engine({"retry": {"max_attempts": 3}}))
    unregister(session)
    wire.plans = [500] * 9
    with pytest.raises(client.exceptions.ClientError):
        client.list_queues()

    assert 4 == wire.count


def test_a_client_with_cached_handlers(wire, connect, make_engine):
    """A client that has made every kind of call before is taken over all the same."""
    client = connect("sqs", retries={"total_max_attempts": 1})
    wire.plans = [500]
    with pytest.raises(client.exceptions.ClientError):
        client.list_queues()
    register(client, make_engine({"retry": {"max_attempts": 3}}))
    wire.seen, wire.plans = [], [500] * 9
    with pytest.raises(client.exceptions.ClientError):
        client.list_queues()

    assert 3 == wire.count


def test_handlers_remembered_too_late(wire, connect, make_engine):
    """What a call that was under way made the emitter remember does not stay."""
    client = connect("sqs", retries={"total_max_attempts": 1})
    client.list_queues()
    emitter = client.meta.events._emitter
    event = "needs-retry.sqs.ListQueues"
    stale = emitter._handlers.prefix_search(event)
    register(client, make_engine({"retry": {"max_attempts": 3}}))
    emitter._lookup_cache[event] = stale
    wire.seen, wire.plans = [], [500] * 9
    with pytest.raises(client.exceptions.ClientError):
        client.list_queues()

    assert 3 == wire.count


def test_clients_made_at_once(wire, session, make_engine):
    """Clients that threads make and use at once have one owner each."""
    register(session, make_engine({"retry": {"max_attempts": 2}}))
    wire.plans = [500] * 99
    start, failed = threading.Barrier(8), []

    def work():
        start.wait()
        client = boto3.Session(botocore_session=session._session).client(
            "sqs", endpoint_url=wire.url
        )
        try:
            client.list_queues()
        except client.exceptions.ClientError as error:
            failed.append(resilience.report(error).attempts)
        client.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 8 == len(failed)
    assert 16 == wire.count


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies_of_a_session(copied, loader, make_engine):
    """A shallow copy shares handlers, and so the engine; a deep one has none of it."""
    session = boto3.Session("k", "s", region_name="us-east-1")
    register(session, make_engine())
    try:
        other = copied(session)
    except TypeError:  # natively, too
        with pytest.raises(TypeError):
            copied(boto3.Session("k", "s"))
        return
    other._session.register_component("data_loader", loader)

    assert owner(other.client("sqs")).startswith("resilience")

    unregister(other)

    assert owner(other.client("sqs")).startswith("botocore")


def test_configs_stay_what_they_are(connect, make_engine):
    """A client's config is the user's: copied, pickled and merged as without us."""
    bare, ours = connect("sqs"), connect("sqs", make_engine())
    ours.list_queues()
    configs = [bare.meta.config, ours.meta.config]

    for way in (copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))):
        first, second = [vars(way(config)) for config in configs]
        assert repr(first) == repr(second)
    merged = ours.meta.config.merge(Config(retries={"total_max_attempts": 7}))
    assert 7 == merged.retries["total_max_attempts"]


@pytest.mark.parametrize("kind", ["session", "client", "unregistered"])
@pytest.mark.parametrize("service", ["sqs", "s3"])
def test_nothing_leaks(kind, service, wire, session, make_engine):
    """A client that nobody holds goes at once, sockets and handlers too, as ever."""
    import gc
    import weakref

    wire.default = (200, {}, b"<a/>" if service == "s3" else b"{}")
    engine = make_engine()
    if kind != "client":
        register(session, engine)
    client = session.client(service, endpoint_url=wire.url)
    if kind == "client":
        register(client, engine)
    (client.list_buckets if service == "s3" else client.list_queues)()
    if kind == "unregistered":
        unregister(session)
    client.close()
    parts = [client, client._endpoint, client._endpoint.http_session]
    gone = [weakref.ref(part) for part in [*parts, client.meta.events]]
    del parts
    gc.disable()
    try:
        del client
        left = [ref() for ref in gone]
    finally:
        gc.enable()

    assert [None] * 4 == left


def test_a_session_goes_away(make_engine):
    """A registered session is kept alive by nobody."""
    import gc
    import weakref

    session = boto3.Session("k", "s", region_name="us-east-1")
    register(session, make_engine())
    gone = weakref.ref(session._session)
    del session
    gc.collect()

    assert gone() is None


@pytest.mark.parametrize("step", [unregister, register])
def test_a_change_while_a_call_is_under_way(step, wire, connect, session, make_engine):
    """The call goes on by the rules of whoever is there when its attempt has failed."""
    engine = make_engine({"retry": {"max_attempts": 3}})
    client = connect("sqs", engine, retries={"total_max_attempts": 2})
    other = make_engine({"retry": {"max_attempts": 5}})

    def change(**_):
        if wire.count == 0:
            step(session, *([other] if step is register else []))

    client.meta.events.register("before-send", change)
    wire.plans = [500] * 9
    with NO_WAIT, pytest.raises(client.exceptions.ClientError):
        client.list_queues()

    assert (2 if step is unregister else 3) == wire.count

    wire.plans = []
    client.list_queues()
