"""The doctor against grpcio's own servers, web servers and nobody."""

import contextlib
import datetime as dt
import http.server
import socket
import threading
import time

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2

from examples.servers.ports import free_port
from resilience.lab.doctor import diagnose


pytestmark = pytest.mark.real
DAY = dt.timedelta(days=1)


def codes(found, level="problem"):
    return [finding.code for finding in found.findings if finding.level == level]


def one(found, code):
    (finding,) = [finding for finding in found.findings if finding.code == code]
    return finding


def tls(paper, root=None):
    return grpc.ssl_server_credentials(
        [paper.read()],
        root.read_bytes() if root else None,
        require_client_auth=root is not None,
    )


@pytest.fixture
def listener():
    """`listener(speak)`: each connection is handed to *speak*."""
    made = []

    def listen(speak):
        opened = socket.create_server(("127.0.0.1", 0))
        made.append(opened)

        def accept():
            while True:
                try:
                    connection, _ = opened.accept()
                except OSError:
                    return
                made.append(connection)
                speak(connection)

        threading.Thread(target=accept, daemon=True).start()
        return f"127.0.0.1:{opened.getsockname()[1]}"

    yield listen
    for each in made:
        each.close()


# -- plaintext ----------------------------------------------------------------------


def test_a_healthy_server_in_plaintext(backend):
    """Health, services, trailers and plaintext are seen, and nothing is wrong."""
    found = diagnose(backend.address)

    assert [] == codes(found)
    assert (backend.address,) == found.addresses
    assert "shop.Cart" in found.services
    for code in ("plaintext-spoken", "grpc-spoken", "trailers-passed"):
        assert found.has(code), code
    assert found.has("health-serving")


def test_a_server_without_health_and_reflection(serve):
    """Neither is demanded: UNIMPLEMENTED is an answer."""
    server = serve(with_health=False, with_reflection=False)
    found = diagnose(server.address)
    named = diagnose(server.address, service="shop.Cart")

    assert [] == codes(found)
    assert ["no-health-service"] == codes(named)
    assert found.has("no-health-service")
    assert found.has("no-reflection")
    assert found.has("grpc-spoken")


def test_a_server_that_is_not_serving(serve):
    """NOT_SERVING is a problem, of the server or of the service that is asked for."""
    server = serve()
    server.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    server.health.set("shop.Cart", health_pb2.HealthCheckResponse.SERVING)

    assert ["health-not-serving"] == codes(diagnose(server.address))
    assert [] == codes(diagnose(server.address, service="shop.Cart"))
    unknown = diagnose(server.address, service="shop.Till")
    assert ["health-unknown-service"] == codes(unknown)


def test_a_server_that_wants_credentials(serve):
    """UNAUTHENTICATED is an answer: gRPC works, and the doctor has no credentials."""

    class Guard(grpc.ServerInterceptor):
        def intercept_service(self, continuation, details):
            def refuse(request, context):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")

            return grpc.unary_unary_rpc_method_handler(refuse)

    found = diagnose(serve(interceptors=[Guard()]).address)

    assert [] == codes(found)
    assert "credentials-demanded" in codes(found, "advice")


def test_a_closed_port():
    """Refused is said so, with what to change."""
    found = diagnose(f"127.0.0.1:{free_port()}")

    assert ["tcp-refused"] == codes(found)
    assert "nobody listens" in one(found, "tcp-refused").what
    assert one(found, "tcp-refused").remedy


def test_an_unknown_name():
    """An unknown name is told apart from a server that is down."""
    found = diagnose("nope.invalid:443")

    assert codes(found)[0] in ("name-unknown", "name-failed")
    assert () == found.addresses


def test_a_missing_unix_socket(tmp_path):
    """A path without a socket is no traceback."""
    assert ["socket-missing"] == codes(diagnose(f"unix:{tmp_path}/none"))


def test_a_unix_socket(serve, tmp_path):
    """A server on a Unix socket is examined like another."""
    server = serve()
    path = tmp_path / "socket"
    other = grpc.server(None)
    other.add_insecure_port(f"unix:{path}")
    other.start()
    found = diagnose(f"unix:{path}")
    other.stop(None).wait()

    assert server
    assert [] == codes(found)
    assert found.has("grpc-spoken")


def test_several_addresses(backend, serve):
    """Several addresses: pick_first is explained; a dead one is named."""
    dead = free_port()
    found = diagnose(f"ipv4:{backend.address},{serve().address},127.0.0.1:{dead}")

    assert ["tcp-refused"] == codes(found)
    assert f"127.0.0.1:{dead}" == one(found, "tcp-refused").address
    assert "round_robin" in one(found, "many-addresses").remedy
    assert found.has("health-serving")


