"""The blocking server interceptor: what is adopted, dropped, told and counted."""

import logging
import threading
import time
from concurrent import futures

import grpc
import pytest

import resilience.propagation
from resilience.context import ambient_criticality, ambient_deadline, inbound, monotonic
from resilience.grpc.server import server_interceptor


METHOD = "/shop.Cart/Get"


def trailing(call):
    return {pair.key: pair.value for pair in call.trailing_metadata() or ()}


def seen_by(arity, look):
    """A handler of *arity* that calls *look* in its every step."""
    if arity == "uu":
        return lambda request, context: look(context) or b"r"
    if arity == "su":
        return lambda requests, context: [*requests] and (look(context) or b"r")

    def stream(request, context):
        for _ in range(3):
            look(context)
            yield b"r"

    return stream


ARITIES = ["uu", "us", "su", "ss"]


@pytest.mark.parametrize("arity", ARITIES)
def test_the_inbound_deadline_is_the_ambient_one(serve, arity):
    """In each step a handler's calls may spend its caller's time, less 1 %."""
    found = []

    def look(context):
        left = ambient_deadline() - monotonic()
        found.append((left, context.time_remaining() - left))

    server = serve(server_interceptor(), **{arity: seen_by(arity, look)})

    _, call = server.call(arity, timeout=20)

    assert call.code() is grpc.StatusCode.OK
    assert len(found) == (3 if arity in ("us", "ss") else 1)
    for left, reserve in found:
        assert 10 < left < 20
        assert 0.15 < reserve < 0.25


@pytest.mark.parametrize("arity", ARITIES)
def test_no_deadline_is_none(serve, arity):
    """Grpcio reports 9.2e18 seconds where the caller set no deadline: there is none."""
    found = []
    look = seen_by(
        arity, lambda c: found.append((c.time_remaining() > 1e9, ambient_deadline()))
    )
    server = serve(server_interceptor(), **{arity: look})

    server.call(arity, timeout=None)

    assert {(True, None)} == set(found)


@pytest.mark.parametrize("arity", ARITIES)
def test_nothing_of_a_call_is_left_behind(serve, arity):
    """The next call on the same thread sees its own deadline, or none."""
    found = []
    look = seen_by(arity, lambda _: found.append(ambient_deadline()))
    server = serve(server_interceptor(), **{arity: look})

    server.call(arity, timeout=8)
    count = len(found)
    for _ in range(10):
        server.call(arity, timeout=None)

    assert None not in found[:count]
    assert {None} == set(found[count:])


MARKS = (
    ("grpc-previous-rpc-attempts", "2"),
    ("x-retry-attempt", "2"),
    ("x-resilience-previous-attempts", "1"),
    ("x-resilience-criticality", "sheddable"),
)


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [
        (None, (0, None)),
        (lambda context: False, (0, None)),
        (lambda context: 1 / 0, (0, None)),
        (lambda context: context.peer().startswith("ipv4:127."), (3, "sheddable")),
    ],
)
def test_marks_are_believed_from_trusted_peers_only(serve, trusted, expected):
    """By default nobody is trusted; nor is he who cannot be judged."""
    found = []
    look = seen_by(
        "uu",
        lambda _: found.append(
            (inbound.get().previous_attempts, ambient_criticality.get())
        ),
    )
    server = serve(server_interceptor(trusted=trusted), uu=look)

    _, call = server.call(metadata=MARKS)

    assert call.code() is grpc.StatusCode.OK
    assert [expected] == found


def test_both_ends_have_the_same_id(serve, caplog):
    """Each answer names the server and the id under which the server logs the call."""

    def fail(request, context):
        context.abort(grpc.StatusCode.INTERNAL, "no")

    server = serve(server_interceptor(identity="pod-7"), uu=fail)

    with caplog.at_level(logging.WARNING, "resilience.server"):
        _, error = server.call()

    told = trailing(error)
    (line,) = [r for r in caplog.records if r.name == "resilience.server"]
    assert "pod-7" == told["x-resilience-server"]
    assert told["x-resilience-call"] == line.resilience["call_id"]
    assert "pod-7" == line.resilience["server"]


