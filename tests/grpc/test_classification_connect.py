# ruff: noqa: E501 - one end of an RPC, one line
"""Ends before anything was sent: no address, no connection, no handshake.

Not produced here, and therefore only known as texts: a host without a route ("No route
to host" needs a network that drops the ARP answer) and xDS drops (they need a control
plane); test_classification.py has them.
"""

import ssl
from typing import NamedTuple

import grpc
import grpc.aio
import pytest

import resilience
import resilience.grpc
import resilience.grpc.aio
from resilience.grpc.extract import explanation
from tests.grpc.peers.calling import end
from tests.grpc.peers.http2 import Peer
from tests.grpc.peers.lines import Lines
from tests.grpc.peers.servers import server
from tests.grpc.peers.tls import Authority


ROUND_ROBIN = (
    ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
)
IMPATIENT = (
    ("grpc.initial_reconnect_backoff_ms", 150),
    ("grpc.min_reconnect_backoff_ms", 150),
)
BAD_CONFIG = (("grpc.service_config", '{"methodConfig": [{"timeout": 5}]}'),)
WAYS = pytest.mark.parametrize("how", ["call", "future", "aio.call"])


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture(scope="module")
def secure(authority):
    """The port of a healthy TLS server for `localhost`."""
    with server(tls=authority.certificate().server_credentials()) as address:
        yield int(address.rpartition(":")[2])


NO_CONNECTION = [
    ("refused", "{refused}", (), "transport", ""),
    ("refused, round robin", "{refused}", ROUND_ROBIN, "transport", ""),
    ("no such unix socket", "unix:{folder}/none", (), "transport", ""),
    ("no such name", "nope.invalid:443", (), "transport", "ours"),
    ("network unreachable", "224.0.0.1:1", (), "transport", "ours"),
]


@WAYS
@pytest.mark.parametrize("row", NO_CONNECTION, ids=lambda row: row[0])
def test_what_cannot_be_reached_was_not_sent(row, how, refused_address, tmp_path):
    """No connection: never sent, and the channel's own state confirms it."""
    _, address, options, kind, flags = row
    filled = address.format(refused=refused_address, folder=tmp_path)
    ended = end(filled, how, options=options)

    assert ("UNAVAILABLE", kind, "no", flags) == ended.meaning
    assert ended.outcome == ended.doubted


@WAYS
def test_an_invalid_service_config_is_permanent(how, refused_address):
    """A channel that C-core refuses to make fails each call in the same way."""
    ended = end(refused_address, how, options=BAD_CONFIG)

    assert ("INVALID_ARGUMENT", "permanent", "no", "ours") == ended.meaning


HTTP_1 = b"HTTP/1.1 400 Bad Request\r\n\r\n"
NO_GRPC = [
    ("accepts and closes", {"answer": None, "reads": False}, "transport", ""),
    ("reads and closes", {"answer": b""}, "transport", ""),
    ("never speaks", {"answer": None}, "transport", ""),
    ("HTTP/1.1", {"answer": HTTP_1}, "permanent", "ours"),
    ("SMTP", {"answer": b"220 mail.example ESMTP\r\n"}, "permanent", "ours"),
]


@WAYS
@pytest.mark.parametrize("row", NO_GRPC, ids=lambda row: row[0])
def test_a_peer_that_speaks_no_http_2(row, how):
    """Who dies in the handshake may come back; who speaks something else will not."""
    _, lines, kind, flags = row
    with Lines(**lines) as peer:
        ended = end(peer.address, how, options=IMPATIENT)

    assert ("UNAVAILABLE", kind, "no", flags) == ended.meaning
    assert ended.outcome == ended.doubted


