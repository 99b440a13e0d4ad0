"""What was heard over HTTP/2 means: is it gRPC, and who answers? Pure."""

import re
import urllib.parse
from collections.abc import Iterator
from typing import Final

from .finding import Finding, shown
from .speaking import HEALTH, UNKNOWN, Answer, Heard


_PROXIES: Final = {
    # A part of the `server` header, to who that is.
    "envoy": "Envoy",
    "nginx": "nginx",
    "openresty": "nginx",
    "haproxy": "HAProxy",
    "awselb": "an AWS load balancer",
    "cloudflare": "Cloudflare",
    "google frontend": "Google's front end",
    "apache": "Apache",
    "caddy": "Caddy",
    "kestrel": "Kestrel (.NET)",
}

_NO_LIMIT: Final = 2**31 - 1
_UNAVAILABLE: Final = {
    "4": "DEADLINE_EXCEEDED",
    "8": "RESOURCE_EXHAUSTED",
    "14": "UNAVAILABLE",
}

_REMEDIES: Final = {
    "nginx": "in its `location`, `grpc_pass grpc://host:port` (not proxy_pass); check "
    "that the upstream runs and speaks HTTP/2",
    "HAProxy": "give the backend's `server` line `proto h2` (with TLS: `alpn h2`); "
    "check that the upstream runs",
    "Envoy": "check the route, and that the cluster has http2_protocol_options; "
    "Envoy's access log has the response flags",
}
_ANY_REMEDY: Final = (
    "let the proxy speak HTTP/2 to the server behind it, check its route and that the "
    "server runs"
)

# HAProxy names itself nowhere; its built-in error pages begin like this.
_HAPROXY_PAGE: Final = re.compile(rb"<html><body><h1>\d{3} [A-Z][\w ]+</h1>\n")

_HTTP2_REMEDIES: Final = {
    "nginx": "nginx: switch HTTP/2 on, `listen PORT http2;` (from 1.25.1 on "
    "`http2 on;`), and use grpc_pass",
    "HAProxy": "HAProxy: `bind ... proto h2` (with TLS: `alpn h2`)",
}


def in_front(heard: Heard) -> str:
    """Which known proxy answered; empty: none that says so."""
    for answer in heard.answers.values():
        for name, value in (*answer.headers, *answer.trailers):
            if name == "server":
                return _proxy(value)
        if _HAPROXY_PAGE.match(answer.body):
            return "HAProxy"
    return _proxy(heard.http1) or _proxy(heard.first_bytes.decode("latin-1"))


def is_grpc(heard: Heard) -> bool:
    """Whether the peer gave at least one call a gRPC status."""
    return any(answer.value("grpc-status") for answer in heard.answers.values())


def is_available(heard: Heard) -> bool:
    """Whether it is worth asking a gRPC server there for more."""
    unknown = heard.answers.get(UNKNOWN, Answer())
    return is_grpc(heard) and unknown.value("grpc-status") not in _UNAVAILABLE


def judge_http2(heard: Heard) -> Iterator[Finding]:
    """What is right and wrong with a peer's HTTP/2 and the gRPC on it."""
    if not heard.has_settings:
        yield _no_http2(heard)
        return
    most = heard.max_concurrent_streams
    yield Finding(
        code="http2-spoken",
        level="fact",
        what="the server speaks HTTP/2",
        evidence=""
        if most is None or most >= _NO_LIMIT
        else f"at most {most} calls at a time on one connection",
    )
    proxy = in_front(heard)
    if proxy:
        yield Finding(
            code="proxy-in-front",
            level="fact",
            what=f"{proxy} answers (it may speak for a server behind it)",
            evidence=f"server: {_server(heard)}" if _server(heard) else "",
        )
    yield from _goaway(heard)
    trailers = list(_trailers(heard, proxy))
    if is_grpc(heard):
        yield from _statuses(heard)
    elif not trailers:
        yield _no_grpc(heard, proxy)
    yield from trailers


