"""Streams through a channel: repeated until the first message, never after it."""

import gc
import threading
import weakref

import grpc
import pytest

import resilience.grpc
from tests.grpc.peers.streams import ARITIES, UNAVAILABLE, Peer, fail, fail_late, named


@pytest.fixture
def peer():
    made = Peer()
    yield made
    made.stop()


@pytest.fixture(params=["channel", "interceptor"])
def channel(request, peer, make_engine):
    engine = make_engine(named(request.param))
    with grpc.insecure_channel(peer.address) as bare:
        if request.param == "channel":
            yield resilience.grpc.intercept_channel(bare, engine, target="t")
        else:
            interceptor = resilience.grpc.client_interceptor(engine, target="t")
            yield grpc.intercept_channel(bare, interceptor)


def start(channel, arity, method="Get", messages=(b"a", b"b")):
    """The answers of one call, whatever its arity, as a list."""
    short = "".join(word[0] for word in arity.split("_"))
    call = getattr(channel, arity)(f"/shop.Cart/{method}{short}")
    return call(messages[0]) if arity == "unary_stream" else call(iter(messages))


def answers(channel, arity, **others):
    found = start(channel, arity, **others)
    return [found] if isinstance(found, bytes) else list(found)


@pytest.mark.parametrize("arity", ARITIES)
def test_all_requests_are_sent_again(channel, peer, arity):
    """An attempt that failed before its first answer costs the caller nothing."""
    peer.script = [fail, fail]
    expected = {"unary_stream": [b"a"], "stream_unary": [b"a,b"]}
    assert answers(channel, arity) == expected.get(arity, [b"a", b"b"])
    assert len(peer.seen) == 3
    assert peer.seen[-1] == ([b"a"] if arity == "unary_stream" else [b"a", b"b"])


def test_futures_of_streamed_requests_are_sent_again(channel, peer):
    """`.future()` replays as the blocking call does."""
    peer.script = [fail, fail]
    call = channel.stream_unary("/shop.Cart/Getsu").future(iter([b"a", b"b"]))
    assert call.result(timeout=10) == b"a,b"
    assert (len(peer.seen), call.code()) == (3, grpc.StatusCode.OK)


@pytest.mark.parametrize("arity", ["unary_stream", "stream_stream"])
def test_nothing_is_repeated_after_the_first_message(channel, peer, arity):
    """What the caller has seen is never followed by a second beginning."""
    peer.script = [fail_late]
    call = start(channel, arity)
    assert next(call) == b"a"
    with pytest.raises(grpc.RpcError) as raised:
        next(call)
    assert raised.value is call
    assert (call.code(), call.details()) == (UNAVAILABLE, "scripted")
    assert len(peer.seen) == 1


@pytest.mark.parametrize("arity", ["unary_stream", "stream_stream"])
def test_headers_that_were_shown_are_not_taken_back(channel, peer, arity):
    """Non-empty initial metadata that the caller asked for makes the attempt last."""
    peer.script = [peer.fail_after_headers]
    call = start(channel, arity)
    assert [tuple(pair) for pair in call.initial_metadata()] == [("k", "1"), ("k", "2")]
    peer.released.set()
    with pytest.raises(grpc.RpcError):
        list(call)
    assert len(peer.seen) == 1


def test_a_full_buffer_makes_the_attempt_the_last(channel, peer):
    """More requests than may be kept: sent all the same, but never again."""

    def fail_at_the_end(requests, context):
        list(requests)
        context.abort(UNAVAILABLE, "scripted")
        yield b""

    method, requests = channel.stream_unary("/shop.Cart/Getsu"), [b"a"] * 1001
    for call in (method, lambda given: method.future(given).result(timeout=10)):
        peer.seen.clear()
        peer.script = [fail_at_the_end]
        with pytest.raises(grpc.RpcError) as raised:
            call(iter(requests))
        assert raised.value.code() is UNAVAILABLE
        assert peer.seen == [requests]
        peer.seen.clear()
        peer.script = [fail_at_the_end]
        call(iter(requests[:1000]))
        assert peer.seen == [requests[:1000]] * 2


def test_an_attempt_without_a_first_message_is_replaced(channel, peer):
    """The first-message timeout ends the attempt, not the call."""
    peer.script = [peer.wait]
    assert answers(channel, "unary_stream", method="Slow") == [b"a"]
    assert len(peer.seen) == 2


def test_a_silence_between_messages_ends_the_stream(channel, peer):
    """The caller reads DEADLINE_EXCEEDED, and which limit it was."""

    def stall(requests, context):
        yield next(requests)
        yield from peer.wait(requests, context)

    peer.script = [stall]
    call = start(channel, "unary_stream", method="Idle")
    assert next(call) == b"a"
    with pytest.raises(grpc.RpcError):
        next(call)
    assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "idle timeout" in call.details()
    assert len(peer.seen) == 1


