"""Fallbacks: who is asked, when, and what the caller gets."""

import asyncio
import contextlib

import pytest

import resilience
from resilience.core.unanswered import lacks_answer
from resilience.errors import Rejected
from resilience.fallback import FailedCall


NAME = "app:rates/quote"


class Sink:
    def __init__(self):
        self.records = []

    def emit(self, record):
        self.records.append(record)

    def of(self, kind):
        return [r for r in self.records if type(r).__name__ == kind]


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def make_engine(sink):
    """Return a function that makes an engine whose calls fall back to "last"."""
    with contextlib.ExitStack() as stack:

        def make(*, mode="enforce", clock=None, **rule):
            rules = {"fallback": "last", "retry": {"max_attempts": 1}, **rule}
            policy = {"mode": mode, "app": {"operations": {"rates/quote": rules}}}
            given = {"sinks": [sink], "seed": 1, "clock": clock}
            made = resilience.PolicyEngine.from_dict(policy, **given)
            return stack.enter_context(made)

        yield make


@pytest.fixture(params=["call", "acall"])
def ask(request):
    """Return a function that makes one call that raises, in either way."""

    def run(engine, error, **options):
        def fail(_):
            raise error

        async def afail(_):
            raise error

        if request.param == "call":
            return engine.call(NAME, fail, **options)
        return asyncio.run(engine.acall(NAME, afail, **options))

    run.kind = request.param
    return run


@pytest.mark.parametrize("error", [ConnectionError("x"), TimeoutError(), OSError("x")])
def test_a_lost_call(ask, make_engine, sink, error):
    """A call that was lost on the way is answered by its fallback."""
    engine, seen = make_engine(retry={"retry_on": ["default", "OSError"]}), []
    engine.fallback("last", lambda failed: seen.append(failed) or 7)

    assert ask(engine, error) == 7
    (failed,) = seen
    assert isinstance(failed, FailedCall)
    assert ("rates/quote", error, None) == (failed.name, failed.error, failed.request)
    assert failed.report.target == failed.target
    (record,) = sink.of("Diverted")
    assert ("fallback", "last", "OK") == record[2:5]


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x")])
def test_an_answer_is_not_replaced(ask, make_engine, error):
    """What the function itself answers no to is raised as it is."""
    engine = make_engine()
    engine.fallback("last", lambda _: 7)
    with pytest.raises(type(error)):
        ask(engine, error)


def test_a_refused_call(ask, make_engine):
    """A call that the breaker refuses is answered by its fallback."""
    engine = make_engine(breaker={"forced": "open"})
    engine.fallback("last", lambda failed: failed.error)

    assert isinstance(ask(engine, ValueError()), Rejected)


def test_a_call_out_of_time(ask, make_engine):
    """A call whose deadline has passed is answered by its fallback."""
    engine = make_engine()
    engine.fallback("last", lambda _: 7)
    with resilience.deadline(0):
        assert ask(engine, ValueError()) == 7


def test_a_call_inside(ask, make_engine):
    """A protected call inside that was lost counts as its caller's loss."""
    engine = make_engine()
    engine.fallback("last", lambda _: 7)
    try:
        engine.call("app:other/one", lambda _: (_ for _ in ()).throw(ConnectionError()))
    except ConnectionError as error:
        stale = error
    engine_error = ConnectionError("inner")

    def inner(_):
        raise engine_error

    def outer(_):
        return engine.call("app:other/one", inner)

    def answered(_):
        return engine.call("app:other/one", lambda _: int("x"))

    assert engine.call(NAME, outer) == 7
    with pytest.raises(ValueError, match="invalid literal"):
        engine.call(NAME, answered)
    assert ask(engine, stale) == 7


def test_a_fallback_that_fails(ask, make_engine, sink):
    """The call's own error is raised, and a note tells of the fallback's."""
    engine = make_engine()
    engine.fallback("last", lambda _: 1 / 0)
    error = ConnectionError("x")
    with pytest.raises(ConnectionError) as caught:
        ask(engine, error)

    assert error is caught.value
    assert "fallback last failed: ZeroDivisionError" in caught.value.__notes__[0]
    assert "ZeroDivisionError" == sink.of("Diverted")[0].code


def test_a_fallback_that_raises_the_error(ask, make_engine):
    """A fallback that passes the error on adds nothing to it."""

    def again(failed):
        raise failed.error

    engine = make_engine()
    engine.fallback("last", again)
    with pytest.raises(ConnectionError) as caught:
        ask(engine, ConnectionError("x"))

    assert () == resilience.report(caught.value).elsewhere


def test_a_name_that_nobody_registered(ask, make_engine, sink):
    """The real error is raised; one notice tells that the name is unknown."""
    engine = make_engine()
    for _ in range(3):
        with pytest.raises(ConnectionError, match="x") as caught:
            ask(engine, ConnectionError("x"))

    notices = [n for n in sink.of("Notice") if n.code == "fallback-unknown"]
    assert 1 == len(notices)
    assert "no fallback 'last' is registered" in caught.value.__notes__[0]


