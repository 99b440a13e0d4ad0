"""From a name to addresses, by the system's resolver and within a time limit.

The resolver cannot be interrupted, so it runs on a daemon thread that is left behind
when it is late.
"""

import os
import queue
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .finding import Finding
from .place import Endpoint, Place, is_literal
from .wish import TimeLeft


_PROXIES: Final = ("grpc_proxy", "https_proxy", "http_proxy")
_SPARED: Final = ("no_grpc_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a name stands for."""

    endpoints: tuple[Endpoint, ...]
    findings: tuple[Finding, ...]


def resolve(place: Place, time_left: TimeLeft) -> Resolved:
    """The endpoints of *place*, and what their number means for gRPC."""
    found: list[Finding] = []
    if not place.has_port:
        found.append(
            Finding(
                code="no-port",
                level="fact",
                what=f"the target names no port: gRPC takes {place.endpoints[0].port}",
                remedy="write the port, host:port",
            )
        )
    endpoints = place.endpoints
    if place.needs_lookup:
        answer = _look_up(place.endpoints[0], time_left.step_s())
        if isinstance(answer, Finding):
            return Resolved((), (*found, answer))
        endpoints = answer
    found.extend(_spread(place, endpoints))
    found.extend(_proxy(place))
    return Resolved(endpoints, tuple(found))


def _look_up(named: Endpoint, within_s: float) -> tuple[Endpoint, ...] | Finding:
    answers: queue.SimpleQueue[Sequence[str] | OSError | UnicodeError]
    answers = queue.SimpleQueue()

    def ask() -> None:
        try:
            rows = socket.getaddrinfo(
                named.host, named.port, type=socket.SOCK_STREAM, proto=0
            )
        except (OSError, UnicodeError) as error:
            answers.put(error)
        else:
            answers.put([str(row[4][0]) for row in rows])

    threading.Thread(target=ask, name="resilience-doctor-dns", daemon=True).start()
    try:
        answer = answers.get(timeout=within_s)
    except queue.Empty:
        return Finding(
            code="name-timeout",
            level="problem",
            what=f"no answer for the name {named.host} within {within_s:.1f} s",
            cause="the DNS server does not answer, or cannot be reached from here",
            remedy="check the resolver of this machine (resolv.conf), then try again",
        )
    if isinstance(answer, Exception):
        return _unknown(named, answer)
    return tuple(Endpoint(host, named.port) for host in dict.fromkeys(answer))


def _unknown(named: Endpoint, error: Exception) -> Finding:
    temporary = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
    if temporary:
        return Finding(
            code="name-failed",
            level="problem",
            what=f"the name {named.host} could not be resolved just now",
            evidence=str(error),
            cause="the DNS server could not be reached, or failed",
            remedy="check the resolver of this machine (resolv.conf), then try again",
        )
    return Finding(
        code="name-unknown",
        level="problem",
        what=f"the name {named.host} is unknown",
        evidence=str(error),
        cause="a typing error, a service that does not exist, or a name of another "
        "network or namespace",
        remedy="check the name; in Kubernetes write service.namespace",
    )


def _spread(place: Place, endpoints: Sequence[Endpoint]) -> list[Finding]:
    """Does all traffic go to one backend?"""
    if place.scheme == "unix":
        return []
    if len(endpoints) > 1:
        families = {":" in endpoint.host for endpoint in endpoints}
        dual = len(families) == 2 and len(endpoints) == 2
        return [
            Finding(
                code="many-addresses",
                level="fact" if dual else "advice",
                what=f"the target has {len(endpoints)} addresses; by default a channel "
                "uses the first that answers (pick_first): all calls go there",
                evidence=", ".join(map(str, endpoints)),
                cause="one machine by IPv4 and IPv6, or two backends" if dual else "",
                remedy="to use them all, set the policy round_robin: service config "
                '{"loadBalancingConfig": [{"round_robin": {}}]}',
            )
        ]
    return [_one_address(place, endpoints[0])]


def _one_address(place: Place, endpoint: Endpoint) -> Finding:
    if endpoint.host.startswith("127.") or endpoint.host == "::1":
        return Finding(
            code="one-address",
            level="fact",
            what="the target is one address, on this machine",
            evidence=str(endpoint),
        )
    headless = "" if is_literal(place.host) else " (in Kubernetes a headless service)"
    return Finding(
        code="one-address",
        level="advice",
        what="the target is one address: a channel holds one connection to it, and "
        "all calls go where that connection goes",
        evidence=str(endpoint),
        cause="where it is a balancer of connections (a Kubernetes ClusterIP, a "
        "network load balancer), one backend gets all the traffic of a channel",
        remedy=f"several backends? Resolve to all of them{headless} and "
        "use round_robin, or balance in a proxy that speaks HTTP/2; else set "
        "max_connection_age on the server so that connections move",
    )


def _proxy(place: Place) -> list[Finding]:
    """What gRPC itself reads, in its order."""
    if place.scheme != "dns":
        return []
    for name in _PROXIES:
        value = os.environ.get(name, "")
        if not value:
            continue
        spared = ",".join(os.environ.get(key, "") for key in _SPARED)
        host = place.host
        if any(
            part.strip() and host.endswith(part.strip()) for part in spared.split(",")
        ):
            return []
        return [
            Finding(
                code="http-proxy-set",
                level="advice",
                what=f"{name} is set: a gRPC channel goes through that HTTP proxy, "
                "while this examination connects directly",
                # The value may hold a password.
                evidence=f"{name} is set, no_proxy does not name {host}",
                remedy=f"inside your own network, add {host} to no_proxy",
            )
        ]
    return []
