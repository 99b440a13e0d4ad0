"""Channels from policy: what the file says reaches C-core, seen by what calls meet."""

import os
import signal
import socket
import threading
import time
from concurrent import futures

import grpc
import pytest

import resilience
import resilience.grpc
from resilience.grpc.channels import options_for


HEAD = 'version: 1\nedition: "2026.11"\nname: test\n'
BOUND_S = 20
"""Seconds after which a wait has failed; nothing here waits for it."""


@pytest.fixture
def open_channel(make_engine):
    """`open_channel(address, "wait_for_ready: true")`: a channel from that section."""
    made = []

    def make(address, section="", *, rules="", **others):
        text = f"{HEAD}grpc: {{channel: {{{section}}}, {rules}}}"
        engine = make_engine(text)
        channel = resilience.grpc.insecure_channel(
            address, engine, target="cart", **others
        )
        made.append(channel)
        return channel

    yield make
    for channel in made:
        channel.close()


def options(section="", given=None, *, rules="", mode=None):
    """Return the options of a channel section by name."""
    text = f"{HEAD}grpc: {{channel: {{{section}}}, {rules}}}"
    with resilience.PolicyEngine.from_text(text) as engine:
        if mode is not None:
            engine.mode = mode
        return dict(options_for(engine, "cart", given))


def get(channel, request=b"x", **others):
    return channel.unary_unary("/shop.Cart/Get")(request, timeout=BOUND_S, **others)


def both(*servers):
    return "ipv4:" + ",".join(server.address for server in servers)


@pytest.fixture
def servers(server):
    """Two servers that echo."""
    other = type(server)()
    yield server, other
    other.stop()


# -- what calls meet --------------------------------------------------------------


def test_calls_are_protected(open_channel, server):
    """A channel from policy is one that the engine protects."""
    server.script = [grpc.StatusCode.UNAVAILABLE]
    rules = (
        "all: {retry: {initial_backoff: 1ms, max_backoff: 2ms}}, "
        "methods: {shop.Cart/Get: {idempotency: safe}}"
    )
    channel = open_channel(server.address, rules=rules)

    assert b"x" == get(channel)
    assert 2 == len(server.seen)


def test_secure_channel(make_engine):
    """The same with credentials."""
    handler = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
    generic = grpc.method_handlers_generic_handler("shop.Cart", {"Get": handler})
    local = grpc.server(futures.ThreadPoolExecutor(2))
    local.add_generic_rpc_handlers((generic,))
    port = local.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    local.start()
    credentials = grpc.local_channel_credentials()
    with resilience.grpc.secure_channel(
        f"127.0.0.1:{port}", credentials, make_engine(), target="cart"
    ) as channel:
        answer = get(channel)
    local.stop(None).wait()

    assert b"x" == answer


@pytest.mark.parametrize("key", ["max_send_size", "max_receive_size"])
def test_sizes(open_channel, server, key):
    """A message above the written size is refused, one of that size is not."""
    channel = open_channel(server.address, f"{key}: 100B")

    assert b"x" * 100 == get(channel, b"x" * 100)
    with pytest.raises(grpc.RpcError) as caught:
        get(channel, b"x" * 101)
    assert "RESOURCE_EXHAUSTED" == caught.value.code().name


def test_no_limit_of_size(open_channel, server):
    """`off` lifts gRPC's own limit of 4 MiB."""
    large = b"x" * 4_300_000
    server.script = [lambda *_: large]
    channel = open_channel(server.address, "max_receive_size: off")

    assert large == get(channel)


def test_options_of_the_caller_win(open_channel, server):
    """What the caller gives holds in place of the policy's option of that name."""
    given = [("grpc.max_receive_message_length", 200)]
    channel = open_channel(server.address, "max_receive_size: 100B", options=given)

    assert b"x" * 150 == get(channel, b"x" * 150)


def test_round_robin_is_built_in(open_channel, servers):
    """Without a word calls go to all addresses in turn."""
    channel = open_channel(both(*servers))
    # Each address gets its share once its connection stands.
    for _ in range(2000):
        get(channel)
        if all(len(one.seen) >= 10 for one in servers):
            break

    assert all(len(one.seen) >= 10 for one in servers)


