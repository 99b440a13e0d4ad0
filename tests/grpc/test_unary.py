"""Unary-unary calls against a real server: blocking, as futures, and awaited."""

import asyncio
import uuid

import grpc
import grpc.aio
import pytest

import resilience
import resilience.grpc


GET, CHARGE = "/shop.Cart/Get", "/shop.Cart/Charge"
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture(params=["call", "with_call", "future", "aio"])
def ask(request, server):
    """`ask(engine, method, **options)`: one call by each of the ways to make it."""

    async def awaited(engine, method, options):
        async with grpc.aio.insecure_channel(server.address) as bare:
            channel = resilience.grpc.aio.intercept_channel(bare, engine, target="cart")
            return await channel.unary_unary(method)(b"a", **options)

    def run(engine, method=GET, **options):
        if request.param == "aio":
            return asyncio.run(awaited(engine, method, options))
        with grpc.insecure_channel(server.address) as bare:
            channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
            multicallable = channel.unary_unary(method)
            if request.param == "future":
                return multicallable.future(b"a", **options).result()
            if request.param == "with_call":
                return multicallable.with_call(b"a", **options)[0]
            return multicallable(b"a", **options)

    run.kind = request.param
    return run


def test_a_healthy_call_adds_nothing(ask, server, engine, records):
    """One attempt, no metadata of ours, one record."""
    assert ask(engine, metadata=(("k", "1"), ("k", "2"))) == b"a"
    (seen,) = server.seen
    assert ["1", "2"] == seen.values("k")
    assert ["user-agent"] == sorted({name for name, _ in seen.metadata} - {"k"})
    assert seen.time_remaining is None
    (ended,) = records.of("CallEnded")
    assert ("ok", 1) == (ended.reason, ended.attempts)


def test_a_safe_call_is_repeated(ask, server, engine, records):
    """UNAVAILABLE twice, then success: the caller sees success, the records all."""
    server.script[:] = [UNAVAILABLE, UNAVAILABLE]

    assert ask(engine) == b"a"
    assert [[], ["1"], ["2"]] == [
        seen.values("x-retry-attempt") for seen in server.seen
    ]
    (ended,) = records.of("CallEnded")
    assert (3, "UNAVAILABLE") == (ended.attempts, ended.first_code)


def test_the_last_native_error_is_raised_with_its_history(ask, server, engine):
    """The error of the last attempt comes unchanged, with a note and a report."""
    server.script[:] = [
        UNAVAILABLE,
        UNAVAILABLE,
        (UNAVAILABLE, "last", (("k", "v"),)),
    ]

    with pytest.raises(grpc.RpcError) as raised:
        ask(engine)
    error = raised.value

    assert (UNAVAILABLE, "last") == (error.code(), error.details())
    assert ("k", "v") in [tuple(pair) for pair in error.trailing_metadata()]
    report = resilience.report(error)
    assert report.reason == "attempts-exhausted"
    assert ["UNAVAILABLE"] * 3 == [attempt.code for attempt in report.attempts]
    assert report.ambiguous
    assert "3 attempts" in error.__notes__[0]
    if ask.kind == "aio":
        assert type(error) is grpc.aio.AioRpcError


def test_an_undeclared_method_is_not_repeated(ask, server, engine, policy, make_engine):
    """What may have been executed is repeated only for declared methods."""
    engine = make_engine(policy.replace("idempotency: safe", "idempotency: none"))
    server.script[:] = [UNAVAILABLE]

    with pytest.raises(grpc.RpcError) as raised:
        ask(engine)

    assert resilience.report(raised.value).reason == "idempotency"
    assert len(server.seen) == 1


def test_a_keyed_call_sends_one_key(ask, server, engine):
    """All attempts of a keyed call carry the same, made-up key."""
    server.script[:] = [UNAVAILABLE, UNAVAILABLE]

    assert ask(engine, CHARGE) == b"a"
    keys = [seen.values("idempotency-key") for seen in server.seen]
    assert [keys[0]] * 3 == keys
    assert str(uuid.UUID(keys[0][0])) == keys[0][0]


def test_the_ambient_key_is_used(ask, server, engine):
    """`resilience.idempotency_key` names the intent of the calls inside."""
    with resilience.idempotency_key("order-7"):
        ask(engine, CHARGE)

    assert [["order-7"]] == [seen.values("idempotency-key") for seen in server.seen]


def test_the_callers_own_key_stays(ask, server, engine):
    """A key that the caller puts into the metadata is not overridden."""
    server.script[:] = [UNAVAILABLE]

    with resilience.idempotency_key("order-7"):
        ask(engine, CHARGE, metadata=(("idempotency-key", "mine"),))

    assert [["mine"]] * 2 == [seen.values("idempotency-key") for seen in server.seen]


def test_one_shot_metadata_reaches_every_attempt(ask, server, engine):
    """Metadata from a generator is not lost with the first attempt."""
    if ask.kind == "aio":
        return  # grpc.aio itself takes no iterators
    server.script[:] = [UNAVAILABLE]
    ask(engine, metadata=(pair for pair in [("k", "1")]))

    assert [["1"], ["1"]] == [seen.values("k") for seen in server.seen]


