"""Ways in which nginx ends a call, each produced by nginx: what they mean to us.

nginx speaks HTTP: before an answer has begun it says 502 to everything that goes wrong
behind it, processed or not. It signs an application's answers as well as its own.
"""

import contextlib
import socket
from typing import NamedTuple

import pytest

from examples.servers.supervisor import Supervisor
from tests.grpc.peers.calling import end
from tests.grpc.peers.http2 import (
    Peer,
    Then,
    goaway,
    grpc_headers,
    message,
    rst,
    trailers,
)
from tests.grpc.peers.nginx import Nginx


pytestmark = pytest.mark.real


class Row(NamedTuple):
    name: str
    code: str
    kind: str
    reached: str
    flags: str
    what: object
    """What the upstream does, or the directives of the location."""


def healthy(stream):
    return [grpc_headers(stream), message(stream, b"a"), trailers(stream, 0)]


AMBIGUOUS = ("UNAVAILABLE", "transport", "maybe", "")
TO_REFUSED, TO_HEALTHY, TO_HANGING = (
    f"grpc_pass grpc://{{{name}}}" for name in ("refused", "healthy", "hanging")
)
ROWS = [
    Row("refused", *AMBIGUOUS, [TO_REFUSED]),
    Row("rst-0", *AMBIGUOUS, lambda s: [rst(s, 0)]),
    Row("rst-2", *AMBIGUOUS, lambda s: [rst(s, 2)]),
    Row("rst-7", *AMBIGUOUS, lambda s: [rst(s, 7)]),
    Row("rst-8", *AMBIGUOUS, lambda s: [rst(s, 8)]),
    Row("fin", *AMBIGUOUS, lambda s: [Then.CLOSE]),
    Row("tcp-rst", *AMBIGUOUS, lambda s: [Then.RESET]),
    Row("goaway-unprocessed", *AMBIGUOUS, lambda s: [goaway(0), Then.CLOSE]),
    Row("goaway-accepted", *AMBIGUOUS, lambda s: [goaway(s), Then.CLOSE]),
    Row("timeout", *AMBIGUOUS, [TO_HANGING, "grpc_read_timeout 50ms"]),
    Row("page", *AMBIGUOUS, [TO_REFUSED, "error_page 502 = @grpc"]),
    Row("busy", "UNAVAILABLE", "overload", "no", "", ["return 503"]),
    Row("limited", "UNAVAILABLE", "overload", "no", "throttled", ["return 429"]),
    Row("forbidden", "PERMISSION_DENIED", "permanent", "maybe", "", ["return 403"]),
    Row("missing", "UNIMPLEMENTED", "permanent", "maybe", "", ["return 404"]),
    Row(
        "too-large",
        "UNKNOWN",
        "permanent",
        "maybe",
        "",
        [TO_HEALTHY, "client_max_body_size 1"],
    ),
    Row(
        "as-http-1",
        "UNKNOWN",
        "permanent",
        "maybe",
        "",
        ["proxy_pass http://{healthy}", "proxy_http_version 1.1"],
    ),
    Row(
        "dies-after-headers",
        "INTERNAL",
        "transport",
        "maybe",
        "",
        lambda s: [grpc_headers(s), Then.CLOSE],
    ),
    Row(
        "not-found",
        "NOT_FOUND",
        "application",
        "yes",
        "",
        lambda s: [grpc_headers(s), trailers(s, 5, "no such cart")],
    ),
    Row(
        "relays",
        "UNAVAILABLE",
        "application",
        "yes",
        "",
        lambda s: [grpc_headers(s), trailers(s, 14, "no healthy upstream")],
    ),
]


@pytest.fixture(scope="module")
def nginx(need):
    """An nginx with a location for each row."""
    with contextlib.ExitStack() as stack:
        taken = stack.enter_context(socket.socket())
        taken.bind(("127.0.0.1", 0))
        hanging = stack.enter_context(Peer(lambda stream: []))
        addresses = {
            "refused": f"127.0.0.1:{taken.getsockname()[1]}",
            "healthy": stack.enter_context(Peer(healthy)).address,
            "hanging": hanging.address,
        }
        made = Nginx(addresses["healthy"])
        for row in ROWS:
            if isinstance(row.what, list):
                lines = [line.format(**addresses) for line in row.what]
            else:
                peer = stack.enter_context(Peer(row.what))
                lines = [f"grpc_pass grpc://{peer.address}"]
            made.location(row.name, *lines)
        made.start(stack.enter_context(Supervisor()), need("nginx"))
        yield made


@pytest.mark.parametrize("how", ["call", "future", "aio.call"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_end_at_nginx_has_its_meaning(row, how, nginx):
    """Nothing that nginx answers in the server's place proves a call unprocessed."""
    ended = end(nginx.address, how, method=f"/{row.name}/Put")

    assert row[1:5] == ended.meaning
    assert ended.doubted.reached != "no"


@pytest.mark.parametrize("how", ["call", "future", "aio.call"])
def test_nginx_without_http_2_is_permanent(how, nginx):
    """A listener without `http2` speaks HTTP/1.1 and nothing else."""
    ended = end(nginx.plain_address, how)

    assert ("UNAVAILABLE", "permanent", "no", "ours") == ended.meaning


def test_nginx_signs_its_replies(nginx):
    """Who answered is kept with the outcome, where nginx says it in gRPC."""
    ended = end(nginx.address, method="/page/Put")

    assert any("nginx" in name for key, name in ended.outcome.ids if key == "via")