@WAYS
@pytest.mark.parametrize(
    ("status", "kind", "flags"),
    [(403, "permanent", "ours"), (407, "permanent", "ours"), (502, "transport", "")],
)
def test_an_http_proxy_that_refuses(status, kind, flags, how):
    """A 4xx to CONNECT is about us; a 5xx is about the moment."""
    with Lines(f"HTTP/1.1 {status} No\r\n\r\n".encode()) as proxy:
        options = (("grpc.http_proxy", f"http://{proxy.address}"),)
        ended = end("dns:///shop.example:443", how, options=options)

    assert ("UNAVAILABLE", kind, "no", flags) == ended.meaning


class Tls(NamedTuple):
    """A TLS server, and a client that does not get along with it."""

    name: str
    kind: str
    word: str = ""
    """In the explanation."""
    certificate: dict = {}  # noqa: RUF012 - read only
    roots: str = ""
    """The name of the authority that the client trusts; empty: the right one."""
    target: str = "localhost"


TLS = [
    Tls("expired", "permanent", "expired", {"expired": True}),
    Tls("another authority", "permanent", "root", roots="somebody else"),
    Tls("another root of the name", "permanent", "root", roots="authority of the tests"),
    Tls("another host", "permanent", "another name", {"name": "shop.example"}),
    Tls("another address", "permanent", "another name", target="127.0.0.1"),
]  # fmt: skip  # a table: one row, one line


@WAYS
@pytest.mark.parametrize("row", TLS, ids=lambda row: row.name)
def test_a_certificate_that_does_not_fit(row, how, authority):
    """A certificate problem is permanent, and our own side's to know."""
    roots = Authority(row.roots).roots if row.roots else authority.roots
    credentials = authority.certificate(**row.certificate).server_credentials()
    with server(tls=credentials) as address:
        port = address.rpartition(":")[2]
        client = grpc.ssl_channel_credentials(roots)
        ended = end(f"{row.target}:{port}", how, tls=client)

    assert ("UNAVAILABLE", row.kind, "no", "ours") == ended.meaning
    assert row.word in explanation(ended.error)


@WAYS
@pytest.mark.parametrize("offered", [(), ("http/1.1",)], ids=["none", "HTTP/1.1"])
def test_a_tls_peer_without_http_2(offered, how, authority, tmp_path):
    """Without HTTP/2 in ALPN the peer is a web server."""
    context = authority.certificate().context(tmp_path, *offered)
    with Lines(b"x", tls=context) as peer:
        client = grpc.ssl_channel_credentials(authority.roots)
        ended = end(f"localhost:{peer.port}", how, tls=client)

    assert ("UNAVAILABLE", "permanent", "no", "ours") == ended.meaning
    assert "ALPN" in explanation(ended.error)


@WAYS
@pytest.mark.parametrize("server_is", ["HTTP/2", "HTTP/1.1"])
def test_tls_to_a_plain_port_is_permanent(server_is, how, authority):
    """A TLS channel on a port without TLS can never work."""
    client = grpc.ssl_channel_credentials(authority.roots)
    plain = Peer(lambda stream: []) if server_is == "HTTP/2" else Lines(HTTP_1)
    with plain as peer:
        ended = end(peer.address, how, tls=client)

    assert ("UNAVAILABLE", "permanent", "no", "ours") == ended.meaning
    assert "insecure_channel" in explanation(ended.error)


@WAYS
def test_plain_to_a_tls_port_looks_like_a_dying_server(how, secure):
    """The server hangs up without a word: nothing tells it from one that dies."""
    ended = end(f"127.0.0.1:{secure}", how)

    assert ("UNAVAILABLE", "transport", "no", "") == ended.meaning


@WAYS
@pytest.mark.parametrize("who", ["grpcio", "another"])
def test_a_missing_client_certificate(who, how, authority, tmp_path):
    """A server that wants a client certificate hangs up; nothing was sent."""
    certificate = authority.certificate()
    client = grpc.ssl_channel_credentials(authority.roots)
    if who == "grpcio":
        peer = server(tls=certificate.server_credentials(authority.roots))
    else:
        context = certificate.context(tmp_path, "h2", client_roots=authority.roots)
        peer = _on_localhost(context)
    with peer as address:
        port = address.rpartition(":")[2]
        ended = end(f"localhost:{port}", how, tls=client)

    assert ("UNAVAILABLE", "transport", "no") == ended.meaning[:3]


