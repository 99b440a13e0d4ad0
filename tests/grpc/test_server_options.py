"""Server options: connections end by age without failing calls, pings are welcome."""

import threading
from concurrent import futures

import grpc
import pytest

import resilience
from resilience.grpc import server_options


HEAD = 'version: 1\nedition: "2026.11"\n'
BOUND_S = 20


@pytest.fixture
def serve():
    """`serve(options, answer)`: the address of a server that answers with that."""
    made = []

    def start(options, answer=lambda request, _: request):
        handler = grpc.unary_unary_rpc_method_handler(answer)
        generic = grpc.method_handlers_generic_handler("shop.Cart", {"Get": handler})
        server = grpc.server(
            futures.ThreadPoolExecutor(4), handlers=[generic], options=options
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        made.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in made:
        server.stop(None).wait()


def pings(section, **others):
    """Return the options for clients with that `channel:` section, by name."""
    text = f"{HEAD}grpc: {{targets: {{cart: {{channel: {{{section}}}}}}}}}"
    with resilience.PolicyEngine.from_text(text) as engine:
        return dict(server_options(clients=engine, target="cart", **others))


def test_connections_end_by_age(serve):
    """An old connection is replaced by a new one, and no call fails of it."""
    peers = set()

    def answer(request, context):
        peers.add(context.peer())
        return request

    options = server_options(max_connection_age_s=0.1)
    with grpc.insecure_channel(serve(options, answer)) as channel:
        call = channel.unary_unary("/shop.Cart/Get")
        answers = 0
        while len(peers) < 3 and answers < 100_000:
            assert b"x" == call(b"x", timeout=BOUND_S)
            answers += 1

    assert len(peers) >= 3


def test_calls_are_cut_after_the_grace(serve):
    """A call that outlasts age and grace is cut: choose the grace with care."""
    release = threading.Event()
    options = server_options(max_connection_age_s=0.1, max_connection_age_grace_s=0.1)
    address = serve(options, lambda request, _: release.wait(BOUND_S) and request)
    with grpc.insecure_channel(address) as channel:
        future = channel.unary_unary("/shop.Cart/Get").future(b"x")
        error = future.exception(BOUND_S)
        release.set()

    assert "UNAVAILABLE" == error.code().name


@pytest.mark.parametrize(
    ("age", "names"),
    [
        (None, set()),
        (60.0, {"grpc.max_connection_age_ms", "grpc.max_connection_age_grace_ms"}),
    ],
)
def test_grace_belongs_to_age(age, names):
    """Without an age there is no grace."""
    found = server_options(max_connection_age_s=age, max_connection_age_grace_s=5.0)

    assert names == set(dict(found))


def test_idle():
    """Connections without calls go after their time."""
    found = dict(server_options(max_connection_idle_s=60.0))

    assert 60_000 == found["grpc.max_connection_idle_ms"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_connection_age_s": 0},
        {"max_connection_age_grace_s": -1},
        {"max_connection_idle_s": 0},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_times_are_above_0(wrong):
    """A time that is not above 0 is refused by its name."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        server_options(**wrong)


def test_clients_pings_are_taken():
    """The server takes pings a little more often than its clients send them."""
    found = pings("keepalive: {time: 10s, without_calls: true}")

    assert 5_000 <= found["grpc.http2.min_ping_interval_without_data_ms"] < 10_000
    assert 1 == found["grpc.keepalive_permit_without_calls"]


def test_clients_without_pings():
    """Where clients do not ping, C-core's own guard against pings stays."""
    assert not [name for name in pings("keepalive: off") if "ping" in name]
