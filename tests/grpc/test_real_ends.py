"""Ends of RPCs made for real: what arrives, and what the engine makes of it."""

import asyncio
import socket

import grpc
import grpc.aio
import pytest

import resilience
import resilience.grpc


GET, PUT = "/shop.Cart/Get", "/shop.Cart/Put"
"""The one is declared safe, the other is not declared."""


def ask(address, engine, method, how="call"):
    """One call; the report of its failure."""

    async def awaited():
        async with grpc.aio.insecure_channel(address) as bare:
            channel = resilience.grpc.aio.intercept_channel(bare, engine, target="cart")
            await channel.unary_unary(method)(b"a")

    with pytest.raises(grpc.RpcError) as raised:  # noqa: PT012 - one call, three ways
        if how == "aio":
            asyncio.run(awaited())
        else:
            with grpc.insecure_channel(address) as bare:
                channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
                multicallable = channel.unary_unary(method)
                if how == "future":
                    multicallable.future(b"a").result()
                multicallable(b"a")
    return resilience.report(raised.value)


WAYS = pytest.mark.parametrize("how", ["call", "future", "aio"])


@WAYS
def test_a_refused_connection_is_repeated_for_any_method(refused_address, engine, how):
    """The channel itself met the refusal: even an undeclared method is repeated."""
    report = ask(refused_address, engine, PUT, how)

    assert ["no"] * 3 == [attempt.reached for attempt in report.attempts]
    assert not report.ambiguous
    assert report.reason == "attempts-exhausted"


@WAYS
def test_a_name_that_does_not_resolve_is_our_fault(engine, records, how):
    """DNS is this side's: repeated, and no evidence against the target."""
    report = ask("nope.invalid:1", engine, PUT, how)

    assert len(report.attempts) == 3
    assert all(ended.outcome.ours for ended in records.of("AttemptEnded"))


@WAYS
def test_a_relayed_refusal_is_not_believed(server, engine, how):
    """A server that repeats another's refusal has been reached itself."""
    server.script[:] = [
        (grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses; last error")
    ]
    report = ask(server.address, engine, PUT, how)

    assert ["maybe"] == [attempt.reached for attempt in report.attempts]
    assert report.reason == "idempotency"


@WAYS
def test_a_killed_server_may_have_executed(hanging_process, engine, how):
    """A process that dies in a call leaves it open whether it acted."""
    import threading

    def kill():
        hanging_process.stdout.readline()
        hanging_process.kill()

    threading.Thread(target=kill, daemon=True).start()
    report = ask(f"127.0.0.1:{hanging_process.port}", engine, PUT, how)

    assert report.reason == "idempotency"
    assert report.ambiguous


@WAYS
def test_a_refused_stream_without_trust_may_have_been_sent(bad_peer, engine, how):
    """REFUSED_STREAM over a healthy connection could be a relay's words."""
    peer = bad_peer("rst", 7)
    report = ask(peer.address, engine, PUT, how)

    assert ["maybe"] == [attempt.reached for attempt in report.attempts]
    assert peer.requests == 1


@WAYS
def test_a_refused_stream_with_trust_is_repeated_free(
    bad_peer, make_engine, policy, how
):
    """Trusted, unprocessed work is repeated at once, for any method, up to a bound."""
    peer = bad_peer("rst", 7)
    trusting = policy.replace(
        "all: {retry", "all: {trust_transport_details: true, retry"
    )
    report = ask(peer.address, make_engine(trusting), PUT, how)

    assert peer.requests > 3
    assert {"no"} == {attempt.reached for attempt in report.attempts}
    assert not report.ambiguous


@WAYS
def test_a_reset_in_a_call_may_have_executed(bad_peer, engine, how):
    """Another reset says nothing about what was done."""
    peer = bad_peer("rst", 2)
    report = ask(peer.address, engine, PUT, how)

    assert ["INTERNAL"] == [attempt.code for attempt in report.attempts]
    assert ["transport"] == [attempt.kind for attempt in report.attempts]
    assert report.reason == "idempotency"


@WAYS
def test_a_connection_closed_in_a_call_may_have_executed(bad_peer, engine, how):
    """A connection that breaks off leaves it open."""
    report = ask(bad_peer("close").address, engine, PUT, how)

    assert report.attempts[0].reached == "maybe"
    assert report.reason == "idempotency"


def test_goaway_is_unprocessed(bad_peer, make_engine, policy):
    """GOAWAY below the stream's number: the peer says it did nothing."""
    peer = bad_peer("goaway")
    trusting = policy.replace(
        "all: {retry", "all: {trust_transport_details: true, retry"
    )
    with grpc.insecure_channel(
        peer.address, options=resilience.grpc.channel_options()
    ) as bare:
        channel = resilience.grpc.intercept_channel(
            bare, make_engine(trusting), target="cart"
        )
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary(PUT)(b"a")

    report = resilience.report(raised.value)
    assert "unprocessed" in {attempt.reason for attempt in report.attempts}
    assert peer.requests > 1


def test_a_peer_that_speaks_http_1_is_permanent(engine):
    """No repeat helps against a web server; the error says so."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        try:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(100)
        except OSError:
            pass

    import threading

    threading.Thread(target=serve, daemon=True).start()
    report = ask(f"127.0.0.1:{listener.getsockname()[1]}", engine, GET)
    listener.close()

    assert ["permanent"] == [attempt.kind for attempt in report.attempts]
    assert "HTTP/2" in report.hint


def test_an_attempts_own_deadline_is_a_transport_matter(server, make_engine, policy):
    """An attempt that took too long is repeated for a safe method."""
    import threading

    release = threading.Event()
    server.script[:] = [lambda request, context: release.wait(5) and request]
    quick = policy.replace("all: {retry", "all: {attempt_timeout: 50ms, retry")
    with grpc.insecure_channel(server.address) as bare:
        channel = resilience.grpc.intercept_channel(
            bare, make_engine(quick), target="cart"
        )
        assert channel.unary_unary(GET)(b"a") == b"a"
    release.set()

    assert len(server.seen) == 2
