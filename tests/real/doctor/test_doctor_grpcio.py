"""The doctor against grpcio's own servers in plaintext, and against nobody."""

import socket

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2

from examples.servers.ports import free_port
from resilience.lab.doctor import diagnose
from tests.real.doctor.found import codes, one


pytestmark = pytest.mark.real


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