@pytest.mark.parametrize("mode", ["observe", "bypass"])
def test_where_nothing_is_enforced(ask, make_engine, sink, mode):
    """No fallback is called; mode observe writes down that it would be."""
    engine = make_engine(mode=mode)
    engine.fallback("last", lambda _: 7)
    with pytest.raises(ConnectionError):
        ask(engine, ConnectionError("x"))

    would = [r for r in sink.of("Decided") if r.mechanism == "fallback"]
    assert (mode == "observe") == bool(would)


def test_an_asynchronous_fallback(ask, make_engine):
    """A fallback may be asynchronous where calls are awaited, and only there."""
    engine = make_engine()

    @engine.fallback("last")
    async def last(_):
        return 7

    if ask.kind == "acall":
        assert ask(engine, ConnectionError()) == 7
    else:
        with pytest.raises(ConnectionError) as caught:
            ask(engine, ConnectionError())
        assert "it is asynchronous" in caught.value.__notes__[0]


def test_cancellation_is_never_answered(make_engine):
    """Who cancels a call wants no answer."""
    engine = make_engine()
    engine.fallback("last", lambda _: 7)

    async def cancelled(_):
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(engine.acall(NAME, cancelled))


def test_what_is_registered(make_engine):
    """A later function replaces an earlier one; what cannot be called is refused."""
    engine = make_engine()
    assert engine.fallback("last", len) is len
    engine.fallback("last", lambda _: 8)

    assert 8 == engine.call(NAME, lambda _: (_ for _ in ()).throw(ConnectionError()))
    with pytest.raises(TypeError, match="a fallback is a function, got int"):
        engine.fallback("last", 7)


@pytest.mark.parametrize(
    ("kind", "code", "reason", "sent", "expected"),
    [
        ("transport", "X", "attempts-exhausted", 3, True),
        ("transport", "X", "idempotency", 1, True),
        ("transport", "X", "not-retryable", 1, True),
        ("transport", "X", "cancelled", 1, False),
        ("overload", "X", "retry-budget", 1, True),
        ("application", "X", "not-retryable", 1, False),
        ("application", "X", "attempts-exhausted", 3, True),
        ("application", "X", "pushback", 1, False),
        ("permanent", "X", "not-retryable", 1, False),
        ("local", "X", "not-retryable", 1, False),
        ("local", "X", "cancelled", 0, False),
        ("local", "UNAVAILABLE", "breaker-open", 0, True),
        ("local", "DEADLINE_EXCEEDED", "deadline", 0, True),
        ("local", "DEADLINE_EXCEEDED", "not-retryable", 1, True),
        ("local", "X", "deadline", 1, False),
        ("ok", "OK", "ok", 1, False),
    ],
)
def test_which_ends_lack_an_answer(kind, code, reason, sent, expected):
    """Refused and lost calls do; answers, faults of this side, cancellation do not."""
    assert expected == lacks_answer(kind, code, reason, sent=sent)


HEDGED = {"idempotency": "safe", "hedging": {"hedging_delay": "1ms"}}


@pytest.mark.parametrize("error", [ConnectionError("x"), ValueError("x")])
def test_a_hedged_call(make_engine, sink, error):
    """The last error of a hedged call decides, as a plain call's, who answers it."""
    engine, late, seen = make_engine(**HEDGED), asyncio.Event(), []
    engine.fallback("last", lambda failed: seen.append(failed) or 7)

    async def fail(attempt):
        if attempt.number == 1:
            await late.wait()
        late.set()
        raise error

    called = engine.acall(NAME, fail)
    if isinstance(error, ConnectionError):
        assert asyncio.run(called) == 7
        assert [error] == [failed.error for failed in seen]
    else:
        with pytest.raises(ValueError, match="x"):
            asyncio.run(called)
        assert [] == seen
    (ended,) = sink.of("CallEnded")
    assert (2, 1) == (ended.attempts, ended.hedges)


def test_a_hedged_call_that_is_answered(make_engine):
    """The value is that of the attempt that won, and no fallback is asked."""
    engine = make_engine(**HEDGED)
    engine.fallback("last", lambda _: pytest.fail("it was asked"))

    async def second(attempt):
        if attempt.number == 1:
            await asyncio.Event().wait()
        return attempt.number

    assert asyncio.run(engine.acall(NAME, second)) == 2


def test_a_hedged_call_that_is_refused(make_engine):
    """A breaker that refuses a hedged call leaves it to the fallback."""
    engine = make_engine(**HEDGED, breaker={"forced": "open"})
    engine.fallback("last", lambda failed: failed.error)

    assert isinstance(asyncio.run(engine.acall(NAME, None)), Rejected)


def test_a_hedged_call_that_the_engine_ended(make_engine, resilience_clock, sink):
    """Where the engine's timer beats asyncio's, the error is the same."""
    options = {**HEDGED, "hedging": {"hedging_delay": "9s"}, "attempt_timeout": "5s"}
    engine = make_engine(clock=resilience_clock, **options)
    engine.fallback("last", lambda failed: failed.error)

    async def hang(_):
        await asyncio.Event().wait()

    assert isinstance(asyncio.run(engine.acall(NAME, hang)), TimeoutError)
    assert "attempts-exhausted" == sink.of("CallEnded")[0].reason