class _on_localhost:  # noqa: N801 - reads as a function
    def __init__(self, context: ssl.SSLContext) -> None:
        self._peer = Peer(lambda stream: [], context)

    def __enter__(self) -> str:
        return self._peer.address

    def __exit__(self, *_: object) -> None:
        self._peer.__exit__()


class _Plugin(grpc.AuthMetadataPlugin):
    """A call-credential plugin that does what it is told."""

    def __init__(self, metadata, error):
        self._answer = (metadata, error)

    def __call__(self, context, callback):
        callback(*self._answer)


@WAYS
def test_a_plugin_without_a_token_sent_nothing(how, secure, authority):
    """A call-credential plugin that fails is our own side's, and may recover."""
    ended = end(f"localhost:{secure}", how, tls=_with(authority, error=OSError("x")))

    assert ("UNAVAILABLE", "transport", "no", "ours") == ended.meaning


@WAYS
def test_a_plugin_with_illegal_metadata_is_permanent(how, secure, authority):
    """What HTTP/2 does not allow in a header is not allowed the next time either."""
    ended = end(f"localhost:{secure}", how, tls=_with(authority, (("A b", "c"),)))

    assert ("UNAVAILABLE", "permanent", "no", "ours") == ended.meaning


def _with(authority, metadata=(), error=None):
    plugin = grpc.metadata_call_credentials(_Plugin(metadata, error))
    channel = grpc.ssl_channel_credentials(authority.roots)
    return grpc.composite_channel_credentials(channel, plugin)


@pytest.mark.parametrize("how", ["call", "future"])
def test_call_credentials_without_tls_are_permanent(how):
    """Credentials are not sent in the clear, however often one tries."""
    with server() as address:
        token = grpc.access_token_call_credentials("t")
        ended = end(address, how, credentials=token)

    assert ("UNAUTHENTICATED", "permanent", "no", "ours") == ended.meaning


def test_call_credentials_without_tls_are_local_in_asyncio():
    """There grpcio raises before it begins: a fault of the program, never repeated."""
    with server() as address:
        token = grpc.access_token_call_credentials("t")
        ended = end(address, "aio.call", credentials=token)

    assert ("UsageError", "local") == ended.meaning[:2]


@pytest.mark.parametrize("how", ["call", "future", "aio"])
def test_misconfiguration_is_tried_once_and_explained(
    how, authority, make_engine, policy
):
    """One attempt, and the error's own notes say the cause and the remedy."""
    credentials = authority.certificate(expired=True).server_credentials()
    client = grpc.ssl_channel_credentials(authority.roots)
    with server(tls=credentials) as address:
        local = f"localhost:{address.rpartition(':')[2]}"
        error = _protected_error(local, client, make_engine(policy), how)

    report = resilience.report(error)
    assert 1 == len(report.attempts)
    assert not report.ambiguous
    notes = "\n".join(error.__notes__)
    assert "certificate has expired" in notes
    assert "renew the certificate" in notes


def _protected_error(address, client, engine, how):
    import asyncio

    async def awaited():
        async with grpc.aio.secure_channel(address, client) as bare:
            channel = resilience.grpc.aio.intercept_channel(bare, engine, target="x")
            await channel.unary_unary("/shop.Cart/Get")(b"a")

    with pytest.raises(grpc.RpcError) as raised:  # noqa: PT012 - one call, three ways
        if how == "aio":
            asyncio.run(awaited())
        with grpc.secure_channel(address, client) as bare:
            channel = resilience.grpc.intercept_channel(bare, engine, target="x")
            method = channel.unary_unary("/shop.Cart/Get")
            if how == "future":
                method.future(b"a").result()
            method(b"a")
    return raised.value
