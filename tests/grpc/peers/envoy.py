"""Envoy in front of scripted peers: one route for each way in which it can answer.

A route is chosen by the service in the path (`/refused/Put`), so one process with one
listener serves every test of a module.
"""

import json
from typing import Any

from examples.servers.ports import free_port
from examples.servers.supervisor import Server, Supervisor


_HTTP = "type.googleapis.com/envoy.extensions.filters.http"
_UPSTREAM = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


class Envoy:
    """A configuration that grows route by route, then a process."""

    def __init__(self) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._clusters: list[dict[str, Any]] = []
        self._routes: list[dict[str, Any]] = []

    def upstream(self, name: str, address: str | None, **more: Any) -> None:
        """Send the service *name* to *address*; None: a cluster without hosts."""
        hosts = [] if address is None else [_endpoint(address)]
        cluster = {
            "name": name,
            "type": "STATIC",
            "connect_timeout": "1s",
            "typed_extension_protocol_options": {_UPSTREAM: _h2()},
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{"lb_endpoints": hosts}],
            },
        }
        self._clusters.append(cluster | more)

    def route(
        self,
        name: str,
        cluster: str,
        filters: dict[str, Any] | None = None,
        **action: Any,
    ) -> None:
        """Send the service *name* to *cluster*; *filters*: this route's own ones."""
        route = {"cluster": cluster, "timeout": "0s", **action}
        self._add(name, {"route": route}, filters)

    def direct(self, name: str, status: int, body: str) -> None:
        """Answer the service *name* without any upstream."""
        response = {"status": status, "body": {"inline_string": body}}
        self._add(name, {"direct_response": response}, None)

    def _add(self, name: str, action: dict[str, Any], filters: Any) -> None:
        route = {"match": {"prefix": f"/{name}/"}, **action}
        if filters:
            route["typed_per_filter_config"] = filters
        self._routes.append(route)

    def start(self, supervisor: Supervisor, program: str) -> Server:
        """Start it, and wait until it listens."""
        path = supervisor.folder / "envoy.json"
        path.write_text(json.dumps(self._config()))
        argv = [program, "-c", str(path), "--disable-hot-restart"]
        argv += ["--concurrency", "1", "--log-level", "warn"]
        server = supervisor.server("envoy", argv, port=self.port)
        server.start()
        server.wait_ready()
        return server

    def _config(self) -> dict[str, Any]:
        hosts = {"name": "all", "domains": ["*"], "routes": self._routes}
        manager = {
            "@type": "type.googleapis.com/envoy.extensions.filters.network."
            "http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "in",
            "codec_type": "HTTP2",
            "route_config": {"virtual_hosts": [hosts], "validate_clusters": False},
            "http_filters": _FILTERS,
        }
        name = "envoy.filters.network.http_connection_manager"
        chain = {"filters": [{"name": name, "typed_config": manager}]}
        listener = {
            "name": "in",
            "address": _address(self.address),
            "filter_chains": [chain],
        }
        return {
            "static_resources": {"listeners": [listener], "clusters": self._clusters}
        }


def per_route(kind: str, message: str, **config: Any) -> dict[str, Any]:
    """What one route sets for the HTTP filter *kind*."""
    full = {"@type": f"{_HTTP}.{kind}.v3.{message}", **config}
    return {f"envoy.filters.http.{kind}": full}


def _filter(kind: str, message: str, **config: Any) -> dict[str, Any]:
    full = {"@type": f"{_HTTP}.{kind}.v3.{message}", **config}
    return {"name": f"envoy.filters.http.{kind}", "typed_config": full}


_FILTERS = [
    _filter("rbac", "RBAC"),
    _filter("local_ratelimit", "LocalRateLimit", stat_prefix="limit"),
    _filter("fault", "HTTPFault"),
    _filter("buffer", "Buffer", max_request_bytes=1_000_000),
    _filter("router", "Router"),
]
ONE_IN_A_DAY = {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "86400s"}
ALWAYS = {"numerator": 100, "denominator": "HUNDRED"}


def rate_limit(**more: Any) -> dict[str, Any]:
    """A route that lets one request through in a day."""
    return per_route(
        "local_ratelimit",
        "LocalRateLimit",
        stat_prefix="limit",
        token_bucket=ONE_IN_A_DAY,
        filter_enabled={"default_value": ALWAYS},
        filter_enforced={"default_value": ALWAYS},
        **more,
    )


def _address(address: str) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def _endpoint(address: str) -> dict[str, Any]:
    return {"endpoint": {"address": _address(address)}}


def _h2() -> dict[str, Any]:
    return {
        "@type": f"type.googleapis.com/{_UPSTREAM}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }


def speaks_tls() -> dict[str, Any]:
    """What a cluster needs to speak TLS to its hosts."""
    context = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    typed = {"@type": f"type.googleapis.com/{context}"}
    name = "envoy.transport_sockets.tls"
    return {"transport_socket": {"name": name, "typed_config": typed}}
