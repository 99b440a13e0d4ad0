"""The future of `.future()`: grpcio's own semantics over any number of attempts."""

import gc
import threading
import time
import weakref

import grpc
import pytest

import resilience
import resilience.grpc


GET = "/shop.Cart/Get"
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
SLOW = """
version: 1
edition: "2026.11"
name: test
grpc:
  all: {retry: {initial_backoff: 60s, max_backoff: 60s, jitter: none}}
  methods:
    shop.Cart/Get: {idempotency: safe}
"""


@pytest.fixture
def hanging(server):
    """The server holds each call until the test lets it go."""
    release, arrived = threading.Event(), threading.Event()

    def hold(request, context):
        arrived.set()
        release.wait(10)
        return request

    server.script[:] = [hold] * 3
    yield release, arrived
    release.set()


@pytest.fixture
def waiting(server, make_engine, records):
    """A future that waits a minute for its second attempt."""
    engine = make_engine(SLOW)
    server.script[:] = [UNAVAILABLE]
    with grpc.insecure_channel(server.address) as bare:
        channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
        future = channel.unary_unary(GET).future(b"a")
        until(lambda: records.of("AttemptEnded"))
        yield future


def until(condition):
    """Wait for what another thread is about to do."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.001)


def test_it_returns_at_once_with_repeats_ahead(waiting):
    """Nobody waits for a backoff but the future itself."""
    assert not waiting.done()
    assert waiting.running()
    assert waiting.is_active()


def test_success_after_repeats(channel, server):
    """The response and the status are those of the last attempt."""
    server.script[:] = [UNAVAILABLE, UNAVAILABLE]
    future = channel.unary_unary(GET).future(b"a")

    assert future.result(timeout=5) == b"a"
    assert future.exception() is None
    assert future.traceback() is None
    assert future.code() is grpc.StatusCode.OK
    assert future.done()
    assert not future.running()
    assert not future.cancelled()
    assert not future.cancel()


def test_failure_raises_the_future_itself(channel, server):
    """As in grpcio the future is its own error, with the status of the last attempt."""
    server.script[:] = [(grpc.StatusCode.NOT_FOUND, "gone", (("k", "v"),))]
    future = channel.unary_unary(GET).future(b"a")

    with pytest.raises(grpc.RpcError) as raised:
        future.result()
    assert raised.value is future
    assert future.exception() is future
    assert future.traceback() is not None
    assert (grpc.StatusCode.NOT_FOUND, "gone") == (future.code(), future.details())
    assert ("k", "v") in [tuple(pair) for pair in future.trailing_metadata()]
    assert () == tuple(future.initial_metadata())
    assert "gone" in future.debug_error_string()
    assert resilience.report(future).reason == "not-retryable"
    assert "NOT_FOUND" in str(future)


@pytest.mark.parametrize("ask", ["result", "exception", "traceback"])
def test_waiting_too_long_leaves_the_call_alone(channel, hanging, ask):
    """A timeout of the waiter is not the call's."""
    release, _ = hanging
    future = channel.unary_unary(GET).future(b"a")

    with pytest.raises(grpc.FutureTimeoutError):
        getattr(future, ask)(timeout=0.01)
    release.set()
    assert future.result(timeout=5) == b"a"


def check_cancelled(future):
    assert future.cancel()
    assert not future.cancel()
    assert future.cancelled()
    assert future.done()
    assert not future.running()
    assert not future.is_active()
    assert future.code() is grpc.StatusCode.CANCELLED
    assert future.details() == "Locally cancelled by application!"
    assert () == future.trailing_metadata()
    assert () == future.initial_metadata()
    assert future.debug_error_string() is None
    for ask in (future.result, future.exception, future.traceback):
        with pytest.raises(grpc.FutureCancelledError):
            ask()


def test_cancel_in_an_attempt(channel, hanging, records):
    """Cancelling ends the attempt and the call at once, for ever."""
    _, arrived = hanging
    future = channel.unary_unary(GET).future(b"a")
    arrived.wait(5)

    check_cancelled(future)
    until(lambda: records.of("CallEnded"))
    assert ["cancelled"] == [ended.reason for ended in records.of("CallEnded")]


def test_cancel_between_two_attempts(waiting, server, records):
    """Cancelling in a backoff ends the call at once; no attempt follows."""
    check_cancelled(waiting)
    until(lambda: records.of("CallEnded"))

    assert ["cancelled"] == [ended.reason for ended in records.of("CallEnded")]
    assert len(server.seen) == 1


def test_callbacks_get_this_very_future(channel, server):
    """Identity matters: callers find their call by the object they hold."""
    server.script[:] = [UNAVAILABLE]
    got, done = [], threading.Event()
    future = channel.unary_unary(GET).future(b"a")
    future.add_done_callback(got.append)
    future.add_done_callback(lambda _: done.set())
    assert done.wait(5)

    assert [future] == got