def test_a_failure_is_said_once_with_the_time_left(serve, caplog):
    """One line for each failure: method, code, time left."""

    def fail(request, context):
        raise KeyError(request)

    server = serve(server_interceptor(), uu=fail)

    with caplog.at_level(logging.INFO, "resilience.server"):
        server.call(request=b"payload", timeout=9)

    (line,) = [r for r in caplog.records if r.name == "resilience.server"]
    fields = line.resilience
    assert ("shop.Cart/uu", "UNKNOWN") == (fields["method"], fields["code"])
    assert 5 < fields["time_left_s"] < 10
    assert "KeyError" == fields["error"]
    assert "payload" not in line.getMessage()
    assert logging.WARNING == line.levelno


def test_an_empty_identity_says_nothing_of_the_server(serve):
    """A server that faces outsiders need not name itself; the call id stays."""
    server = serve(server_interceptor(identity=""), uu=lambda request, context: b"r")

    _, call = server.call()

    assert {"x-resilience-call"} == set(trailing(call))


@pytest.mark.slow
@pytest.mark.parametrize("arity", ARITIES)
def test_work_whose_time_is_up_is_not_begun(serve, arity):
    """A call whose deadline passed while it waited for a thread never runs."""
    ran, done = [], threading.Event()

    class Late(grpc.ServerInterceptor):
        """As a server that was too busy: the call comes to us after its end."""

        def intercept_service(self, continuation, details):
            handler = continuation(details)
            name = {"uu": "unary_unary", "us": "unary_stream"}.get(
                arity, {"su": "stream_unary", "ss": "stream_stream"}.get(arity)
            )
            inner = getattr(handler, name)

            def later(request, context):
                ended = threading.Event()
                context.add_callback(ended.set)
                ended.wait(10)
                try:
                    return inner(request, context)
                finally:
                    done.set()

            return handler._replace(**{name: later})

    ours = server_interceptor()
    server = serve(Late(), ours, **{arity: seen_by(arity, ran.append)})

    _, error = server.call(arity, timeout=0.1)

    assert done.wait(10)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert [] == ran
    assert 1 == ours.counts().dropped_deadline + ours.counts().dropped_gone


def test_a_caller_that_has_left_is_not_served(serve):
    """The handler of a call that was cancelled before it started never runs."""
    ran, held, go = [], threading.Event(), threading.Event()

    class Hold(grpc.ServerInterceptor):
        def intercept_service(self, continuation, details):
            handler = continuation(details)

            def later(request, context):
                ended = threading.Event()
                context.add_callback(ended.set)
                held.set()
                ended.wait(10)
                try:
                    return handler.unary_unary(request, context)
                finally:
                    go.set()

            return handler._replace(unary_unary=later)

    ours = server_interceptor()
    server = serve(Hold(), ours, uu=seen_by("uu", ran.append))
    call = server.channel.unary_unary("/shop.Cart/uu").future(b"x", timeout=60)
    assert held.wait(10)

    call.cancel()

    assert go.wait(10)
    assert [] == ran
    assert (1, 1) == (ours.counts().served, ours.counts().dropped_gone)


def test_what_finishes_after_its_caller_left_is_counted(serve):
    """A handler that went on for nobody is work to be seen."""
    begun, left = threading.Event(), threading.Event()
    ended = threading.Event()

    def slow(request, context):
        context.add_callback(left.set)
        begun.set()
        left.wait(10)
        return b"r"

    class Watch(grpc.ServerInterceptor):
        def intercept_service(self, continuation, details):
            handler = continuation(details)

            def watched(request, context):
                try:
                    return handler.unary_unary(request, context)
                finally:
                    ended.set()

            return handler._replace(unary_unary=watched)

    ours = server_interceptor()
    server = serve(Watch(), ours, uu=slow)
    call = server.channel.unary_unary("/shop.Cart/uu").future(b"x", timeout=60)
    assert begun.wait(10)

    call.cancel()

    assert ended.wait(10)
    assert (1, 1) == (ours.counts().served, ours.counts().late)


