"""The doctor against an Envoy in front of a grpcio server."""

import json

import pytest

from examples.servers.ports import HOST, free_port
from resilience.lab.doctor import diagnose
from tests.real.doctor.found import codes, one


pytestmark = pytest.mark.real

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
