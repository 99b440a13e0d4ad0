"""The doctor against grpcio's own servers with TLS, right and wrong."""

import datetime as dt

import grpc
import pytest

from resilience.lab.doctor import diagnose
from tests.real.doctor.found import codes, one


pytestmark = pytest.mark.real
DAY = dt.timedelta(days=1)


def tls(paper, root=None):
    return grpc.ssl_server_credentials(
        [paper.read()],
        root.read_bytes() if root else None,
        require_client_auth=root is not None,
    )


def test_a_healthy_server_with_tls(serve, authority):
    """TLS is found out, and nothing is wrong with the right root."""
    server = serve(credentials=tls(authority.issue("127.0.0.1")))
    found = diagnose(server.address, ca=authority.root)

    assert [] == codes(found)
    assert "selected h2" in one(found, "tls-spoken").evidence
    assert found.has("health-serving")
    assert "shop.Cart" in found.services


def test_a_certificate_of_a_strange_root(serve, stranger, authority):
    """An untrusted chain is a problem whatever else is right."""
    server = serve(credentials=tls(stranger.issue("127.0.0.1")))

    for root in (None, authority.root):
        found = diagnose(server.address, ca=root)
        assert ["certificate-untrusted"] == codes(found)
        assert "stranger" in one(found, "certificate-untrusted").evidence
        # What else could be seen is told all the same.
        assert found.has("grpc-spoken")


def test_a_root_that_only_the_machine_trusts(serve, stranger, monkeypatch):
    """Grpcio brings its own roots: one that is installed here does not help it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(stranger.root))
    server = serve(credentials=tls(stranger.issue("127.0.0.1")))
    found = diagnose(server.address)

    finding = one(found, "certificate-untrusted")
    assert "its own list" in finding.cause
    assert "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH" in finding.remedy


def test_an_expired_certificate(serve, authority):
    """Expired is said with the day, and hides no other fault."""
    paper = authority.issue("shop.example", begins=-9 * DAY, ends=-2 * DAY)
    found = diagnose(serve(credentials=tls(paper)).address, ca=authority.root)

    assert ["certificate-expired", "certificate-wrong-name"] == codes(found)
    day = dt.datetime.now(dt.UTC) - 2 * DAY
    assert f"{day:%Y-%m}" in one(found, "certificate-expired").what


def test_a_certificate_that_ends_soon(serve, authority):
    """A renewal that was missed is worth advice."""
    paper = authority.issue("127.0.0.1", ends=5 * DAY)
    found = diagnose(serve(credentials=tls(paper)).address, ca=authority.root)

    assert [] == codes(found)
    assert ["one-address", "certificate-expires-soon"] == codes(found, "advice") or [
        "certificate-expires-soon"
    ] == codes(found, "advice")


def test_a_certificate_for_another_name(serve, authority):
    """The names it is for are shown, and asking for one of them helps."""
    server = serve(credentials=tls(authority.issue("shop.example")))
    found = diagnose(server.address, ca=authority.root)
    asked = diagnose(server.address, ca=authority.root, authority="shop.example")

    assert ["certificate-wrong-name"] == codes(found)
    assert "shop.example" in one(found, "certificate-wrong-name").evidence
    assert [] == codes(asked)
    assert asked.has("health-serving")


def test_mutual_tls(serve, authority, stranger):
    """A demanded client certificate is named; a good one passes, a strange one not."""
    server = serve(credentials=tls(authority.issue("127.0.0.1"), authority.root))
    mine, strange = authority.issue("client"), stranger.issue("client")
    root = authority.root
    none = diagnose(server.address, ca=root)
    good = diagnose(server.address, ca=root, cert=mine.cert, key=mine.key)
    bad = diagnose(server.address, ca=root, cert=strange.cert, key=strange.key)

    assert ["client-certificate-demanded"] == codes(none)
    assert [] == codes(good)
    assert good.has("client-certificate-asked")
    assert good.has("health-serving")
    assert ["client-certificate-refused"] == codes(bad)


def test_addresses_that_differ(backend, serve, authority):
    """One address with TLS and one without: no channel can use both."""
    secure = serve(credentials=tls(authority.issue("127.0.0.1")))
    found = diagnose(f"ipv4:{backend.address},{secure.address}", ca=authority.root)

    assert ["addresses-differ"] == codes(found)


def test_plaintext_was_asked_of_a_tls_port(serve, authority):
    """The wrong wish is told, either way round."""
    server = serve(credentials=tls(authority.issue("127.0.0.1")))
    found = diagnose(server.address, security="plaintext")

    assert ["tls-needed"] == codes(found)


def test_tls_was_asked_of_a_plaintext_port(backend):
    """What the port speaks instead is told."""
    found = diagnose(backend.address, security="tls")

    assert ["tls-not-spoken"] == codes(found)
    assert found.has("plaintext-spoken")
