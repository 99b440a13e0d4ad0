"""C-core's retry scenarios about what ends repeats: pushback, budget, buffer, time."""

import threading

import pytest

import resilience
from tests.grpc.peers.attempts import ARITIES, WAIT_S, failing, silent
from tests.grpc.peers.clients import Source, until, ways


ARITY = ("arity", "style")
ALL = pytest.mark.parametrize(ARITY, ways(ARITIES))
UPLOADS = pytest.mark.parametrize(ARITY, ways(["stream_unary", "stream_stream"]))
LARGE = b"x" * (1 << 20)
"""One byte less than what makes the buffer overflow."""


@pytest.mark.slow
@ALL
def test_retry_server_pushback_delay(make_client, attempts, records, arity, style):
    """The server's delay is kept to the letter, in place of any backoff."""
    attempts.script = [failing(pushback="60")]
    client = make_client(style, "retry: {initial_backoff: 1h, max_backoff: 1h}")
    assert ([b"a"], "OK") == client.call(arity, b"a")[:2]
    first, second = attempts.seen
    assert second.began_at - first.began_at >= 0.06
    assert [0.06] == [e.wait_s for e in records.of("AttemptEnded") if e.wait_s]


@ALL
@pytest.mark.parametrize("pushback", ["-1", "soon"])
def test_retry_server_pushback_disabled(make_client, attempts, arity, style, pushback):
    """A negative or unreadable delay says: not again."""
    attempts.script = [failing(pushback=pushback)]
    end = make_client(style).call(arity, b"a")
    assert ([], "ABORTED") == end[:2]
    assert resilience.report(end.error).reason == "pushback"
    assert len(attempts.seen) == 1


@ALL
def test_retry_throttled(make_client, attempts, arity, style):
    """With half of the tokens spent the failure itself is handed back, at once."""
    attempts.script = [failing(code="UNAVAILABLE", details=str(n)) for n in range(9)]
    budget = "retry_budget: {kind: tokens, max_tokens: 4, token_ratio: 1.0}"
    client = make_client(style, budget)
    ends = [client.call(arity, b"a") for _ in range(2)]
    assert [("UNAVAILABLE", "1"), ("UNAVAILABLE", "2")] == [e[1:3] for e in ends]
    assert {"retry-budget"} == {resilience.report(e.error).reason for e in ends}
    assert len(attempts.seen) == 3


@ALL
@pytest.mark.parametrize("off", ["retry: off", "mode: observe", "mode: bypass"])
def test_retry_disabled(make_client, attempts, arity, style, off):
    """What is switched off makes one attempt, whatever else the policy says."""
    attempts.script = [failing()]
    assert ([], "ABORTED") == make_client(style, off).call(arity, b"a")[:2]
    assert [[b"a"]] == [seen.received for seen in attempts.seen]


@UPLOADS
def test_retry_exceeds_buffer_size_in_initial_batch(
    make_client, attempts, arity, style
):
    """A first message larger than the buffer commits the call before it fails."""
    attempts.script = [failing()]
    end = make_client(style).call(arity, LARGE + b"x")
    assert ([], "ABORTED", "scripted") == end[:3]
    assert resilience.report(end.error).reason == "committed"
    assert [1] == [len(seen.received) for seen in attempts.seen]


@pytest.mark.parametrize(ARITY, ways(["unary_unary", "unary_stream"]))
def test_large_single_requests_are_repeated(make_client, attempts, arity, style):
    """A single request needs no buffer: the caller holds it anyway.

    C-core repeats none of more than 256 KiB.
    """
    attempts.script = [failing()]
    end = make_client(style).call(arity, LARGE + b"x", timeout=WAIT_S)
    assert ("OK", [LARGE + b"x"]) == (end.code, end.messages)
    assert len(attempts.seen) == 2


@UPLOADS
def test_retry_exceeds_buffer_size_in_subsequent_batch(
    make_client, attempts, arity, style
):
    """A later message that makes the buffer overflow commits the call just so."""
    attempts.script = [failing(after=2)]
    end = make_client(style).call(arity, b"a", LARGE)
    assert ([], "ABORTED", "scripted") == end[:3]
    assert resilience.report(end.error).reason == "committed"
    assert [[b"a", LARGE]] == [seen.received for seen in attempts.seen]


@UPLOADS
def test_the_buffer_holds_what_it_is_said_to(make_client, attempts, arity, style):
    """Up to its very bounds a stream is repeated."""
    attempts.script = [failing(after=2)]
    end = make_client(style).call(arity, LARGE[1:], b"a")
    assert (LARGE[1:] + b"a", "OK") == (b"".join(end.messages), end.code)
    assert len(attempts.seen) == 2


@UPLOADS
@pytest.mark.parametrize("goes_on", [True, False])
def test_retry_exceeds_buffer_size_in_delay(
    make_client, attempts, records, *, arity, style, goes_on
):
    """Overflowing between two attempts makes the next the last; it has everything."""
    go_on = threading.Event()
    source = Source(b"a", go_on, LARGE)

    def fail(attempt):
        next(attempt.requests)
        source.wait_until_asked(2)
        attempt.context.set_trailing_metadata((("grpc-retry-pushback-ms", "50"),))
        attempt.abort()
        yield b""

    attempts.script = [fail] if goes_on else [fail, failing(after=2)]
    running = make_client(style).begin(arity, source)
    until(lambda: records.of("AttemptEnded"))
    go_on.set()
    end = running.end()
    assert [[b"a"], [b"a", LARGE]] == [seen.received for seen in attempts.seen]
    if goes_on:
        assert (b"a" + LARGE, "OK") == (b"".join(end.messages), end.code)
    else:
        assert ([], "ABORTED") == end[:2]
        assert resilience.report(end.error).reason == "committed"


@pytest.mark.slow
@ALL
def test_retry_per_attempt_recv_timeout(make_client, attempts, arity, style):
    """A silent attempt is cancelled in time, and others follow it."""
    attempts.script = [silent, failing()]
    client = make_client(style, "attempt_timeout: 200ms")
    assert ([b"a"], "OK") == client.call(arity, b"a")[:2]
    assert attempts.seen[0].left.wait(WAIT_S)
    assert len(attempts.seen) == 3


@pytest.mark.slow
@ALL
def test_retry_per_attempt_recv_timeout_on_last_attempt(
    make_client, attempts, arity, style
):
    """When the last attempt is silent, too, the call has exceeded its time.

    C-core says `CANCELLED`; ours says `DEADLINE_EXCEEDED`, and reports two attempts.
    """
    attempts.script = [silent] * 3
    more = "attempt_timeout: 60ms\nretry: {max_attempts: 2}"
    end = make_client(style, more).call(arity, b"a")
    assert ([], "DEADLINE_EXCEEDED") == end[:2]
    history = resilience.report(end.error)
    assert history.reason == "attempts-exhausted"
    assert ["DEADLINE_EXCEEDED"] * 2 == [one.code for one in history.attempts]
    if arity.endswith("stream"):
        assert end.details == "attempt timeout: no message within 0.06 s"
    assert len(attempts.seen) == 2