def _no_http2(heard: Heard) -> Finding:
    first = heard.first_bytes
    if first.startswith((b"HTTP/", b"<")) or heard.http1:
        proxy = in_front(heard)
        return Finding(
            code="http1-peer",
            level="problem",
            what="the peer speaks HTTP/1, not HTTP/2",
            evidence=heard.http1 or shown(first.partition(b"\r\n")[0], 120),
            cause="a web server, a REST port, or a proxy without HTTP/2"
            if not proxy
            else f"{proxy} listens there without HTTP/2",
            remedy=_HTTP2_REMEDIES.get(
                proxy, "use the gRPC port, or switch HTTP/2 on at the proxy"
            ),
        )
    if first[:2] in (b"\x15\x03", b"\x16\x03"):
        return Finding(
            code="tls-needed",
            level="problem",
            what="the server answers plaintext with TLS",
            evidence=shown(first[:7].hex(" ")),
            cause="the port is for TLS",
            remedy="use grpc.secure_channel",
        )
    if first:
        return Finding(
            code="not-http2",
            level="problem",
            what="the peer does not speak HTTP/2",
            evidence=shown(first, 80),
            cause="another protocol's port",
            remedy="check the port",
        )
    silent = heard.end == "timed out"
    return Finding(
        code="http2-silent" if silent else "http2-cut-off",
        level="problem",
        what="the peer accepts the connection and says nothing"
        if silent
        else "the peer ends the connection without a word",
        evidence=heard.end,
        cause="a server that hangs, a balancer with no backend, or another protocol"
        if silent
        else "a port for TLS, a balancer with no backend, or a server that dies",
        remedy="look at the server, and at what stands in front of it",
    )


def _goaway(heard: Heard) -> Iterator[Finding]:
    if heard.goaway is None:
        return
    pings = "too_many_pings" in heard.goaway_text
    yield Finding(
        code="goaway",
        level="problem" if pings or heard.goaway else "advice",
        what="the server ends the connection (GOAWAY)",
        evidence=f"error code {heard.goaway} {heard.goaway_text}".strip(),
        cause="clients send keepalive pings more often than the server allows"
        if pings
        else "it shuts down, or lets connections live for few requests only"
        if not heard.goaway
        else "it finds this connection at fault",
        remedy="raise grpc.keepalive_time_ms, or lower the server's "
        "grpc.http2.min_ping_interval_without_data_ms"
        if pings
        else "nginx: raise keepalive_requests"
        if not heard.goaway
        else "look at the server's log",
    )


def _statuses(heard: Heard) -> Iterator[Finding]:
    unknown = heard.answers.get(UNKNOWN, Answer())
    status = unknown.value("grpc-status")
    message = urllib.parse.unquote(unknown.value("grpc-message"))
    said = f"grpc-status {status or 'missing'} {message}".strip()
    if status == "12":
        yield Finding(
            code="grpc-spoken",
            level="fact",
            what="the server speaks gRPC",
            evidence=f"an unknown method got {said}",
        )
    elif status in ("7", "16"):
        yield Finding(
            code="credentials-demanded",
            level="advice",
            what="the server speaks gRPC and wants credentials before it answers",
            evidence=f"an unknown method got {said}",
            remedy="calls need credentials (a token, a key); this examination has none",
        )
    elif status in _UNAVAILABLE:
        yield Finding(
            code="grpc-unavailable",
            level="problem",
            what=f"gRPC is spoken there, and a call gets {_UNAVAILABLE[status]}",
            evidence=f"an unknown method got {said}",
            cause=_behind(message),
            remedy=_REMEDIES.get(
                in_front(heard), "look at the server, and at a proxy in front of it"
            ),
        )
    else:
        yield Finding(
            code="grpc-odd",
            level="advice",
            what="an unknown method was not answered with UNIMPLEMENTED (12)",
            evidence=said,
            cause="a gateway or a catch-all handler takes every method",
        )
    kind = unknown.value("content-type")
    if kind and not kind.startswith("application/grpc"):
        yield Finding(
            code="content-type",
            level="advice",
            what="a gRPC status came with another content type",
            evidence=kind,
            remedy="answer with content-type application/grpc",
        )


def _behind(message: str) -> str:
    if "protocol error" in message:
        return "a proxy does not speak HTTP/2 to the server behind it"
    if "connection failure" in message or "no healthy upstream" in message:
        return "a proxy answers for a server that is down"
    return "the server, or one behind a proxy, is down, overloaded or slow"


