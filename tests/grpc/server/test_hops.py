"""Three servers in a row: one budget, and only the layer nearest the fault retries."""

import contextlib
import threading
import time

import grpc
import pytest

import resilience
import resilience.grpc
from resilience.grpc.errors import ErrorMap
from resilience.grpc.server import server_interceptor


POLICY = """
version: 1
edition: "2026.11"
name: hops
grpc:
  all: {idempotency: safe, retry: {initial_backoff: 1ms, max_backoff: 2ms}}
"""
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def hops(serve, make_engine):
    """`hops(handler)`: a channel to A, which calls B, which calls C, the handler."""
    channels = []

    def protected(server):
        channel = resilience.grpc.intercept_channel(
            server.channel, make_engine(POLICY), target="next"
        )
        channels.append(channel)
        return channel.unary_unary("/shop.Cart/uu")

    def make(handler, errors=None, trusted=None):
        def interceptor():
            return server_interceptor(errors=errors, trusted=trusted)

        last = serve(interceptor(), uu=handler)
        to_last = protected(last)
        middle = serve(interceptor(), uu=lambda request, _: to_last(request))
        to_middle = protected(middle)
        return protected(serve(interceptor(), uu=lambda r, _: to_middle(r)))

    return make


def trailing(error):
    return {pair.key: pair.value for pair in error.trailing_metadata() or ()}


@pytest.mark.slow
def test_nobody_works_past_the_callers_deadline(hops):
    """The last of three servers has less time than the first, and is told to stop."""
    told, left, seen = threading.Event(), threading.Event(), []

    def hang(request, context):
        seen.append((context.time_remaining(), time.monotonic()))
        context.add_callback(told.set)
        told.wait(10)
        seen.append((0.0, time.monotonic()))
        left.set()
        return b"late"

    call = hops(hang, ErrorMap())
    began = time.monotonic()

    with pytest.raises(grpc.RpcError) as caught:
        call(b"x", timeout=0.2)

    ended = time.monotonic()
    assert left.wait(10)
    (allowed, _), (_, stopped) = seen
    assert grpc.StatusCode.DEADLINE_EXCEEDED is caught.value.code()
    assert allowed < 0.2
    assert ended - began < 0.35
    assert stopped - began < 0.35


def test_each_hop_keeps_a_reserve(hops):
    """A child gets what remains less 1 %: its answer has to become ours in time."""
    seen = []

    def answer(request, context):
        seen.append(context.time_remaining())
        return b"r"

    assert b"r" == hops(answer)(b"x", timeout=100)

    assert 90 < seen[0] < 100 * 0.99


@pytest.mark.parametrize("errors", [None, ErrorMap()], ids=["plain", "mapped"])
def test_only_the_layer_nearest_the_fault_retries(hops, errors):
    """Three attempts in all, where three layers of three would have made 27."""
    seen = []

    def fail(request, context):
        seen.append(request)
        context.abort(UNAVAILABLE, "down")

    with pytest.raises(grpc.RpcError) as caught:
        hops(fail, errors)(b"x", timeout=10)

    assert 3 == len(seen)
    assert "-1" == trailing(caught.value)["grpc-retry-pushback-ms"]


def test_a_relayed_status_tells_not_to_repeat_too(serve, make_engine):
    """A handler that aborts because of the error does not invite a repeat either."""
    seen = []

    def fail(request, context):
        seen.append(request)
        context.abort(UNAVAILABLE, "down")

    last = serve(uu=fail)
    inner = resilience.grpc.intercept_channel(
        last.channel, make_engine(POLICY), target="last"
    ).unary_unary("/shop.Cart/uu")

    def relay(request, context):
        try:
            return inner(request)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())

    _, error = serve(server_interceptor(), uu=relay).call()

    assert 3 == len(seen)
    assert (UNAVAILABLE, "down") == (error.code(), error.details())
    assert "-1" == trailing(error)["grpc-retry-pushback-ms"]


def test_a_handlers_own_pushback_is_kept(serve, make_engine):
    """Whoever asks to be called again in 7 ms is not contradicted."""

    def fail(request, context):
        context.abort(UNAVAILABLE, "down")

    last = serve(uu=fail)
    inner = resilience.grpc.intercept_channel(
        last.channel, make_engine(POLICY), target="last"
    ).unary_unary("/shop.Cart/uu")

    def relay(request, context):
        context.set_trailing_metadata((("grpc-retry-pushback-ms", "7"),))
        return inner(request)

    _, error = serve(server_interceptor(), uu=relay).call()

    assert "7" == trailing(error)["grpc-retry-pushback-ms"]


