"""C-core's retry scenarios about calls that are cancelled, or dropped, on the way."""

import gc
import threading

import pytest

from tests.grpc.peers.attempts import ARITIES, WAIT_S, failing, silent
from tests.grpc.peers.clients import STEERED, Source, until, ways


ARITY = ("arity", "style")
ALL = pytest.mark.parametrize(ARITY, ways(ARITIES, STEERED))
UPLOADS = pytest.mark.parametrize(
    ARITY, ways(["stream_unary", "stream_stream"], STEERED)
)
ANSWERS = pytest.mark.parametrize(
    ARITY, ways(["unary_stream", "stream_stream"], STEERED)
)
SLOWLY = "retry: {initial_backoff: 1h, max_backoff: 1h, jitter: none}"
CANCELLED = ("CANCELLED", "Locally cancelled by application!")


def is_gone(carried):
    gc.collect()
    return carried() is None


@ALL
def test_retry_cancel_during_delay(make_client, attempts, records, arity, style):
    """Cancelling between two attempts ends the call and its wait; nothing follows."""
    attempts.script = [failing()]
    running = make_client(style, SLOWLY).begin(arity, b"a")
    until(lambda: records.of("AttemptEnded"))
    assert running.cancel()
    assert not running.cancel()
    assert ([], *CANCELLED) == running.end()[:3]
    until(lambda: records.of("CallEnded"))
    (ended,) = records.of("CallEnded")
    assert ("cancelled", 1) == (ended.reason, ended.attempts)
    carried = running.drop()
    until(lambda: is_gone(carried))  # its timer holds it no more
    assert len(attempts.seen) == 1


@ALL
def test_retry_cancellation(make_client, attempts, records, arity, style):
    """Cancelling in a repeated attempt cancels that attempt; none follows."""
    attempts.script = [failing(), silent]
    running = make_client(style).begin(arity, b"a")
    second = attempts.wait_for(2)
    assert running.cancel()
    assert second.left.wait(WAIT_S)
    assert ([], *CANCELLED) == running.end()[:3]
    until(lambda: records.of("CallEnded"))
    assert "cancelled" == records.of("CallEnded")[0].reason
    carried = running.drop()
    until(lambda: is_gone(carried))
    assert len(attempts.seen) == 2


@ALL
def test_retry_cancel_after_first_attempt_starts(
    make_client, attempts, records, arity, style
):
    """A call that is cancelled as soon as it was begun ends so, and leaves nothing."""
    attempts.script = [silent]
    client = make_client(style)
    running = client.begin(arity, b"a")
    assert running.cancel()
    assert ([], *CANCELLED) == running.end()[:3]
    until(lambda: records.of("CallEnded"))
    assert ("cancelled", 1) == records.of("CallEnded")[0][3:5]
    carried = running.drop()
    until(lambda: is_gone(carried))
    assert len(attempts.seen) <= 1
    attempts.script = []
    assert "OK" == client.call(arity, b"b").code


@UPLOADS
def test_retry_cancel_with_multiple_send_batches(make_client, attempts, arity, style):
    """The same amid an upload; who waits in the source is let go with its next."""
    attempts.script = [failing(after=2), silent]
    go_on = threading.Event()
    source = Source(b"a", b"b", go_on, b"c", b"d")
    running = make_client(style).begin(arity, source)
    second = attempts.wait_for(2)
    source.wait_until_asked(3)
    assert running.cancel()
    assert second.left.wait(WAIT_S)
    assert ([], *CANCELLED) == running.end()[:3]
    carried = running.drop()
    go_on.set()
    until(lambda: not source.inside)
    until(lambda: is_gone(carried))
    assert (source.given, source.most) == (3, 1)
    assert len(attempts.seen) == 2


DROPPED = [*ways(ARITIES, ["future"]), ("unary_stream", "asyncio")]


@pytest.mark.parametrize(ARITY, DROPPED)
@pytest.mark.parametrize("when", ["attempt", "wait"])
def test_retry_unref_before_recv(make_client, attempts, records, *, arity, style, when):
    """A call that nobody can ask any more is cancelled, and collected.

    Other asyncio calls go on without their handle, as grpcio's own do: what awaits the
    single answer, or reads the requests, holds them.
    """
    attempts.script = [failing() if when == "wait" else silent]
    running = make_client(style, SLOWLY).begin(arity, b"a")
    attempts.wait_for(1)
    if when == "wait":
        until(lambda: records.of("AttemptEnded"))
    carried = running.drop()
    until(lambda: is_gone(carried))
    until(lambda: records.of("CallEnded"))
    assert "cancelled" == records.of("CallEnded")[0].reason
    assert attempts.seen[0].left.wait(WAIT_S)
    assert len(attempts.seen) == 1


@ANSWERS
def test_retry_unref_before_finish(make_client, attempts, arity, style):
    """A stream that is dropped half read is cancelled, and collected."""

    def answer_once(attempt):
        yield next(attempt.requests)
        attempt.linger()

    attempts.script = [failing(), answer_once]
    running = make_client(style).begin(arity, b"a")
    assert running.next() == b"a"
    carried = running.drop()
    until(lambda: is_gone(carried) or attempts.seen[1].left.is_set())
    assert attempts.seen[1].left.wait(WAIT_S)
    until(lambda: is_gone(carried))
    assert len(attempts.seen) == 2