def test_an_explicit_timeout_is_the_whole_calls(ask, server, engine):
    """`timeout=` holds for all attempts together; each is given what is left."""
    server.script[:] = [UNAVAILABLE]
    ask(engine, timeout=30)

    assert len(server.seen) == 2
    for seen in server.seen:
        assert 29 < seen.time_remaining < 30.2  # C-core rounds it up


def test_the_policys_attempt_timeout_is_sent(ask, server, policy, make_engine):
    """`attempt_timeout` reaches the server as the attempt's deadline."""
    engine = make_engine(
        policy.replace("all: {retry", "all: {attempt_timeout: 7s, retry")
    )
    ask(engine)

    assert 6 < server.seen[0].time_remaining < 7.2  # C-core rounds it up


def test_the_ambient_deadline_is_sent(ask, server, engine):
    """`resilience.deadline` limits the call, a longer `timeout=` notwithstanding."""
    with resilience.deadline(3):
        ask(engine, timeout=30)

    assert 2 < server.seen[0].time_remaining < 3.2


def test_a_timeout_that_means_none_does_not_fail(ask, server, engine):
    """What grpcio itself reports for "no deadline" may be handed on."""
    assert ask(engine, timeout=9.22e18) == b"a"
    assert server.seen[0].time_remaining is None


def test_no_time_left_is_a_rejection(ask, server, engine):
    """An ambient deadline that has passed refuses the call unsent."""
    with resilience.deadline(0), pytest.raises(resilience.Rejected) as raised:
        ask(engine)
    error = raised.value

    assert isinstance(error, grpc.RpcError)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert resilience.report(error).attempts == ()
    assert [] == server.seen


def test_an_open_breaker_rejects(ask, server, engine):
    """A forced-open breaker refuses, as an error that callers already catch."""
    ask(engine)
    scope = engine.snapshot()["scopes"][0]["scope"]
    engine.breaker(scope).force_open()

    with pytest.raises(grpc.RpcError) as raised:
        ask(engine)
    assert isinstance(raised.value, resilience.Rejected)
    assert raised.value.code() is UNAVAILABLE
    assert raised.value.reason == "breaker-open"
    assert len(server.seen) == 1
    if ask.kind == "aio":
        assert isinstance(raised.value, grpc.aio.AioRpcError)


@pytest.mark.parametrize("mode", ["observe", "bypass"])
def test_other_modes_leave_the_wire_alone(ask, server, engine, records, mode):
    """Observed and bypassed calls send what a bare channel sends, once."""
    engine.mode = mode
    server.script[:] = [UNAVAILABLE]

    with resilience.deadline(5), pytest.raises(grpc.RpcError):
        ask(engine, CHARGE, timeout=30, metadata=(("k", "1"),))
    (seen,) = server.seen

    assert 29 < seen.time_remaining < 30.2
    assert {"k", "user-agent"} == {name for name, _ in seen.metadata}
    assert (mode == "observe") == bool(records.of("CallEnded"))


@pytest.mark.parametrize(
    ("value", "attempts"), [("0", 2), ("-1", 1), ("soon", 1), (None, 2)]
)
def test_pushback_decides(ask, server, engine, value, attempts):
    """A server's pushback allows or forbids the repeat."""
    trailing = () if value is None else (("grpc-retry-pushback-ms", value),)
    server.script[:] = [(UNAVAILABLE, "busy", trailing)]

    if attempts == 2:
        ask(engine)
    else:
        with pytest.raises(grpc.RpcError) as raised:
            ask(engine)
        assert resilience.report(raised.value).reason == "pushback"
    assert attempts == len(server.seen)


@pytest.mark.parametrize(
    "trailing",
    [
        (("grpc-status-details-bin", b"\xff\x00garbage"),),
        (("grpc-retry-pushback-ms", "1"), ("grpc-retry-pushback-ms", "1")),
    ],
)
def test_garbage_in_the_trailers_never_escapes(ask, server, engine, trailing):
    """Whatever the trailers hold, the caller gets the server's own status."""
    server.script[:] = [(grpc.StatusCode.NOT_FOUND, "gone", trailing)]

    with pytest.raises(grpc.RpcError) as raised:
        ask(engine)
    assert raised.value.details() == "gone"


def test_an_application_error_is_not_repeated(ask, server, engine):
    """An answer is an answer."""
    server.script[:] = [grpc.StatusCode.INVALID_ARGUMENT]

    with pytest.raises(grpc.RpcError) as raised:
        ask(engine)
    assert resilience.report(raised.value).attempts[0].kind == "application"
    assert len(server.seen) == 1


def test_a_handler_that_raises_is_an_answer(ask, server, engine):
    """A server's bug was executed: it is not repeated."""

    def fail(request, context):
        msg = "bug"
        raise ValueError(msg)

    server.script[:] = [fail]

    with pytest.raises(grpc.RpcError, match="bug"):
        ask(engine)
    assert len(server.seen) == 1


def test_a_missing_method_says_what_to_do(ask, engine):
    """What no repeat can mend comes with the likely cause and a remedy."""
    with pytest.raises(grpc.RpcError) as raised:
        ask(engine, "/shop.Cart/Missing")

    assert "remedy" in resilience.report(raised.value).hint
    assert "remedy" in raised.value.__notes__[0]