def _no_grpc(heard: Heard, proxy: str) -> Finding:
    answer = heard.answers.get(UNKNOWN, Answer())
    status, kind = answer.value(":status"), answer.value("content-type")
    remedy = _REMEDIES.get(proxy, _ANY_REMEDY)
    if not answer.headers:
        how = f"RST_STREAM {answer.reset}" if answer.reset is not None else heard.end
        return Finding(
            code="grpc-no-answer",
            level="problem",
            what="a call over HTTP/2 gets no answer",
            evidence=how,
            cause="a server that is no gRPC server, or one that hangs",
            remedy=remedy,
        )
    body = f"; {shown(answer.body, 120)}" if answer.body else ""
    evidence = f":status {status}, content-type {kind or 'missing'}{body}"
    if status == "400" and b"SSL certificate" in answer.body:
        return _client_certificate(answer, evidence)
    if status in ("401", "403"):
        return Finding(
            code="http-forbidden",
            level="problem",
            what=f"a call gets HTTP {status} instead of a gRPC status",
            evidence=evidence,
            cause="something in front of the server wants credentials, or forbids this",
            remedy="give it the credentials that it wants, or open the route",
        )
    if status == "404":
        cause = "an HTTP server that has no such page: no gRPC server, or no route"
        remedy = "check the port; route paths like /package.Service/ to the gRPC server"
    elif status in ("502", "503", "504"):
        cause = "a proxy gets no gRPC from the server behind it: that one is down, or "
        cause += "the proxy speaks HTTP/1.1 to it"
    elif not status.isdigit() or int(status) < 100:
        cause = "a proxy took HTTP/2 for HTTP/1: it speaks HTTP/1.1 to a gRPC server"
    else:
        cause = "an HTTP server that does not speak gRPC"
    return Finding(
        code="http-not-grpc",
        level="problem",
        what="a call gets an HTTP answer without a gRPC status",
        evidence=evidence,
        cause=cause,
        remedy=remedy,
    )


def _client_certificate(answer: Answer, evidence: str) -> Finding:
    """What an nginx that shakes hands with anybody says in an HTTP answer."""
    if b"No required SSL certificate" in answer.body:
        return Finding(
            code="client-certificate-demanded",
            level="problem",
            what="the server demands a client certificate (mutual TLS)",
            evidence=evidence,
            cause="none was given",
            remedy="give --cert and --key; in code: grpc.ssl_channel_credentials("
            "root, private_key, certificate_chain)",
        )
    return Finding(
        code="client-certificate-refused",
        level="problem",
        what="the server does not accept the client certificate",
        evidence=evidence,
        cause="it is signed by a root that the server does not trust, or has expired",
        remedy="use one from the authority that the server trusts",
    )


def _trailers(heard: Heard, proxy: str) -> Iterator[Finding]:
    """Only an answer with data shows whether trailers come through."""
    for path, answer in heard.answers.items():
        grpc = answer.value("content-type").startswith("application/grpc")
        if not (grpc and answer.body and answer.has_ended):
            continue
        if answer.value("grpc-status"):
            yield Finding(
                code="trailers-passed",
                level="fact",
                what="trailers come through",
                evidence=f"{'health' if path == HEALTH else 'reflection'} ended with "
                f"grpc-status {answer.value('grpc-status')} behind its data",
            )
        else:
            yield Finding(
                code="trailers-lost",
                level="problem",
                what="data comes through and its trailers do not: gRPC sees no status",
                evidence=f"{path} ended without grpc-status"
                + ("" if answer.reset is None else f" (RST_STREAM {answer.reset})"),
                cause="a proxy that speaks HTTP/1.1 or drops trailers",
                remedy=_REMEDIES.get(proxy, _ANY_REMEDY),
            )
        return


def _proxy(server: str) -> str:
    text = server.lower()
    return next((who for part, who in _PROXIES.items() if part in text), "")


def _server(heard: Heard) -> str:
    values = (answer.value("server") for answer in heard.answers.values())
    return next((value for value in values if value), "")
