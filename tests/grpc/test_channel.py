"""The wrapped channel: everything that is not a unary call is the inner channel's."""

import threading

import grpc
import pytest

import resilience
import resilience.grpc


GET = "/shop.Cart/Get"


def test_connectivity_is_the_inner_channels(engine):
    """`grpc.channel_ready_future` and subscriptions reach the inner channel."""
    asked = []

    class Inner:
        def subscribe(self, callback, try_to_connect=None):
            asked.append(("subscribe", try_to_connect))
            callback(grpc.ChannelConnectivity.READY)

        def unsubscribe(self, callback):
            asked.append(("unsubscribe",))

    channel = resilience.grpc.intercept_channel(Inner(), engine, target="cart")
    future = grpc.channel_ready_future(channel)

    assert future.result(timeout=5) is None
    channel.subscribe(print)
    channel.unsubscribe(print)
    expected = {("subscribe", True), ("subscribe", None), ("unsubscribe",)}
    assert expected == set(asked)
    assert isinstance(channel, grpc.Channel)


def test_the_channel_is_a_context_manager(server, engine):
    """Leaving the block closes the inner channel."""
    bare = grpc.insecure_channel(server.address)
    wrapped = resilience.grpc.intercept_channel(bare, engine, target="cart")
    with wrapped as channel:
        assert channel is wrapped
        assert channel.unary_unary(GET)(b"a") == b"a"

    with pytest.raises(ValueError, match="closed"):
        bare.unary_unary(GET)(b"a")


def test_what_tools_look_for_is_found(channel):
    """Attributes of the inner channel show through; unknown ones are errors."""
    assert channel._target.startswith("127.0.0.1")
    with pytest.raises(AttributeError):
        channel.nothing_of_the_kind  # noqa: B018 - looked up


def test_a_wrapped_channel_can_be_intercepted(server, channel):
    """Grpcio's own interceptors go around the wrapper as around any channel."""
    seen = []

    class Above(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation, details, request):
            seen.append(details.method)
            return continuation(details, request)

    server.script[:] = [grpc.StatusCode.UNAVAILABLE]
    above = grpc.intercept_channel(channel, Above())

    assert above.unary_unary(GET)(b"a") == b"a"
    assert above.unary_unary(GET).future(b"a").result() == b"a"
    assert [GET, GET] == seen
    assert len(server.seen) == 3


def test_an_instrumented_channel_is_wrapped(server, engine):
    """OpenTelemetry's channel below works: each attempt goes through it."""
    from opentelemetry.instrumentation.grpc import client_interceptor
    from opentelemetry.instrumentation.grpc.grpcext import (
        intercept_channel,
    )

    server.script[:] = [grpc.StatusCode.UNAVAILABLE]
    with grpc.insecure_channel(server.address) as bare:
        traced = intercept_channel(bare, client_interceptor())
        channel = resilience.grpc.intercept_channel(traced, engine, target="cart")
        assert channel.unary_unary(GET)(b"a") == b"a"
        assert channel.unary_unary(GET).with_call(b"a")[0] == b"a"

    assert len(server.seen) == 3


def test_generated_stubs_work(server, engine):
    """A stub passes `_registered_method`, and serializers by name."""
    with grpc.insecure_channel(server.address) as bare:
        channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
        method = channel.unary_unary(
            GET,
            request_serializer=str.encode,
            response_deserializer=bytes.decode,
            _registered_method=True,
        )

        assert method("a") == "a"


def test_one_engine_serves_many_threads(server, channel):
    """Multicallables are shared between threads."""
    method = channel.unary_unary(GET)
    server.script[:] = [grpc.StatusCode.UNAVAILABLE] * 2  # fewer than attempts
    answers = []

    def work():
        answers.extend(method(b"a") for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [b"a"] * 80 == answers
    assert len(server.seen) == 82
