"""C-core's retry scenarios about what is repeated, and until when."""

import threading

import pytest

import resilience
from tests.grpc.peers.attempts import ARITIES, echo, failing, failing_late
from tests.grpc.peers.clients import STEERED, Source, until, ways


ARITY = ("arity", "style")
ALL = pytest.mark.parametrize(ARITY, ways(ARITIES))
UPLOADS = pytest.mark.parametrize(ARITY, ways(["stream_unary", "stream_stream"]))
ANSWERS = pytest.mark.parametrize(ARITY, ways(["unary_stream", "stream_stream"]))
STEERABLE = pytest.mark.parametrize(ARITY, ways(ARITIES, STEERED))
PREVIOUS = "grpc-previous-rpc-attempts"


@ALL
def test_retry(make_client, attempts, arity, style):
    """A listed failure is repeated; the repeat says how many attempts came before."""
    attempts.script = [failing(), failing()]
    end = make_client(style).call(arity, b"a")
    assert ([b"a"], "OK") == (end.messages, end.code)
    assert [[], ["1"], ["2"]] == [seen.values(PREVIOUS) for seen in attempts.seen]
    assert [[b"a"]] * 3 == [seen.received for seen in attempts.seen]


@UPLOADS
def test_retry_streaming(make_client, attempts, arity, style):
    """What was sent before the failure is sent again, and the rest follows it."""
    attempts.script = [failing(after=2)]
    go_on = threading.Event()
    running = make_client(style).begin(arity, Source(b"a", b"b", go_on, b"c"))
    attempts.wait_for(2)
    go_on.set()
    end = running.end()
    assert (b"abc", "OK") == (b"".join(end.messages), end.code)
    assert [[b"a", b"b"], [b"a", b"b", b"c"]] == [s.received for s in attempts.seen]


@pytest.mark.parametrize("style", STEERED)
def test_retry_streaming_after_commit(make_client, attempts, style):
    """After the first answer both directions go on, on the attempt that gave it."""
    attempts.script = [failing()]
    second, third = threading.Event(), threading.Event()
    source = Source(b"a", second, b"b", third, b"c")
    running = make_client(style).begin("stream_stream", source)
    assert running.next() == b"a"
    second.set()
    assert running.next() == b"b"
    third.set()
    assert ([b"a", b"b", b"c"], "OK") == running.end()[:2]
    assert [[b"a"], [b"a", b"b", b"c"]] == [seen.received for seen in attempts.seen]


@UPLOADS
def test_retry_streaming_succeeds_before_replay_finished(
    make_client, attempts, arity, style
):
    """An answer may come before all was sent again; nothing more is read then."""
    never = threading.Event()
    source = Source(b"a", b"b", b"c", never, b"d", b"e")

    def fail(attempt):
        for _ in range(3):
            next(attempt.requests)
        source.wait_until_asked(4)
        attempt.abort()
        yield b""

    def answer(attempt):
        yield next(attempt.requests)

    attempts.script = [fail, answer]
    end = make_client(style).call(arity, source)
    assert ([b"a"], "OK") == (end.messages, end.code)
    assert (source.given, source.most, source.inside) == (3, 1, 1)
    never.set()  # who reads the application's iterator can leave it now
    until(lambda: not source.inside)
    assert source.given == 4


@ALL
def test_retry_too_many_attempts(make_client, attempts, arity, style):
    """Attempts end with the policy's maximum, and the last status is the call's."""
    attempts.script = [failing(details=text) for text in ("1st", "2nd", "3rd", "4th")]
    end = make_client(style).call(arity, b"a")
    assert ([], "ABORTED", "3rd") == end[:3]
    assert resilience.report(end.error).reason == "attempts-exhausted"
    assert len(attempts.seen) == 3


@ALL
def test_retry_non_retriable_status(make_client, attempts, arity, style):
    """A status that is not listed is not repeated."""
    attempts.script = [failing("INVALID_ARGUMENT")]
    end = make_client(style).call(arity, b"a")
    assert ([], "INVALID_ARGUMENT", "scripted") == end[:3]
    assert len(attempts.seen) == 1


@STEERABLE
def test_retry_non_retriable_status_before_recv_trailing_metadata_started(
    make_client, attempts, records, arity, style
):
    """The same when the status is there long before anybody asks for it."""
    attempts.script = [failing("INVALID_ARGUMENT")]
    running = make_client(style).begin(arity, b"a")
    until(lambda: records.of("CallEnded"))
    assert ([], "INVALID_ARGUMENT", "scripted") == running.end()[:3]
    assert len(attempts.seen) == 1


@ANSWERS
@pytest.mark.parametrize("shown", [True, False])
def test_retry_recv_initial_metadata(make_client, attempts, arity, style, shown):
    """Headers commit a call once the application saw them.

    C-core commits when they arrive; ours goes on repeating while nobody knows of them.
    """
    asked = threading.Event()

    def fail_after_headers(attempt):
        attempt.context.send_initial_metadata((("k", "1"),))
        next(attempt.requests)
        assert asked.wait(20)
        attempt.abort()
        yield b""

    attempts.script = [fail_after_headers]
    running = make_client(style).begin(arity, b"a")
    if shown:
        assert [("k", "1")] == running.headers()
    asked.set()
    expected = ([], "ABORTED") if shown else ([b"a"], "OK")
    assert expected == running.end()[:2]
    assert len(attempts.seen) == (1 if shown else 2)


@ANSWERS
def test_retry_recv_message(make_client, attempts, arity, style):
    """After the first message there is no repeat."""
    attempts.script = [failing_late]
    end = make_client(style).call(arity, b"a")
    assert ([b"a"], "ABORTED") == end[:2]
    assert len(attempts.seen) == 1


@ANSWERS
def test_retry_recv_message_replay(make_client, attempts, arity, style):
    """Who waits for messages and headers over two attempts gets each just once."""

    def answer(attempt):
        attempt.context.send_initial_metadata((("k", "2"),))
        yield from echo(attempt)

    attempts.script = [failing(), answer]
    running = make_client(style).begin(arity, b"a")
    assert running.next() == b"a"
    assert [("k", "2")] == running.headers()
    assert running.next() is None
    assert ([b"a"], "OK") == running.end()[:2]
    assert [[b"a"], [b"a"]] == [seen.received for seen in attempts.seen]
