"""The clients that answer for another: one for each place, made when needed."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from resilience.botocore import failover_clients
from resilience.botocore.failover_clients import (
    NoSibling,
    Siblings,
    client_of,
    has_own_endpoint,
)
from resilience.core.policy import FailoverRegion


PLACE = FailoverRegion(
    region="eu-west-1", endpoint_url=None, rename={}, repeats_ambiguous=False
)


@pytest.fixture
def making(monkeypatch):
    """Return what was made, and the gate that making waits for."""
    made, gate = [], threading.Event()

    def make(guard, place):
        made.append(place.region)
        gate.wait(10)
        return Made()

    monkeypatch.setattr(failover_clients, "make", make)
    yield made, gate
    gate.set()


class Made:
    """A client, as far as it is looked at here."""


def test_many_callers_make_one(making):
    """Callers that need a client at once get the same one."""
    made, gate = making
    siblings = Siblings()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(siblings.of, None, PLACE, None, 0.0) for _ in range(8)]
        gate.set()
        found = {id(one.result()) for one in asked}

    assert ["eu-west-1"] == made
    assert 1 == len(found)


def test_waiting_has_an_end(making):
    """Who has no time left does not wait for a client that another one makes."""
    made, gate = making
    siblings = Siblings()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(siblings.of, None, PLACE, None, 0.0)
        while not made:
            threading.Event().wait(0.001)
        with pytest.raises(NoSibling, match="still being made"):
            siblings.of(None, PLACE, 0.01, 0.0)
        gate.set()
        first.result()


def test_letting_go(making):
    """What was let go is made anew."""
    made, gate = making
    gate.set()
    siblings = Siblings()
    siblings.of(None, PLACE, None, 0.0)
    siblings.clear()
    siblings.of(None, PLACE, None, 0.0)

    assert 2 == len(made)


def test_a_client_that_is_gone():
    """A guard whose client is gone has no siblings."""

    class Guard:
        def _client(self):
            return None

    with pytest.raises(NoSibling, match="its client is gone"):
        client_of(Guard(), PLACE)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://s3.us-east-1.amazonaws.com", False),
        ("https://s3.cn-north-1.amazonaws.com.cn", False),
        ("https://s3.dualstack.us-east-1.api.aws", False),
        ("http://localhost:4566", True),
        ("https://minio.example.com", True),
    ],
)
def test_endpoints_of_their_own(session, monkeypatch, url, expected):
    """Where botocore does not tell, an endpoint is known by its name."""
    s3 = session.client("s3", endpoint_url=url)
    monkeypatch.setattr(s3, "_ruleset_resolver", None)

    assert expected == has_own_endpoint(s3)


def test_an_endpoint_of_the_environment(session, monkeypatch):
    """One that the environment names counts as the client's own."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")

    assert has_own_endpoint(session.client("s3"))