@pytest.mark.parametrize("arity", ["unary_stream", "stream_stream"])
def test_cancelling_ends_a_pending_wait(channel, peer, arity):
    """A call between two attempts is cancelled as one in an attempt."""
    peer.script = [fail]
    call, over = start(channel, arity, method="Later"), threading.Event()
    call.add_callback(over.set)
    assert call.is_active()
    assert call.cancel()
    assert not call.cancel()
    assert over.wait(10)
    assert (call.code(), call.cancelled()) == (grpc.StatusCode.CANCELLED, True)
    with pytest.raises(grpc.RpcError):
        next(call)


@pytest.mark.parametrize("arity", ["unary_stream", "stream_stream"])
def test_callbacks_come_once_at_the_end(channel, peer, arity):
    """However many attempts there were; with the handle that the caller has."""
    peer.script = [fail, fail]
    call, told = start(channel, arity), []
    over = threading.Event()
    call.add_done_callback(lambda handle: (told.append(handle), over.set()))
    list(call)
    assert over.wait(10)
    assert told == [call]
    assert not call.add_callback(over.clear)


@pytest.mark.parametrize("arity", ["unary_stream", "stream_stream"])
def test_a_dropped_stream_is_cancelled(channel, peer, arity):
    """Nobody reads it: the server is told, and nothing is kept alive."""
    gone = threading.Event()

    def linger(requests, context):
        context.add_callback(gone.set)
        yield b"x"
        yield from peer.wait(requests, context)

    peer.script = [linger]
    call = start(channel, arity)
    assert next(call) == b"x"
    flight = weakref.ref(call._flight)
    del call
    gc.collect()
    assert gone.wait(10)
    peer.released.set()
    for _ in range(1000):
        gc.collect()
        if flight() is None:
            break
        threading.Event().wait(0.005)
    assert flight() is None


def test_a_callback_that_blocks_delays_no_other_call(channel, peer):
    """Callbacks run neither on gRPC's thread nor on the timer."""
    hold, entered = threading.Event(), threading.Event()
    first = start(channel, "unary_stream")
    first.add_callback(lambda: (entered.set(), hold.wait(10)))
    list(first)
    assert entered.wait(10)
    peer.script = [fail, fail]
    assert answers(channel, "unary_stream") == [b"a"]
    hold.set()


def test_a_broken_request_iterator_fails_the_call_once(channel):
    """The application's own error is never a reason to send again."""

    def broken():
        yield b"a"
        msg = "mine"
        raise ValueError(msg)

    gather, chat = (
        channel.stream_unary("/shop.Cart/Getsu"),
        channel.stream_stream("/shop.Cart/Getss"),
    )
    for run in (gather, gather.future, lambda given: list(chat(given))):
        with pytest.raises(grpc.RpcError) as raised:
            getattr(run(broken()), "result", None)()
        assert raised.value.code() is grpc.StatusCode.UNKNOWN
        assert raised.value.details() == "Exception iterating requests!"


def test_a_repeat_sends_the_message_as_it_was(peer, make_engine):
    """A message that the caller changes after the call is sent as it was then."""
    engine = make_engine(named("held"))

    class Message:
        def __init__(self, text):
            self.text = text

    with grpc.insecure_channel(peer.address) as bare:
        channel = resilience.grpc.intercept_channel(bare, engine, target="t")
        method = channel.unary_stream("/shop.Cart/Getus", lambda message: message.text)
        peer.script = [fail]
        message = Message(b"a")
        call = method(message)
        message.text = b"changed"
        assert list(call) == [b"a"]
        assert peer.seen == [[b"a"], [b"a"]]


def test_single_threaded_streams_are_repeated(peer, make_engine):
    """An option of grpcio that runs a stream on its reader's thread."""
    engine = make_engine(named("single"))
    options = [("SingleThreadedUnaryStream", 1)]
    with grpc.insecure_channel(peer.address, options=options) as bare:
        channel = resilience.grpc.intercept_channel(bare, engine, target="t")
        peer.script = [fail, fail]
        call = channel.unary_stream("/shop.Cart/Getus")(b"a")
        assert (list(call), call.code()) == ([b"a"], grpc.StatusCode.OK)
        assert len(peer.seen) == 3


def _failed(channel):
    channel.unary_unary("/shop.Cart/Unknown").future(b"a").exception()


def _listed(channel):
    list(channel.stream_stream("/shop.Cart/Getss")(iter([b"a"])))


@pytest.mark.parametrize("use", [_failed, _listed])
def test_a_channel_is_freed_with_its_last_user(peer, make_engine, use):
    """No cycle keeps it: grpcio closes a channel when nobody holds it."""
    engine = make_engine(named("freed"))
    bare = grpc.insecure_channel(peer.address)
    held = weakref.ref(bare)
    channel = resilience.grpc.intercept_channel(bare, engine, target="t")
    gc.disable()
    try:
        use(channel)
        del bare, channel
        for _ in range(1000):
            if held() is None:
                break
            threading.Event().wait(0.001)  # grpc's own threads let go of it
        assert held() is None
    finally:
        gc.enable()