def test_a_callback_that_comes_late_runs_at_once(channel):
    """After the end a done callback runs in the caller; `add_callback` refuses."""
    future = channel.unary_unary(GET).future(b"a")
    future.result()
    until(lambda: not future.add_callback(lambda: None))
    got = []
    future.add_done_callback(got.append)

    assert [future] == got


def test_a_callback_that_raises_is_logged(channel, hanging, caplog):
    """One callback's error reaches neither the others nor the call."""
    release, _ = hanging
    ran = threading.Event()
    future = channel.unary_unary(GET).future(b"a")

    def fail():
        msg = "mine"
        raise ValueError(msg)

    assert future.add_callback(fail)
    assert future.add_callback(ran.set)
    release.set()

    assert ran.wait(5)
    assert future.result() == b"a"
    assert "mine" in caplog.text


@pytest.mark.parametrize("held", ["attempt", "wait"])
def test_callbacks_of_a_cancelled_call_run_elsewhere(request, server, held):
    """A caller may hold a lock while it cancels, which its callback takes."""
    if held == "wait":
        future = request.getfixturevalue("waiting")
    else:
        _, arrived = request.getfixturevalue("hanging")
        channel = request.getfixturevalue("channel")
        future = channel.unary_unary(GET).future(b"a")
        arrived.wait(5)
    lock, ran = threading.Lock(), threading.Event()

    def take_lock(_):
        with lock:
            ran.set()

    future.add_done_callback(take_lock)
    with lock:
        future.cancel()

    assert ran.wait(5)


def test_a_dropped_future_cancels_the_call(channel, hanging, records):
    """Nobody can ask for the result any more: the call ends, nothing is leaked."""
    _, arrived = hanging
    future = channel.unary_unary(GET).future(b"a")
    arrived.wait(5)
    gone = weakref.ref(future)
    del future
    gc.collect()

    assert gone() is None
    until(lambda: records.of("CallEnded"))
    assert ["cancelled"] == [ended.reason for ended in records.of("CallEnded")]


def test_a_dropped_future_with_a_callback_goes_on(channel, hanging):
    """A callback keeps the call alive, as in grpcio."""
    release, arrived = hanging
    done = []
    ran = threading.Event()
    future = channel.unary_unary(GET).future(b"a")
    future.add_done_callback(lambda ended: (done.append(ended.result()), ran.set()))
    del future
    arrived.wait(5)
    gc.collect()
    release.set()

    assert ran.wait(5)
    assert [b"a"] == done


def test_a_rejected_future_fails(channel, engine, server):
    """A refusal is the future's end: its error, its status, its callbacks."""
    channel.unary_unary(GET)(b"a")
    engine.breaker(engine.snapshot()["scopes"][0]["scope"]).force_open()
    future = channel.unary_unary(GET).future(b"a")
    got = []
    future.add_done_callback(got.append)

    assert [future] == got
    assert isinstance(future.exception(), resilience.Rejected)
    assert future.code() is UNAVAILABLE
    assert "open" in future.details()
    assert future.debug_error_string() == ""
    with pytest.raises(resilience.Rejected):
        future.result()
    assert len(server.seen) == 1


def test_time_remaining_is_the_calls(channel, hanging):
    """The time left is that of the whole call; None when it has no end."""
    release, _ = hanging
    limited = channel.unary_unary(GET).future(b"a", timeout=30)
    free = channel.unary_unary(GET).future(b"a")

    assert 29 < limited.time_remaining() <= 30
    assert free.time_remaining() is None
    release.set()
    assert limited.result(), free.result()


def test_debug_error_string_never_blocks(channel, hanging):
    """Grpcio's own waits for ever on some futures; ours answers."""
    release, arrived = hanging
    future = channel.unary_unary(GET).future(b"a")
    arrived.wait(5)

    assert future.debug_error_string() is None
    assert "object" in repr(future)
    release.set()
    assert future.result() == b"a"
    assert future.debug_error_string() == ""


def test_a_response_that_cannot_be_read_is_local(channel, server):
    """A deserializer that fails: the native status, one attempt, and no hang."""

    def fail(_):
        msg = "no"
        raise ValueError(msg)

    future = channel.unary_unary(GET, response_deserializer=fail).future(b"a")

    assert future.exception(timeout=5) is future
    assert future.details() == "Exception deserializing response!"
    assert future.debug_error_string() is None or not future.debug_error_string()
    assert len(server.seen) == 1


def test_closing_the_channel_ends_its_futures(server, engine, hanging):
    """A call in flight ends as CANCELLED when its channel is closed."""
    _, arrived = hanging
    bare = grpc.insecure_channel(server.address)
    channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
    future = channel.unary_unary(GET).future(b"a")
    arrived.wait(5)
    channel.close()

    assert future.exception(timeout=5) is future
    assert future.code() is grpc.StatusCode.CANCELLED
    assert len(server.seen) == 1
