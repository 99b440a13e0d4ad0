"""Servers to examine: grpcio with and without TLS, and proxies in front of it."""

import datetime as dt
import ipaddress
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from examples.servers.ports import HOST, free_port
from examples.servers.supervisor import Supervisor


DAY = dt.timedelta(days=1)


class Paper(NamedTuple):
    """A certificate and its key, as files."""

    cert: Path
    key: Path

    def read(self):
        return self.key.read_bytes(), self.cert.read_bytes()


class Authority:
    """Signs certificates for tests."""

    def __init__(self, folder, name="test-root"):
        self._folder = folder
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._subject = subject
        now = dt.datetime.now(dt.UTC)
        root = self._builder(subject, self._key, now - 400 * DAY, now + 400 * DAY)
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        root = root.add_extension(constraints, critical=True)
        self.root = folder / f"{name}.pem"
        signed = root.sign(self._key, hashes.SHA256())
        self.root.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def issue(self, *names, begins=-DAY, ends=90 * DAY):
        """A certificate for *names* (DNS names or addresses)."""
        key = ec.generate_private_key(ec.SECP256R1())
        common = x509.NameAttribute(NameOID.COMMON_NAME, names[0])
        now = dt.datetime.now(dt.UTC)
        made = self._builder(x509.Name([common]), key, now + begins, now + ends)
        alternatives = [_general_name(name) for name in names]
        made = made.add_extension(
            x509.SubjectAlternativeName(alternatives), critical=False
        ).sign(self._key, hashes.SHA256())
        stem = f"{self._name}-{made.serial_number:x}"
        paper = Paper(self._folder / f"{stem}.crt", self._folder / f"{stem}.key")
        paper.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        paper.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paper

    def _builder(self, subject, key, begins, ends):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
        )


def _general_name(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("papers"), "stranger")


def shop_file():
    """shop.proto: service shop.Cart with Get and List."""
    file = descriptor_pb2.FileDescriptorProto(
        name="shop.proto", package="shop", syntax="proto3"
    )
    for name in ("Request", "Reply"):
        message = file.message_type.add(name=name)
        message.field.add(name="id", number=1, type=9, label=1, json_name="id")
    service = file.service.add(name="Cart")
    get = service.method.add(
        name="Get", input_type=".shop.Request", output_type=".shop.Reply"
    )
    get.options.idempotency_level = 1
    service.method.add(
        name="List",
        input_type=".shop.Request",
        output_type=".shop.Reply",
        server_streaming=True,
    )
    return file


class Backend:
    """A grpcio server in this process."""

    def __init__(
        self,
        *,
        credentials=None,
        interceptors=(),
        with_health=True,
        with_reflection=True,
    ):
        self.server = grpc.server(ThreadPoolExecutor(4), interceptors=interceptors)
        self.health = health.HealthServicer()
        self.health.set("", health_pb2.HealthCheckResponse.SERVING)
        if with_health:
            health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        if with_reflection:
            pool = descriptor_pool.DescriptorPool()
            pool.Add(shop_file())
            names = ("shop.Cart", reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self.server, pool)
        if credentials is None:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
        self.address = f"127.0.0.1:{self.port}"
        self.server.start()


@pytest.fixture(scope="session")
def backend():
    made = Backend()
    yield made
    made.server.stop(None).wait()


@pytest.fixture
def serve():
    """`serve(...)` makes a server that ends with the test."""
    made = []

    def make(**how):
        made.append(Backend(**how))
        return made[-1]

    yield make
    for one in made:
        one.server.stop(None).wait()


@pytest.fixture
def shop():
    """The descriptors that a client of the shop was compiled from."""
    return shop_file()


@pytest.fixture(scope="module")
def proxies():
    """A supervisor for the proxies of one file."""
    with Supervisor() as owner:
        yield owner


class Ports(dict):
    """Names to free ports: `ports.some_name`."""

    def __missing__(self, name):
        self[name] = free_port()
        return self[name]

    __getattr__ = dict.__getitem__


HAPROXY = """
global
  maxconn 64
defaults
  timeout connect 2s
  timeout client 5s
  timeout server 5s
  retries 0
  mode http
listen right
  bind {host}:{right} proto h2
  server up {up} proto h2
listen old
  bind {host}:{old} proto h2
  server up {up}
listen dead
  bind {host}:{dead} proto h2
  server up {gone} proto h2
listen tls
  bind {host}:{tls} ssl crt {pem} alpn h2
  server up {up} proto h2
listen no_alpn
  bind {host}:{no_alpn} ssl crt {pem} alpn http/1.1
  server up {up} proto h2
listen http1
  bind {host}:{http1}
  server up {up} proto h2
listen connections
  mode tcp
  bind {host}:{connections}
  server up {up}
"""


@pytest.fixture(scope="module")
def haproxy(need, proxies, backend, authority):
    """Ports of one HAProxy, by what is right or wrong behind each."""
    ports = Ports()
    names = ("right", "old", "dead", "tls", "no_alpn", "http1", "connections")
    paper = authority.issue("127.0.0.1")
    pem = proxies.folder / "haproxy.pem"
    pem.write_bytes(paper.cert.read_bytes() + paper.key.read_bytes())
    text = HAPROXY.format(
        host=HOST,
        up=backend.address,
        gone=f"{HOST}:{free_port()}",
        pem=pem,
        **{name: ports[name] for name in names},
    )
    config = proxies.folder / "haproxy.cfg"
    config.write_text(text)
    argv = [need("haproxy"), "-db", "-f", str(config)]
    server = proxies.server("haproxy", argv, port=ports.right)
    server.start()
    server.wait_ready()
    return lambda name: f"{HOST}:{ports[name]}"
