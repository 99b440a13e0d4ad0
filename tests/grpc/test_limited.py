"""A limit of one against a real server: every arity, in every style."""

import gc
import threading

import grpc
import pytest

import resilience
from resilience.core.target import Target
from tests.grpc.peers.attempts import ARITIES, WAIT_S
from tests.grpc.peers.clients import STEERED, STYLES, until, ways


ALL = pytest.mark.parametrize(("arity", "style"), ways(ARITIES))
STEERABLE = pytest.mark.parametrize(("arity", "style"), ways(ARITIES, STEERED))
ONE = "limiter: {initial_limit: 1, max_limit: 1, max_wait: 20s, max_queue: 3}"
AT_ONCE = "limiter: {initial_limit: 1, max_limit: 1, max_wait: off}"


class Held:
    """A script that answers each request once it is let go."""

    def __init__(self):
        self.let_go = threading.Event()

    def __call__(self, attempt):
        requests = list(attempt.requests)
        self.let_go.wait(WAIT_S)
        yield from requests


@pytest.fixture
def held():
    made = Held()
    yield made
    made.let_go.set()


def limiter(client, arity="unary_unary"):
    target = Target(protocol="grpc", name="core", service=f"shop.{arity}", method="Do")
    return client.engine.bind(target).limiter


@ALL
def test_one_after_the_other(make_client, attempts, held, arity, style):
    """The second call is sent when the first has ended, and not before."""
    client = make_client(style, ONE)
    attempts.script = [held]
    first = client.begin(arity, b"a")
    attempts.wait_for(1)
    second = client.begin(arity, b"b")
    until(lambda: limiter(client).waiting)
    assert len(attempts.seen) == 1
    held.let_go.set()

    assert ([b"a"], "OK") == first.end()[:2]
    assert ([b"b"], "OK") == second.end()[:2]
    until(lambda: not limiter(client).in_flight)
    assert (limiter(client).waited, limiter(client).late) == (1, 0)


@ALL
def test_refused(make_client, attempts, held, arity, style):
    """Where nothing may wait the second call is refused unsent, as both errors."""
    client = make_client(style, AT_ONCE)
    attempts.script = [held]
    first = client.begin(arity, b"a")
    attempts.wait_for(1)
    end = client.call(arity, b"b")
    held.let_go.set()

    assert end.code == "RESOURCE_EXHAUSTED"
    assert isinstance(end.error, grpc.RpcError)
    assert resilience.report(end.error).reason == "limiter"
    assert "nothing was sent" in end.details
    assert first.end().code == "OK"
    assert len(attempts.seen) == 1


@STEERABLE
def test_cancelled_in_line(make_client, attempts, held, arity, style):
    """A call that is cancelled while it waits ends at once and is never sent."""
    client = make_client(style, ONE)
    attempts.script = [held]
    first = client.begin(arity, b"a")
    attempts.wait_for(1)
    second = client.begin(arity, b"b")
    until(lambda: limiter(client).waiting)
    assert second.cancel()
    assert second.end().code == "CANCELLED"
    assert limiter(client).waiting == 0
    held.let_go.set()

    assert first.end().code == "OK"
    assert client.call(arity, b"c").code == "OK"
    assert len(attempts.seen) == 2


@STEERABLE
def test_cancelled_under_way(make_client, attempts, held, arity, style):
    """A call that is cancelled gives its place to who waits."""
    client = make_client(style, ONE)
    attempts.script = [held]
    first = client.begin(arity, b"a")
    attempts.wait_for(1)
    second = client.begin(arity, b"b")
    until(lambda: limiter(client).waiting)
    assert first.cancel()

    assert ([b"b"], "OK") == second.end()[:2]
    until(lambda: not limiter(client).in_flight)


@STEERABLE
def test_dropped(make_client, attempts, held, arity, style):
    """A call that nobody holds any more holds no place either."""
    client = make_client(style, ONE)
    attempts.script = [held]
    first = client.begin(arity, b"a")
    attempts.wait_for(1)
    carried = first.drop()
    del first
    gc.collect()
    if style == "asyncio" and arity.endswith("unary"):
        held.let_go.set()  # as natively, it goes on by itself
    until(lambda: not limiter(client).in_flight)

    assert client.call(arity, b"b").code == "OK"
    held.let_go.set()
    until(lambda: carried() is None or gc.collect() is None)


@pytest.mark.parametrize(
    ("arity", "style"), ways(["unary_stream", "stream_stream"], STEERED)
)
def test_a_stream_under_way_holds_no_place(make_client, attempts, arity, style):
    """Its first message gives the place back: it may last as long as it likes."""
    go_on = threading.Event()

    def lasting(attempt):
        yield next(attempt.requests)
        go_on.wait(WAIT_S)
        yield b"last"

    client = make_client(style, ONE)
    attempts.script = [lasting]
    running = client.begin(arity, b"a")
    assert running.next() == b"a"
    assert limiter(client).in_flight == 0
    assert client.call(arity, b"b").code == "OK"
    go_on.set()

    assert ([b"a", b"last"], "OK") == running.end()[:2]
    assert limiter(client).late == 0


@pytest.mark.parametrize("style", STYLES)
def test_a_repeat_takes_a_place_again(make_client, attempts, style):
    """Between two attempts others may pass: a wait holds nothing."""

    def aborting(attempt):
        attempt.abort()
        yield b""

    client = make_client(style, ONE)
    attempts.script = [aborting, aborting]

    assert client.call("unary_unary", b"a").code == "OK"
    assert len(attempts.seen) == 3
    assert (limiter(client).in_flight, limiter(client).late) == (0, 0)


@pytest.mark.parametrize("style", STYLES)
def test_many_share_a_few_places(make_client, attempts, style):
    """Forty calls, three places: the server never sees a fourth, and all succeed."""
    lock, inside, most = threading.Lock(), 0, 0

    def counting(attempt):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        attempt.left.wait(0.002)
        with lock:
            inside -= 1
        yield b"ok"

    limit = "{initial_limit: 3, max_limit: 3, max_wait: 20s, max_queue: 40}"
    client = make_client(style, f"limiter: {limit}")
    attempts.script = [counting] * 40
    running = [client.begin("unary_unary", b"a") for _ in range(40)]

    assert {one.end().code for one in running} == {"OK"}
    assert most == 3
    until(lambda: not limiter(client).in_flight)


@pytest.mark.parametrize("style", STYLES)
def test_observed(make_client, attempts, held, records, style):
    """Under `mode: observe` everybody passes, and what would have been is written."""
    client = make_client(style, AT_ONCE.replace("{", "{mode: observe, "))
    attempts.script = [held, held]
    running = [client.begin("unary_unary", b"a") for _ in range(2)]
    attempts.wait_for(2)
    held.let_go.set()

    assert [one.end().code for one in running] == ["OK", "OK"]
    until(lambda: len(records.of("CallEnded")) == 2)
    (decided,) = records.of("Decided")
    assert (decided.mechanism, decided.decision, decided.reason) == (
        "limiter",
        "reject",
        "limiter",
    )