def test_pick_first(open_channel, servers):
    """`pick_first` stays with one address."""
    channel = open_channel(both(*servers), "load_balancing: pick_first")
    for _ in range(20):
        get(channel)

    assert [0, 20] == sorted(len(one.seen) for one in servers)


def test_health_checks(open_channel, servers):
    """An address whose health service says NOT_SERVING gets no calls."""
    pytest.importorskip("grpc_health")
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    sick, well = (health.HealthServicer() for _ in servers)
    sick.set("shop.Cart", health_pb2.HealthCheckResponse.NOT_SERVING)
    well.set("shop.Cart", health_pb2.HealthCheckResponse.SERVING)
    for server, servicer in zip(servers, (sick, well), strict=True):
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server._server)
    section = "health_check: shop.Cart, wait_for_ready: true"
    channel = open_channel(both(*servers), section)
    for _ in range(50):
        get(channel)

    assert [0, 50] == [len(server.seen) for server in servers]


def test_wait_for_ready(open_channel, refused_address):
    """Calls wait for a server that is not there yet, unless they say otherwise."""
    channel = open_channel(refused_address, "wait_for_ready: true")
    make = channel.unary_unary("/shop.Cart/Get")
    waiting = make.future(b"x", timeout=0.2)
    with pytest.raises(grpc.RpcError) as at_once:
        make(b"x", timeout=BOUND_S, wait_for_ready=False)

    assert "UNAVAILABLE" == at_once.value.code().name
    assert "DEADLINE_EXCEEDED" == waiting.exception(BOUND_S).code().name


def test_fails_at_once_without_wait_for_ready(open_channel, refused_address):
    """Built in is gRPC's own: a call fails when there is no connection."""
    channel = open_channel(refused_address, rules="all: {retry: off}")
    with pytest.raises(grpc.RpcError) as caught:
        get(channel)

    assert "UNAVAILABLE" == caught.value.code().name


def test_user_agent(open_channel, server):
    """The user agent begins with what the policy says."""
    get(open_channel(server.address, "user_agent: shop/1"))

    assert server.seen[0].values("user-agent")[0].startswith("shop/1 grpc-python")


def test_native_retries_off(open_channel, server):
    """Where ours replace them, C-core's retries are off, whatever its config says."""
    entry = (
        '{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 4, '
        '"initialBackoff": "0.01s", "maxBackoff": "0.01s", "backoffMultiplier": 1, '
        '"retryableStatusCodes": ["UNAVAILABLE"]}}]}'
    )
    server.script = [grpc.StatusCode.UNAVAILABLE] * 9
    channel = open_channel(
        server.address,
        rules="all: {trust_transport_details: true}",
        options=[("grpc.service_config", entry)],
    )
    with pytest.raises(grpc.RpcError):
        get(channel)

    assert 1 == len(server.seen)


