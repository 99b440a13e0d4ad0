"""The doctor against an HAProxy in front of a grpcio server."""

import pytest

from resilience.lab.doctor import diagnose
from tests.real.doctor.found import codes, one


pytestmark = pytest.mark.real


@pytest.mark.parametrize("name", ["right", "connections"])
def test_haproxy_in_front(haproxy, name):
    """A right HAProxy, of calls or of connections, is transparent."""
    found = diagnose(haproxy(name))

    assert [] == codes(found)
    assert found.has("trailers-passed")
    assert found.has("health-serving")


def test_haproxy_that_speaks_http1_to_the_server(haproxy):
    """Without `proto h2` on the server line; the remedy says to write it."""
    found = diagnose(haproxy("old"))

    assert ["http-not-grpc"] == codes(found)
    assert "proto h2" in one(found, "http-not-grpc").remedy


def test_haproxy_with_a_dead_server(haproxy):
    """HAProxy answers for a server that is down."""
    found = diagnose(haproxy("dead"))

    assert ["http-not-grpc"] == codes(found)
    assert ":status 503" in one(found, "http-not-grpc").evidence


def test_haproxy_with_tls(haproxy, authority):
    """TLS that ends in HAProxy, with h2 by ALPN and without."""
    good = diagnose(haproxy("tls"), ca=authority.root)
    bad = diagnose(haproxy("no_alpn"), ca=authority.root)

    assert [] == codes(good)
    assert "alpn-without-h2" == codes(bad)[0]
    assert "alpn h2" in one(bad, "alpn-without-h2").remedy