def test_an_unrelated_failure_may_be_repeated(serve, make_engine):
    """A handler that recovered from the call and failed of itself says nothing."""

    def fail(request, context):
        context.abort(UNAVAILABLE, "down")

    last = serve(uu=fail)
    inner = resilience.grpc.intercept_channel(
        last.channel, make_engine(POLICY), target="last"
    ).unary_unary("/shop.Cart/uu")

    def recover(request, context):
        with contextlib.suppress(grpc.RpcError):
            inner(request)
        raise ValueError

    _, error = serve(server_interceptor(), uu=recover).call()

    assert "grpc-retry-pushback-ms" not in trailing(error)


@pytest.mark.parametrize(
    ("trusted", "attempts"), [(None, 3), (lambda _: True, 1)], ids=["nobody", "all"]
)
def test_a_call_inside_a_retry_spends_less(serve, make_engine, trusted, attempts):
    """Where the caller has tried twice before, ours has one of its three attempts."""
    seen = []

    def fail(request, context):
        seen.append(request)
        context.abort(UNAVAILABLE, "down")

    last = serve(uu=fail)
    inner = resilience.grpc.intercept_channel(
        last.channel, make_engine(POLICY), target="last"
    ).unary_unary("/shop.Cart/uu")
    middle = serve(server_interceptor(trusted=trusted), uu=lambda r, _: inner(r))

    middle.call(metadata=(("x-retry-attempt", "2"),))

    assert attempts == len(seen)


@pytest.mark.parametrize("timeout", [10, None])
def test_attempts_and_criticality_travel(serve, make_engine, timeout):
    """What a trusted peer said of a call goes on with the calls made for it."""
    seen = []

    def look(request, context):
        seen.append({pair.key: pair.value for pair in context.invocation_metadata()})
        return b"r"

    last = serve(uu=look)
    inner = resilience.grpc.intercept_channel(
        last.channel, make_engine(POLICY), target="last"
    ).unary_unary("/shop.Cart/uu")
    middle = serve(server_interceptor(trusted=lambda _: True), uu=lambda r, _: inner(r))
    marks = (("x-retry-attempt", "2"), ("x-resilience-criticality", "sheddable"))

    middle.call(metadata=marks, timeout=timeout)
    middle.call(timeout=timeout)

    marked, plain = seen
    assert "2" == marked["x-resilience-previous-attempts"]
    assert "sheddable" == marked["x-resilience-criticality"]
    assert "grpc-previous-rpc-attempts" not in marked
    assert not [key for key in plain if key.startswith("x-")]


def test_detached_work_has_no_callers_budget(serve, make_engine):
    """A call made in `detached()` has no deadline and no attempts of its caller's."""
    seen = []

    def look(request, context):
        seen.append(context.time_remaining())
        return b"r"

    last = serve(uu=look)
    inner = resilience.grpc.intercept_channel(
        last.channel, make_engine(POLICY), target="last"
    ).unary_unary("/shop.Cart/uu")

    def detach(request, context):
        inner(request)
        with resilience.detached():
            return inner(request)

    serve(server_interceptor(), uu=detach).call(timeout=10)

    assert seen[0] < 10
    assert seen[1] > 1e9


def test_a_future_is_cancelled_with_the_call_it_was_made_for(serve, make_engine):
    """When the caller leaves, what the handler opened for him is stopped."""
    reached, stopped, ended = (threading.Event() for _ in range(3))

    def hang(request, context):
        context.add_callback(stopped.set)
        reached.set()
        stopped.wait(10)
        return b"r"

    last = serve(uu=hang)
    inner = resilience.grpc.intercept_channel(
        last.channel, make_engine(POLICY), target="last"
    ).unary_unary("/shop.Cart/uu")

    def wait(request, context):
        future = inner.future(request)
        try:
            return future.result(timeout=10)
        except grpc.FutureCancelledError:
            ended.set()
            raise

    middle = serve(server_interceptor(), uu=wait)
    call = middle.channel.unary_unary("/shop.Cart/uu").future(b"x", timeout=60)
    assert reached.wait(10)

    call.cancel()

    assert stopped.wait(10)
    assert ended.wait(10)


def test_a_blocking_call_makes_no_attempt_for_a_caller_that_left(serve, make_engine):
    """Its wait for the next attempt ends, with the error of the attempt it made."""
    failed, ended, seen = threading.Event(), threading.Event(), []

    def fail(request, context):
        failed.set()
        context.abort(UNAVAILABLE, "down")

    last = serve(uu=fail)
    slowly = POLICY.replace("1ms", "9s").replace("2ms", "9s, jitter: none")
    inner = resilience.grpc.intercept_channel(
        last.channel, make_engine(slowly), target="last"
    ).unary_unary("/shop.Cart/uu")

    def wait(request, context):
        try:
            return inner(request)
        except grpc.RpcError as error:
            seen.append((error.code(), resilience.report(error).reason))
            ended.set()
            raise

    middle = serve(server_interceptor(), uu=wait)
    call = middle.channel.unary_unary("/shop.Cart/uu").future(b"x", timeout=60)
    assert failed.wait(10)

    call.cancel()

    assert ended.wait(10)
    assert [(UNAVAILABLE, "cancelled")] == seen