class Refuser:
    """Takes connections and closes them at once; counts them."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._many = threading.Semaphore(0)
        threading.Thread(target=self._refuse, daemon=True).start()

    def _refuse(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.close()
            self._many.release()

    def attempts(self, count, within_s):
        """Tell whether so many connections come within so many seconds."""
        until = time.monotonic() + within_s
        return all(
            self._many.acquire(timeout=max(0, until - time.monotonic()))
            for _ in range(count)
        )

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.mark.slow
def test_reconnects_within_the_window(open_channel):
    """A channel tries again as soon as the policy says, not after gRPC's second.

    gRPC's own waits before the third attempt are 2.1 s together, at the least.
    """
    refuser = Refuser()
    section = "reconnect: {initial_backoff: 100ms}"
    channel = open_channel(refuser.address, section)
    ready = threading.Event()
    channel.subscribe(
        lambda state: state is grpc.ChannelConnectivity.READY and ready.set(),
        try_to_connect=True,
    )
    came_back = refuser.attempts(3, within_s=2.0)
    refuser.close()
    handler = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
    generic = grpc.method_handlers_generic_handler("shop.Cart", {"Get": handler})
    restarted = grpc.server(futures.ThreadPoolExecutor(2))
    restarted.add_generic_rpc_handlers((generic,))
    restarted.add_insecure_port(refuser.address)
    restarted.start()
    is_back = ready.wait(BOUND_S)
    answer = get(channel)
    channel.close()
    restarted.stop(None).wait()

    assert came_back
    assert (True, b"x") == (is_back, answer)


@pytest.mark.real
def test_silent_peer_is_given_up(open_channel, hanging_process):
    """A stopped peer is found by the policy's ping timeout, not after a minute.

    The shortest time that a policy takes between pings is long for a test: the caller
    gives that one option itself.
    """
    channel = open_channel(
        f"127.0.0.1:{hanging_process.port}",
        "keepalive: {time: 10s, timeout: 200ms}",
        options=[("grpc.keepalive_time_ms", 200)],
        rules="all: {retry: off}",
    )
    future = channel.unary_unary("/shop.Cart/Put").future(b"")
    assert "called" == hanging_process.stdout.readline().strip()
    os.kill(hanging_process.pid, signal.SIGSTOP)

    assert "ping timeout" in future.exception(BOUND_S).details()


# -- options ----------------------------------------------------------------------


def test_keepalive_options():
    """A ping's answer is bounded by both options that C-core has for it."""
    section = "keepalive: {time: 20s, timeout: 3s, without_calls: true}"
    found = options(section)

    assert (20_000, 3_000, 3_000, 1) == (
        found["grpc.keepalive_time_ms"],
        found["grpc.keepalive_timeout_ms"],
        found["grpc.http2.ping_timeout_ms"],
        found["grpc.keepalive_permit_without_calls"],
    )


def test_no_pings_are_built_in():
    """Servers that were not told close connections that ping: nobody pings unasked."""
    assert not [name for name in options() if "keepalive" in name or "ping" in name]


def test_each_channel_draws_its_waits():
    """Channels of one policy come back at different times, around what is written."""
    section = "reconnect: {initial_backoff: 1s, max_backoff: 10s, spread: 0.4}"
    drawn = [options(section)["grpc.max_reconnect_backoff_ms"] for _ in range(30)]

    assert len(set(drawn)) > 20
    assert all(8_000 <= one <= 12_000 for one in drawn)


def test_times():
    """Look-ups and attempts to connect are timed as written."""
    found = options("resolve_interval: 7s, reconnect: {connect_timeout: 3s}")

    assert (7_000, 3_000) == (
        found["grpc.dns_min_time_between_resolutions_ms"],
        found["grpc.min_reconnect_backoff_ms"],
    )


def test_target_comes_before_section():
    """A target's own section overlays the common one, leaf by leaf."""
    rules = "targets: {cart: {channel: {max_send_size: 2KiB}}}"
    found = options("max_send_size: 1KiB, user_agent: shop", rules=rules)

    assert (2048, "shop") == (
        found["grpc.max_send_message_length"],
        found["grpc.primary_user_agent"],
    )


@pytest.mark.parametrize(
    ("written", "service"), [("on", ""), ("shop.Cart", "shop.Cart")]
)
def test_health_check_words(written, service):
    """`on` asks for the server as a whole, a name for that service."""
    found = options(f"health_check: {written}")["grpc.service_config"]

    assert f'"healthCheckConfig": {{"serviceName": "{service}"}}' in found


@pytest.mark.parametrize(
    ("rules", "mode"),
    [
        ("", None),
        ("all: {trust_transport_details: true, retry: off}", None),
        ("all: {trust_transport_details: true, retry: {mode: observe}}", None),
        ("all: {trust_transport_details: true, mode: bypass}", None),
        ("all: {trust_transport_details: true}", "bypass"),
        ("all: {trust_transport_details: true}", "observe"),
        (
            "all: {trust_transport_details: true}, methods: {a.B/C: {retry: off}}",
            None,
        ),
    ],
    ids=["untrusted", "off", "observed", "bypassed", "switched", "watched", "method"],
)
def test_native_retries_stay(rules, mode):
    """C-core's repeat of unsent work stays wherever ours does not replace it."""
    assert "grpc.enable_retries" not in options(rules=rules, mode=mode)


def test_dns_brings_no_retries():
    """A service config out of DNS cannot bring native retries."""
    assert 1 == options()["grpc.service_config_disable_resolution"]