def test_localhost_with_one_version_of_ip(backend, monkeypatch):
    """A dead IPv6 address beside a live IPv4 one costs a moment, not calls."""
    both = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", backend.port, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", backend.port)),
    ]
    bare = socket.getaddrinfo

    def look_up(host, *rest, **named):
        return both if host == "localhost" else bare(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    found = diagnose(f"localhost:{backend.port}")

    assert [] == codes(found)
    assert (f"[::1]:{backend.port}", backend.address) == found.addresses
    assert found.has("many-addresses")
    assert {"tcp-refused", "no-route"} & set(codes(found, "advice"))


# -- peers that are no gRPC servers --------------------------------------------------


def test_a_web_server(listener):
    """An HTTP/1.1 server is recognised, in either wish."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True).start()
    address = f"127.0.0.1:{web.server_port}"
    found = diagnose(address)
    wished = diagnose(address, security="tls")
    web.shutdown()
    web.server_close()

    assert ["http1-peer"] == codes(found)
    assert "SimpleHTTP" in one(found, "http1-peer").evidence
    assert ["tls-not-spoken", "http1-peer"] == codes(wished)


def test_another_protocol(listener):
    """A banner that is no HTTP is shown, and cannot write on the terminal."""
    address = listener(lambda peer: peer.sendall(b"SSH-2.0-\x1b[31mred\r\n"))
    found = diagnose(address)

    assert ["not-http2"] == codes(found)
    assert "\\x1b[31mred" in one(found, "not-http2").evidence


@pytest.mark.slow
def test_a_silent_peer_is_given_up(listener):
    """A peer that says nothing takes no more than the time given."""
    address = listener(lambda peer: None)
    began = time.monotonic()
    found = diagnose(address, timeout_s=0.2)

    assert ["http2-silent"] == codes(found)
    assert time.monotonic() - began < 5


@pytest.mark.slow
def test_a_peer_that_drips_is_given_up(listener):
    """A byte now and then keeps nobody waiting for ever."""
    done = threading.Event()

    def drip(peer):
        def go_on():
            with contextlib.suppress(OSError):
                peer.sendall(b"<")
                while not done.wait(0.01):
                    peer.sendall(b"x")

        threading.Thread(target=go_on, daemon=True).start()

    began = time.monotonic()
    found = diagnose(listener(drip), timeout_s=0.6)
    done.set()

    assert ["http1-peer"] == codes(found)
    assert time.monotonic() - began < 5


def test_a_peer_that_hangs_up(listener):
    """A peer that closes at once is told apart from a silent one."""
    found = diagnose(listener(lambda peer: peer.close()))

    assert ["http2-cut-off"] == codes(found)


# -- TLS ----------------------------------------------------------------------------


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


# -- descriptors ----------------------------------------------------------------------


def written(tmp_path, *files):
    path = tmp_path / "given.pb"
    given = descriptor_pb2.FileDescriptorSet(file=files)
    path.write_bytes(given.SerializeToString())
    return path


def test_descriptors_that_agree(backend, shop, tmp_path):
    """Equal descriptors are a fact."""
    found = diagnose(backend.address, descriptors=written(tmp_path, shop))

    assert [] == codes(found)
    assert found.has("descriptors-match")


def test_descriptors_that_differ(backend, shop, tmp_path):
    """What the server lacks or has otherwise is told, each with both sides."""
    get, listing = shop.service[0].method
    get.options.idempotency_level = 2
    listing.server_streaming = False
    listing.output_type = ".shop.Request"
    shop.service[0].method.add(
        name="Pay", input_type=".shop.Request", output_type=".shop.Reply"
    )
    shop.service.add(name="Till")
    shop.message_type[0].field[0].type = 3
    found = diagnose(backend.address, descriptors=written(tmp_path, shop))

    assert {
        "method-missing",
        "service-missing",
        "streaming-differs",
        "type-differs",
        "idempotency-differs",
        "field-differs",
    } == set(codes(found))
    assert "unary-stream" in one(found, "streaming-differs").evidence
    assert "shop.Till" in one(found, "service-missing").what


def test_descriptors_without_reflection(serve, shop, tmp_path):
    """What cannot be compared is not called equal."""
    address = serve(with_reflection=False).address
    found = diagnose(address, descriptors=written(tmp_path, shop))

    assert ["not-compared"] == codes(found)