def test_a_stream_that_was_left_is_counted(serve):
    """Grpcio drops the responses of a caller that has left: the handler is stopped."""
    ours = server_interceptor()
    stopped = threading.Event()

    def endless(request, context):
        try:
            while True:
                yield b"r"
        finally:
            stopped.set()

    server = serve(ours, us=endless)
    call = server.channel.unary_stream("/shop.Cart/us")(b"x", timeout=60)
    next(call)

    call.cancel()

    assert stopped.wait(10)
    while not ours.counts().served:
        time.sleep(0)
    assert (1, 1) == (ours.counts().served, ours.counts().cancelled)


@pytest.mark.parametrize("mode", ["bypass", "observe"])
def test_an_engine_that_does_not_act_leaves_calls_alone(serve, make_engine, mode):
    """In bypass and observe nothing is adopted and nothing is told."""
    engine = make_engine()
    engine.mode = mode
    found = []
    look = seen_by("uu", lambda _: found.append((inbound.get(), ambient_deadline())))
    ours = server_interceptor(engine)
    server = serve(ours, uu=look)

    _, call = server.call(timeout=9)

    assert [(None, None)] == found
    assert {} == trailing(call)
    assert (0 if mode == "bypass" else 1) == ours.counts().served


def test_the_engine_gets_a_record_of_each_call(serve, engine, records):
    """Sinks see every call that was served, with what its caller allowed."""
    server = serve(server_interceptor(engine), uu=lambda request, context: b"r")

    server.call(timeout=9)

    (served,) = records.of("Served")
    assert ("shop.Cart/uu", "OK", "ok") == (served.method, served.code, served.reason)
    assert 5 < served.budget_s < 10
    assert served.time_left_s <= served.budget_s


def test_a_fault_of_ours_fails_no_call(serve, caplog):
    """Whatever breaks inside the interceptor is counted, and the call goes on."""

    class Broken:
        def look(self):
            raise RuntimeError

    ours = server_interceptor(Broken())
    server = serve(ours, uu=lambda request, context: b"r")

    response, call = server.call()

    assert (b"r", grpc.StatusCode.OK) == (response, call.code())
    assert 1 == ours.counts().faults


def test_a_non_blocking_handler_is_left_alone(serve):
    """Grpcio's experimental handlers, which send by callback, work as they are."""

    def answer(request, context, send):
        send(b"a")
        send(None)

    answer.experimental_non_blocking = True
    server = serve(server_interceptor(), us=answer)

    got, call = server.call("us")

    assert ([b"a"], grpc.StatusCode.OK) == (got, call.code())


def test_a_handlers_own_pool_is_kept(serve):
    """A handler that asks for its own threads gets them."""
    names = []
    with futures.ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:

        def answer(request, context):
            names.append(threading.current_thread().name)
            return b"r"

        answer.experimental_thread_pool = pool
        server = serve(server_interceptor(), uu=answer)

        server.call()

    assert names
    assert names[0].startswith("mine")


def test_what_a_handler_leaves_behind_is_bound_no_more(serve):
    """Work that outlives its call has no deadline of a caller who has his answer."""
    found, ended, done = [], threading.Event(), threading.Event()

    def leave(request, context):
        def later():
            found.append(ambient_deadline())
            ended.wait(10)
            found.append(ambient_deadline())
            done.set()

        threading.Thread(target=resilience.propagation.propagate(later)).start()
        return b"r"

    server = serve(server_interceptor(), uu=leave)
    server.call(timeout=9)
    ended.set()

    assert done.wait(10)
    assert found[0] is not None
    assert found[1] is None
