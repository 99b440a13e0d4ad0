"""The `boto3` module is followed: its default session, whenever it is made."""

from unittest import mock

import boto3
import pytest

import resilience.botocore


register, unregister = resilience.botocore.register, resilience.botocore.unregister


def owner(client):
    return resilience.botocore.owner_of(client).split()[0]


@pytest.fixture(autouse=True)
def _own_default(monkeypatch):
    """Every test begins without a default session, and leaves nothing registered."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    yield
    unregister(boto3)


def test_nothing_is_made_before_its_time(make_engine, monkeypatch):
    """Registering makes no session: what the environment says later still counts."""
    register(boto3, make_engine())

    assert boto3.DEFAULT_SESSION is None

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    client = boto3.client("sqs")

    assert ("resilience", "eu-west-1") == (owner(client), client.meta.region_name)


def test_a_session_that_exists(make_engine):
    """A default session that was made before is registered as it is."""
    before = boto3.client("sqs")
    register(boto3, make_engine())

    assert "botocore" == owner(before)
    assert "resilience" == owner(boto3.client("sqs"))
    assert "resilience" == owner(boto3.resource("sqs").meta.client)


def test_a_session_set_up_afterwards(make_engine):
    """`setup_default_session` makes one that is registered, too."""
    register(boto3, make_engine())
    boto3.setup_default_session(region_name="eu-west-1")

    assert "resilience" == owner(boto3.DEFAULT_SESSION.client("sqs"))


def test_a_session_assigned(make_engine):
    """So is one that somebody assigns, or sets up by a name he took before."""
    set_up = boto3.setup_default_session
    register(boto3, make_engine())
    for make in (set_up, lambda: setattr(boto3, "DEFAULT_SESSION", boto3.Session())):
        make()

        assert "resilience" == owner(boto3.client("sqs"))


def test_the_module_is_given_back(make_engine):
    """Unregistering gives back the functions and all default sessions there were."""
    natives = boto3.setup_default_session, boto3._get_default_session
    register(boto3, make_engine())
    first = boto3.client("sqs")
    first_session = boto3.DEFAULT_SESSION
    boto3.setup_default_session()
    second = boto3.client("sqs")
    unregister(boto3)

    assert natives == (boto3.setup_default_session, boto3._get_default_session)
    assert ["botocore"] * 4 == [
        owner(client)
        for client in (first, second, first_session.client("sqs"), boto3.client("sqs"))
    ]


def test_the_last_engine_holds(make_engine):
    """Registering the module again replaces the engine; functions are wrapped once."""
    natives = boto3.setup_default_session, boto3._get_default_session
    register(boto3, make_engine(mode="bypass"))
    first = boto3.client("sqs")
    boto3.setup_default_session()
    second = boto3.client("sqs")
    register(boto3, make_engine())

    assert ["resilience"] * 2 == [owner(first), owner(second)]
    assert " is in mode" not in resilience.botocore.owner_of(first)

    unregister(boto3)

    assert natives == (boto3.setup_default_session, boto3._get_default_session)


def test_a_wrapper_of_others_stays(make_engine, monkeypatch):
    """Who wrapped boto3's functions after us keeps his wrapper."""
    register(boto3, make_engine())
    ours, seen = boto3.setup_default_session, []

    def set_up(**kwargs):
        seen.append(kwargs)
        ours(**kwargs)

    monkeypatch.setattr(boto3, "setup_default_session", set_up)
    unregister(boto3)
    boto3.setup_default_session(region_name="eu-west-1")

    assert [{"region_name": "eu-west-1"}] == seen
    assert "botocore" == owner(boto3.client("sqs"))


def test_stand_ins_of_tests(make_engine, monkeypatch, caplog):
    """A default session that is a mock is left alone, with a warning."""
    register(boto3, make_engine())
    stand_in = mock.MagicMock()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", stand_in)

    assert boto3.client("sqs") is stand_in.client.return_value
    assert "stays bare" in caplog.text


def test_a_boto3_of_another_shape(make_engine, monkeypatch):
    """Without the functions that we know, the session that there is gets registered."""
    monkeypatch.setattr("resilience.botocore.default_session.MAKERS", ("unknown",))
    register(boto3, make_engine())

    assert "resilience" == owner(boto3.client("sqs"))
