"""A gRPC target as text, taken apart (gRPC's naming document, "Name Syntax").

Pure: nothing is looked up here. A text that names no place is a `ValueError`, which
is wrong use and no finding.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Literal


DEFAULT_PORT: Final = 443
"""The port that gRPC takes where a target has none."""

Scheme = Literal["dns", "ipv4", "ipv6", "unix"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One thing to connect to: a host with a port, or a path of a socket."""

    host: str
    """A name, a literal address without brackets, or a path for `port` 0."""
    port: int
    """1 to 65535; 0 for a Unix socket."""

    def __str__(self) -> str:
        if not self.port:
            return f"unix:{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A target, taken apart."""

    target: str
    """What grpcio is given."""
    scheme: Scheme
    endpoints: tuple[Endpoint, ...]
    """One for `dns` and `unix`, one or more for `ipv4` and `ipv6`."""
    has_port: bool = True
    """Whether the target named its port."""

    @property
    def host(self) -> str:
        """The name that TLS asks for where nothing else is said."""
        return "localhost" if self.scheme == "unix" else self.endpoints[0].host

    @property
    def needs_lookup(self) -> bool:
        """Whether a resolver has to be asked."""
        return self.scheme == "dns" and not is_literal(self.endpoints[0].host)


def is_literal(host: str) -> bool:
    """Whether *host* is an IP address."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def parse(target: str) -> Place:
    """Take *target* apart.

    Raises:
        ValueError: it is empty, has a scheme that cannot be examined, or a bad port.
    """
    if not target or not target.isprintable() or " " in target:
        msg = "a target is printable text without spaces, such as host:port"
        raise ValueError(msg)
    scheme, rest = _scheme(target)
    if scheme == "unix":
        return _unix(target, rest)
    if scheme == "dns":
        endpoint, has_port = _endpoint(rest)
        return Place(
            target=target, scheme="dns", endpoints=(endpoint,), has_port=has_port
        )
    pairs = [_endpoint(part) for part in rest.split(",")]
    wanted = 4 if scheme == "ipv4" else 6
    for endpoint, _ in pairs:
        if not is_literal(endpoint.host) or _version(endpoint.host) != wanted:
            msg = f"{endpoint.host!r} is no {scheme} address"
            raise ValueError(msg)
    return Place(
        target=target,
        scheme=scheme,
        endpoints=tuple(endpoint for endpoint, _ in pairs),
        has_port=all(has_port for _, has_port in pairs),
    )


def _scheme(target: str) -> tuple[Scheme, str]:
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):(?!\d+$)(.*)", target)
    if match is None:
        return "dns", target
    scheme, rest = match[1].lower(), match[2]
    match scheme:
        case "dns":
            # dns:host, dns:///host, dns://resolver/host
            return "dns", re.sub(r"^//[^/]*/", "", rest)
        case "ipv4" | "ipv6":
            return scheme, re.sub(r"^/{1,3}", "", rest)
        case "unix":
            return "unix", rest.removeprefix("//")
        case "http" | "https" | "grpc" | "grpcs":
            msg = f"a target is no URL: write host:port without {scheme}://"
        case _:
            msg = f"{scheme}: cannot be examined; give the address that it stands for"
    raise ValueError(msg)


def _unix(target: str, path: str) -> Place:
    if not path:
        msg = "unix: needs the path of a socket"
        raise ValueError(msg)
    return Place(target=target, scheme="unix", endpoints=(Endpoint(path, 0),))


def _endpoint(text: str) -> tuple[Endpoint, bool]:
    """Host and port of *text*, and whether the port was in it."""
    match = re.fullmatch(r"\[([^\[\]]+)\](?::(.*))?", text)
    if match:
        host, port = match[1], match[2]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:  # no port: a name, or an IPv6 address without brackets
        host, port = text, None
    if not host or "/" in host or (":" in host and not is_literal(host)):
        msg = f"{text!r} names no host: write host:port or [ipv6]:port"
        raise ValueError(msg)
    if port is None:
        return Endpoint(host, DEFAULT_PORT), False
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        msg = f"{port!r} is no port: a number from 1 to 65535 goes there"
        raise ValueError(msg)
    return Endpoint(host, int(port)), True


def _version(host: str) -> int:
    return ipaddress.ip_address(host.partition("%")[0]).version
