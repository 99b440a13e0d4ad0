"""The doctor against nginx, HAProxy and Envoy in front of a grpcio server."""

import json
import os

import pytest

from examples.servers.ports import HOST, free_port
from resilience.lab.doctor import diagnose


pytestmark = pytest.mark.real


def codes(found):
    return [finding.code for finding in found.problems]


def one(found, code):
    (finding,) = [finding for finding in found.findings if finding.code == code]
    return finding


class Ports(dict):
    """Names to free ports: `ports.some_name`."""

    def __missing__(self, name):
        self[name] = free_port()
        return self[name]

    __getattr__ = dict.__getitem__


# -- nginx --------------------------------------------------------------------------

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


# -- HAProxy ------------------------------------------------------------------------

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


# -- Envoy --------------------------------------------------------------------------

H2 = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/"
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
}


def address(port):
    return {"socket_address": {"address": HOST, "port_value": port}}


def listener(name, port):
    manager = "envoy.filters.network.http_connection_manager"
    kind = "envoy.extensions.filters.network.http_connection_manager.v3"
    router = "envoy.extensions.filters.http.router.v3.Router"
    config = {
        "@type": f"type.googleapis.com/{kind}.HttpConnectionManager",
        "stat_prefix": name,
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"type.googleapis.com/{router}"},
            }
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": name,
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": name}}],
                }
            ]
        },
    }
    return {
        "name": name,
        "address": address(port),
        "filter_chains": [{"filters": [{"name": manager, "typed_config": config}]}],
    }


def cluster(name, port, options):
    endpoint = {"endpoint": {"address": address(port)}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": options,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }


@pytest.fixture(scope="module")
def envoy(need, proxies, backend):
    """Ports of one Envoy, by what is right or wrong behind each."""
    behind = {
        "right": (backend.port, H2),
        "old": (backend.port, {}),
        "dead": (free_port(), H2),
    }
    ports = {name: free_port() for name in behind}
    config = {
        "static_resources": {
            "listeners": [listener(name, port) for name, port in ports.items()],
            "clusters": [cluster(name, *where) for name, where in behind.items()],
        }
    }
    path = proxies.folder / "envoy.json"
    path.write_text(json.dumps(config))
    argv = [need("envoy"), "-c", str(path), "--concurrency", "1", "-l", "error"]
    argv += ["--disable-hot-restart"]
    server = proxies.server("envoy", argv, port=ports["right"])
    server.start()
    server.wait_ready()
    return lambda name: f"{HOST}:{ports[name]}"


def test_envoy_in_front(envoy):
    """A right Envoy passes all, and says that it is there."""
    found = diagnose(envoy("right"))

    assert [] == codes(found)
    assert "Envoy" in one(found, "proxy-in-front").what
    assert found.has("trailers-passed")
    assert "shop.Cart" in found.services


@pytest.mark.parametrize("name", ["old", "dead"])
def test_envoy_without_a_server_to_speak_to(envoy, name):
    """Envoy answers UNAVAILABLE for a server that is down or was spoken to wrongly."""
    found = diagnose(envoy(name))

    assert ["grpc-unavailable"] == codes(found)
    assert "http2_protocol_options" in one(found, "grpc-unavailable").remedy
