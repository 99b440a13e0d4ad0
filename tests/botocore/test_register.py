"""What can be registered, and what registering does and undoes."""

import subprocess
import sys

import boto3
import botocore.session
import pytest

import resilience
import resilience.botocore


def owner(client):
    return resilience.botocore.owner_of(client)


def test_boto3_session(connect, session, make_engine):
    """Clients that a registered boto3 session makes are ours; earlier ones are not."""
    before = connect("sqs")
    resilience.botocore.register(session, make_engine())
    after = connect("sqs")

    assert owner(before).startswith("botocore")
    assert owner(after).startswith("resilience")


def test_botocore_session(make_engine):
    """A plain botocore session works the same."""
    session = botocore.session.Session()
    resilience.botocore.register(session, make_engine())
    client = session.create_client(
        "sqs", "us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )

    assert owner(client).startswith("resilience")


def test_boto3_module(make_engine, monkeypatch):
    """The module stands for its default session."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    resilience.botocore.register(boto3, make_engine())

    assert owner(boto3.client("sqs")).startswith("resilience")

    resilience.botocore.unregister(boto3)

    assert owner(boto3.client("sqs")).startswith("botocore")


def test_existing_client(wire, connect, make_engine, clock):
    """A client that exists is taken over whole, and given back whole."""
    client = connect("sqs", mode="legacy")
    emitter = client.meta.events._emitter
    handlers = [*emitter._handlers.prefix_search("needs-retry.sqs.X")]
    engine = make_engine({"retry": {"max_attempts": 2}})
    resilience.botocore.register(client, engine)
    wire.plans = [500, 500]
    with pytest.raises(Exception, match="500"):
        client.list_queues()

    assert 2 == wire.count

    resilience.botocore.unregister(client)

    assert handlers == [*emitter._handlers.prefix_search("needs-retry.sqs.X")]
    assert "_make_api_call" not in vars(client)
    assert owner(client).startswith("botocore")


def test_resource(session, make_engine):
    """A resource stands for its client."""
    queue = session.resource("sqs")
    resilience.botocore.register(queue, make_engine())

    assert owner(queue.meta.client).startswith("resilience")


def test_last_engine_wins(wire, connect, session, make_engine):
    """Registering twice leaves one owner: the newer engine, for old clients too."""
    client = connect("sqs", make_engine({"retry": {"max_attempts": 2}}))
    client.list_queues()
    resilience.botocore.register(session, make_engine({"retry": {"max_attempts": 4}}))
    wire.seen, wire.plans = [], [500] * 9
    with pytest.raises(Exception, match="500"):
        client.list_queues()

    assert 4 == wire.count


def test_client_of_its_own(wire, connect, make_engine):
    """A client registered by itself keeps its engine beside the session's."""
    client = connect("sqs", make_engine({"retry": {"max_attempts": 2}}))
    resilience.botocore.register(client, make_engine({"retry": {"max_attempts": 3}}))
    wire.plans = [500] * 9
    with pytest.raises(Exception, match="500"):
        client.list_queues()

    assert 3 == wire.count


def test_unregistering_one_client_of_a_session(wire, connect, make_engine):
    """One client can be let go while its session stays registered."""
    engine = make_engine()
    one, other = connect("sqs", engine), connect("sqs", engine)
    one.list_queues()
    resilience.botocore.unregister(one)
    one.list_queues()

    assert owner(one).startswith("botocore")
    assert owner(other).startswith("resilience")


def test_unregistering_twice_is_harmless(session):
    """Nothing happens when nothing is registered."""
    resilience.botocore.unregister(session)
    resilience.botocore.unregister(session)


def test_anything_else_is_refused(make_engine):
    """A wrong argument is named, with what would be right."""
    with pytest.raises(TypeError, match="cannot register on dict"):
        resilience.botocore.register({}, make_engine())


def test_owner_words(connect, make_engine):
    """`owner_of` says who decides, in each mode and profile."""
    texts = [
        owner(connect("sqs", make_engine(rules, mode=mode)))
        for rules, mode in [
            ({}, "enforce"),
            ({"profile": "honour-client-config"}, "enforce"),
            ({}, "observe"),
            ({}, "bypass"),
        ]
    ]

    assert [
        "resilience (profile aws-standard-2.1); botocore (standard mode) keeps still",
        "botocore (standard mode); resilience may veto (profile honour-client-config)",
        "botocore (standard mode); resilience is in mode observe",
        "botocore (standard mode); resilience is in mode bypass",
    ] == texts


def test_unknown_emitter_leaves_the_client_bare(connect, session, make_engine, caplog):
    """A botocore that keeps its handlers otherwise is left alone, with a warning."""
    client = connect("sqs", make_engine())
    inner = client.meta.events._emitter
    root = inner._handlers
    inner._handlers = Renamed(root)
    client.list_queues()

    assert "stay bare" in caplog.text
    assert owner(client).startswith("botocore")


class Renamed:
    """An emitter's inside under other names."""

    def __init__(self, inner):
        self.inner = inner

    def prefix_search(self, name):
        return self.inner.prefix_search(name)


def test_missing_extra_names_the_install_line():
    """Without botocore the import fails with the exact line to run."""
    code = "import sys; sys.modules['botocore'] = None; import resilience.botocore"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert "pip install 'resilience-middleware[aws]'" in done.stderr


def test_a_client_is_not_kept_alive(connect, make_engine, session):
    """A client that nobody holds goes away by reference counting alone."""
    import gc
    import weakref

    engine = make_engine()
    resilience.botocore.register(session, engine)
    client = session.client("sqs", endpoint_url="http://127.0.0.1:1")
    resilience.botocore.guard.guard_of(client, client._resilience_registration)
    gone = weakref.ref(client)
    gc.collect()
    del client
    gc.collect()

    assert gone() is None
