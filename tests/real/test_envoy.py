# ruff: noqa: E501 - one end of an RPC, one line
"""Envoy's ways to end a call, each produced by Envoy: what they mean to us.

Envoy signs what it says itself, so nothing here needs trust in the details. A reply
with a text that an operator has put there (`direct_response`) may be anything that
Envoy says, a reset included: it is not believed to be unsent.
"""

import contextlib
from typing import NamedTuple

import pytest

from examples.servers.supervisor import Supervisor
from tests.grpc.peers.calling import end, meaning
from tests.grpc.peers.envoy import ALWAYS, Envoy, per_route, rate_limit, speaks_tls
from tests.grpc.peers.http2 import (
    Peer,
    Then,
    goaway,
    grpc_headers,
    headers,
    http_status,
    message,
    rst,
    trailers,
)
from tests.grpc.peers.lines import Lines


pytestmark = pytest.mark.real


class Row(NamedTuple):
    name: str
    code: str
    kind: str
    reached: str
    flags: str = ""
    script: object = None
    """What the upstream does; None: the route is set up by hand below."""
    doubted: str = ""
    """What reached is without trust; empty: the same."""


def healthy(stream):
    return [grpc_headers(stream), message(stream, b"a"), trailers(stream, 0)]


def says(status, words):
    """An answer whose status comes in one frame with its headers."""
    return lambda stream: [
        headers(
            stream,
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", str(status)),
            ("grpc-message", words),
            ends=True,
        )
    ]


ROWS = [
    Row("refused", "UNAVAILABLE", "transport", "no"),
    Row("tls", "UNAVAILABLE", "transport", "no"),
    Row("rst-0", "UNAVAILABLE", "transport", "maybe", "", lambda s: [rst(s, 0)]),
    Row("rst-1", "UNAVAILABLE", "transport", "maybe", "", lambda s: [rst(s, 1)]),
    Row("rst-2", "UNAVAILABLE", "transport", "maybe", "", lambda s: [rst(s, 2)]),
    Row("rst-7", "UNAVAILABLE", "transport", "no", "unprocessed", lambda s: [rst(s, 7)]),
    Row("rst-8", "UNAVAILABLE", "transport", "maybe", "", lambda s: [rst(s, 8)]),
    Row("rst-11", "UNAVAILABLE", "transport", "maybe", "", lambda s: [rst(s, 11)]),
    Row("goaway-unprocessed", "UNAVAILABLE", "transport", "no", "unprocessed", lambda s: [goaway(0), Then.CLOSE]),
    Row("goaway-accepted", "UNAVAILABLE", "transport", "maybe", "", lambda s: [goaway(s), Then.CLOSE]),
    Row("fin", "UNAVAILABLE", "transport", "maybe", "", lambda s: [Then.CLOSE]),
    Row("tcp-rst", "UNAVAILABLE", "transport", "maybe", "", lambda s: [Then.RESET]),
    Row("http-1", "UNAVAILABLE", "transport", "maybe"),
    Row("overflow", "UNAVAILABLE", "overload", "no", "throttled"),
    Row("no-hosts", "UNAVAILABLE", "transport", "no"),
    Row("no-cluster", "UNAVAILABLE", "transport", "no"),
    Row("no-route", "UNIMPLEMENTED", "permanent", "no"),
    Row("timeout", "UNAVAILABLE", "transport", "maybe"),
    Row("per-try-timeout", "UNAVAILABLE", "transport", "maybe"),
    Row("idle-timeout", "UNAVAILABLE", "transport", "maybe"),
    Row("max-duration", "DEADLINE_EXCEEDED", "transport", "maybe"),
    Row("limited", "UNAVAILABLE", "overload", "no", "throttled"),
    Row("exhausted", "RESOURCE_EXHAUSTED", "overload", "no", "throttled"),
    Row("abort", "UNAVAILABLE", "transport", "no"),
    Row("direct", "UNAVAILABLE", "transport", "maybe"),
    Row("direct-500", "UNKNOWN", "transport", "maybe"),
    Row("direct-401", "UNAUTHENTICATED", "permanent", "no"),
    Row("direct-403", "PERMISSION_DENIED", "permanent", "no"),
    Row("rbac", "PERMISSION_DENIED", "permanent", "no"),
    Row("too-large", "UNKNOWN", "permanent", "no"),
    Row("dies-after-headers", "INTERNAL", "transport", "maybe", "", lambda s: [grpc_headers(s), Then.CLOSE]),
    Row("rst-after-headers", "INTERNAL", "transport", "maybe", "", lambda s: [grpc_headers(s), rst(s, 7)]),
    Row("page-503", "UNAVAILABLE", "overload", "no", "", lambda s: [http_status(s, 503)], "maybe"),
    Row("page-502", "UNAVAILABLE", "transport", "maybe", "", lambda s: [http_status(s, 502)]),
    # The application's own words, whatever they are.
    Row("says-no-upstream", "UNAVAILABLE", "application", "yes", "", says(14, "no healthy upstream")),
    Row("says-refused", "UNAVAILABLE", "application", "yes", "", says(14, "failed to connect to all addresses")),
    Row("says-limited", "RESOURCE_EXHAUSTED", "application", "yes", "", says(8, "local_rate_limited")),
    Row("says-later", "UNAVAILABLE", "application", "yes", "", lambda s: [grpc_headers(s), trailers(s, 14, "no healthy upstream")]),
    Row("not-found", "NOT_FOUND", "application", "yes", "", says(5, "no such cart")),
    Row("unknown", "UNKNOWN", "application", "yes", "", says(2, "Exception calling application")),
]  # fmt: skip  # a table: one row, one line
DENY = {"permissions": [{"any": True}], "principals": [{"any": True}]}


