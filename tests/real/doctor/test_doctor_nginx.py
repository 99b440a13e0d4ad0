"""The doctor against an nginx in front of a grpcio server."""

import os

import pytest

from examples.servers.ports import HOST, free_port
from resilience.lab.doctor import diagnose
from tests.real.doctor.conftest import Ports
from tests.real.doctor.found import codes, one


pytestmark = pytest.mark.real

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
{user}
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  ssl_certificate {cert};
  ssl_certificate_key {key};
  server {{ listen {host}:{right} http2; location / {{ grpc_pass grpc://{up}; }} }}
  server {{ listen {host}:{plain} http2; location / {{ proxy_pass http://{up}; }} }}
  server {{ listen {host}:{old}; location / {{ grpc_pass grpc://{up}; }} }}
  server {{ listen {host}:{dead} http2; location / {{ grpc_pass grpc://{gone}; }} }}
  server {{ listen {host}:{site} http2; location / {{ return 404; }} }}
  server {{ listen {host}:{tls} ssl http2; location / {{ grpc_pass grpc://{up}; }} }}
  server {{ listen {host}:{tls_old} ssl; location / {{ grpc_pass grpc://{up}; }} }}
  server {{
    listen {host}:{hop} http2;
    location / {{
      proxy_http_version 1.1;
      proxy_set_header TE trailers;
      proxy_pass http://{http1};
    }}
  }}
  server {{
    listen {host}:{brief} http2;
    keepalive_requests 1;
    location / {{ grpc_pass grpc://{up}; }}
  }}
  server {{
    listen {host}:{asking} ssl http2;
    ssl_client_certificate {root};
    ssl_verify_client optional;
    location / {{ grpc_pass grpc://{up}; }}
  }}
  server {{
    listen {host}:{mutual} ssl http2;
    ssl_client_certificate {root};
    ssl_verify_client on;
    location / {{ grpc_pass grpc://{up}; }}
  }}
}}
"""


@pytest.fixture(scope="module")
def nginx(need, proxies, backend, haproxy, authority):
    """Ports of one nginx, by what is right or wrong behind each."""
    ports = Ports()
    names = ("right", "plain", "old", "dead", "site", "tls", "tls_old", "mutual")
    names += ("asking", "hop", "brief")
    paper = authority.issue("127.0.0.1")
    text = NGINX.format(
        folder=proxies.folder,
        host=HOST,
        up=backend.address,
        http1=haproxy("http1"),
        gone=f"{HOST}:{free_port()}",
        cert=paper.cert,
        key=paper.key,
        root=authority.root,
        user="user root;" if os.geteuid() == 0 else "",
        **{name: ports[name] for name in names},
    )
    config = proxies.folder / "nginx.conf"
    config.write_text(text)
    argv = [need("nginx"), "-c", str(config), "-p", str(proxies.folder)]
    server = proxies.server("nginx", argv, port=ports.right)
    server.start()
    server.wait_ready()
    return lambda name: f"{HOST}:{ports[name]}"


def test_nginx_with_grpc_pass(nginx):
    """A right nginx passes calls and trailers, and is seen to be there."""
    found = diagnose(nginx("right"))

    assert [] == codes(found)
    assert "nginx" in one(found, "proxy-in-front").what
    assert found.has("trailers-passed")
    assert found.has("health-serving")
    assert "shop.Cart" in found.services


def test_nginx_with_proxy_pass(nginx):
    """proxy_pass speaks HTTP/1 to the server; the remedy names grpc_pass."""
    found = diagnose(nginx("plain"))

    assert ["http-not-grpc"] == codes(found)
    assert "grpc_pass" in one(found, "http-not-grpc").remedy


def test_nginx_without_http2(nginx):
    """A `listen` without http2 is HTTP/1; the remedy says where to write it."""
    found = diagnose(nginx("old"))

    assert ["http1-peer"] == codes(found)
    assert "http2" in one(found, "http1-peer").remedy
    assert "nginx" in one(found, "http1-peer").cause


def test_nginx_with_a_dead_server(nginx):
    """An nginx answers for a server that is down."""
    found = diagnose(nginx("dead"))

    assert ["http-not-grpc"] == codes(found)
    assert ":status 502" in one(found, "http-not-grpc").evidence
    assert "down" in one(found, "http-not-grpc").cause


def test_nginx_as_a_web_site(nginx):
    """A page that is not there is no gRPC server."""
    found = diagnose(nginx("site"))

    assert ["http-not-grpc"] == codes(found)
    assert "no gRPC server" in one(found, "http-not-grpc").cause


def test_nginx_that_drops_trailers(nginx):
    """A hop of HTTP/1 in the middle: answers come through, their status does not."""
    found = diagnose(nginx("hop"))

    assert "trailers-lost" == codes(found)[0]
    assert "grpc_pass" in one(found, "trailers-lost").remedy


def test_nginx_that_ends_connections_early(nginx):
    """GOAWAY after one request is worth advice; what was accepted is still heard."""
    found = diagnose(nginx("brief"))

    assert [] == codes(found)
    assert "keepalive_requests" in one(found, "goaway").remedy
    assert found.has("grpc-spoken")
    assert found.has("health-serving")


def test_nginx_with_tls(nginx, authority):
    """TLS that ends in nginx."""
    found = diagnose(nginx("tls"), ca=authority.root)

    assert [] == codes(found)
    assert found.has("health-serving")


def test_nginx_with_tls_without_http2(nginx, authority):
    """TLS without ALPN h2 is what a client would fail on."""
    found = diagnose(nginx("tls_old"), ca=authority.root)

    assert ["alpn-without-h2", "http1-peer"] == codes(found)


def test_nginx_with_mutual_tls(nginx, authority, stranger):
    """An nginx demands the certificate by an HTTP answer."""
    paper, strange = authority.issue("client"), stranger.issue("client")
    root = authority.root
    good = diagnose(nginx("mutual"), ca=root, cert=paper.cert, key=paper.key)
    bad = diagnose(nginx("mutual"), ca=root, cert=strange.cert, key=strange.key)

    assert ["client-certificate-demanded"] == codes(diagnose(nginx("mutual"), ca=root))
    assert [] == codes(good)
    assert ["client-certificate-refused"] == codes(bad)


def test_nginx_that_would_like_a_certificate(nginx, authority):
    """A certificate that is asked for and not demanded is only a fact.

    Pins `SSLContext._msg_callback`, which is private.
    """
    found = diagnose(nginx("asking"), ca=authority.root)

    assert [] == codes(found)
    assert "does without" in one(found, "client-certificate-asked").what