@pytest.fixture(scope="module")
def envoy(need, refused):
    """The address of an Envoy with a route for each row."""
    made = Envoy()
    with contextlib.ExitStack() as stack:

        def peer(script):
            return stack.enter_context(Peer(script)).address

        for row in ROWS:
            if row.script is not None:
                made.upstream(row.name, peer(row.script))
                made.route(row.name, row.name)
        made.upstream("healthy", peer(healthy))
        made.upstream("hanging", peer(lambda stream: []))
        _unreachable(made, refused, peer(healthy), stack)
        _out_of_time(made)
        _by_filters(made)
        supervisor = stack.enter_context(Supervisor())
        made.start(supervisor, need("envoy"))
        for name in ("limited", "exhausted"):
            assert end(made.address, method=f"/{name}/Put").error is None  # the one
        yield made.address


@pytest.fixture(scope="module")
def refused():
    """An address where nothing listens."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def _unreachable(made, refused, healthy_address, stack):
    made.upstream("refused", refused)
    made.upstream("tls", healthy_address, **speaks_tls())
    http_1 = stack.enter_context(Lines(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    made.upstream("http-1", http_1.address)
    none = {"thresholds": [{"max_requests": 0}]}
    made.upstream("overflow", healthy_address, circuit_breakers=none)
    made.upstream("no-hosts", None)
    for name in ("refused", "tls", "http-1", "overflow", "no-hosts"):
        made.route(name, name)
    made.route("no-cluster", "not-there")


def _out_of_time(made):
    once = {"retry_on": "cancelled", "num_retries": 0, "per_try_timeout": "0.05s"}
    made.route("timeout", "hanging", timeout="0.05s")
    made.route("per-try-timeout", "hanging", retry_policy=once)
    made.route("idle-timeout", "hanging", idle_timeout="0.05s")
    longest = {"max_stream_duration": "0.05s"}
    made.route("max-duration", "hanging", max_stream_duration=longest)


def _by_filters(made):
    made.route("limited", "healthy", rate_limit())
    as_exhausted = rate_limit(rate_limited_as_resource_exhausted=True)
    made.route("exhausted", "healthy", as_exhausted)
    abort = {"http_status": 503, "percentage": ALWAYS}
    made.route("abort", "healthy", per_route("fault", "HTTPFault", abort=abort))
    rules = {"rules": {"action": "DENY", "policies": {"all": DENY}}}
    made.route("rbac", "healthy", per_route("rbac", "RBACPerRoute", rbac=rules))
    small = {"max_request_bytes": 10}
    made.route(
        "too-large", "healthy", per_route("buffer", "BufferPerRoute", buffer=small)
    )
    made.direct("direct", 503, "closed today")
    made.direct("direct-500", 500, "a fault")
    made.direct("direct-401", 401, "Jwt is missing")
    made.direct("direct-403", 403, "not you")


@pytest.mark.parametrize("how", ["call", "future", "aio.call"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_end_at_envoy_has_its_meaning(row, how, envoy):
    """Envoy's own replies are told from the application's, and mean what they say."""
    # Several frames where Envoy is to look at its limit between them.
    request = b"a" * (50_000 if row.name == "too-large" else 1)
    ended = end(envoy, how, method=f"/{row.name}/Put", request=request)
    doubted = meaning(ended.doubted)

    assert row[1:5] == ended.meaning
    assert (row.code, row.kind, row.doubted or row.reached) == doubted[:3]


@pytest.mark.parametrize("how", ["unary_stream", "stream_stream", "aio.stream_stream"])
@pytest.mark.parametrize("name", ["refused", "rst-7", "fin", "overflow", "not-found"])
def test_streams_end_at_envoy_as_calls_do(name, how, envoy):
    """Who streams makes no difference to what Envoy says."""
    row = next(row for row in ROWS if row.name == name)
    ended = end(envoy, how, method=f"/{name}/Put")

    assert row[1:5] == ended.meaning


def test_the_report_can_name_who_answered(envoy):
    """Envoy's signature is kept with the outcome."""
    ended = end(envoy, method="/no-hosts/Put")

    assert ("via", "envoy") in ended.outcome.ids
