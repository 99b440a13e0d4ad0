"""Plain functions under a policy: what is repeated, what is told, what is raised."""

import asyncio
import socket

import pytest

import resilience
from resilience import PolicyEngine, Rejected, context
from resilience.functions import Attempt, facts, outcome_of, parse
from resilience.inbound import Inbound
from resilience.testing import CollectingSink, Script, after


NAME = "app:rates/quote"


@pytest.fixture
def clock(resilience_clock):
    return resilience_clock


@pytest.fixture
def make(clock):
    """`make(timeout="2s")`: an engine in virtual time with that under `all`."""

    def make(**values):
        return PolicyEngine.from_dict(
            {"version": 1, "all": values}, clock=clock, sinks=[CollectingSink()], seed=0
        )

    return make


@pytest.fixture(params=["call", "acall"])
def call(request):
    """Run a script by `engine.call` and by `engine.acall`: they agree."""

    def run(engine, script, **given):
        if request.param == "call":
            return engine.call(NAME, script.run, **given)

        async def arun():
            return await engine.acall(NAME, script.arun, **given)

        return asyncio.run(arun())

    return run


def test_result(make, call, clock):
    """What the function returns is the call's result."""
    script = Script(["quote"], clock=clock)

    assert call(make(), script) == "quote"
    assert [Attempt(1, None)] == [
        Attempt(s.number, s.timeout_s) for s in script.started
    ]


def test_refused_is_tried_again(make, call, clock):
    """A refused connection reached nobody: it is repeated without idempotency."""
    script = Script(
        [ConnectionRefusedError(), ConnectionRefusedError(), 1], clock=clock
    )

    assert call(make(), script) == 1
    assert [started.number for started in script.started] == [1, 2, 3]


def test_reset_needs_idempotency(make, call, clock):
    """A reset may have come after the work was done: only what is safe is repeated."""
    unsafe = Script([ConnectionResetError("gone"), 1], clock=clock)
    with pytest.raises(ConnectionResetError):
        call(make(), unsafe)
    safe = Script([ConnectionResetError("gone"), 1], clock=clock)

    assert call(make(), safe, idempotency="safe") == 1


def test_policy_decides_on_idempotency(make, call, clock):
    """What the policy says of idempotency beats what the call declares."""
    script = Script([ConnectionResetError(), 1], clock=clock)
    with pytest.raises(ConnectionResetError):
        call(make(idempotency="none"), script, idempotency="safe")


def test_application_errors_are_not_repeated(make, call, clock):
    """An exception of the function's own is its answer."""
    script = Script([KeyError("no such rate"), 1], clock=clock)
    with pytest.raises(KeyError, match="no such rate"):
        call(make(), script, idempotency="safe")


def test_listed_application_errors_are_repeated(make, call, clock):
    """An exception whose name is in `retry_on` is repeated as idempotency allows."""
    engine = make(retry={"retry_on": ["default", "KeyError"]})
    script = Script([KeyError("not yet"), 1], clock=clock)

    assert call(engine, script, idempotency="safe") == 1


def test_last_error_is_raised(make, call, clock):
    """When attempts run out, the last real exception is raised, with the history."""
    errors = [ConnectionRefusedError(f"no {number}") for number in (1, 2, 3)]
    with pytest.raises(ConnectionRefusedError) as caught:
        call(make(), Script(errors, clock=clock))
    report = resilience.report(caught.value)

    assert caught.value is errors[2]
    assert report.reason == "attempts-exhausted"
    assert [made.message for made in report.attempts] == ["no 1", "no 2", "no 3"]
    assert [note] == caught.value.__notes__ if (note := str(report)) else False


def test_attempts_are_told_their_time(make, call, clock):
    """Each attempt is given the policy's time, clamped to what is left."""
    engine = make(timeout="3s", attempt_timeout="2s", retry={"jitter": "none"})
    script = Script([after(1.5, ConnectionRefusedError()), after(0.5, 1)], clock=clock)
    call(engine, script)

    assert script.started[0].timeout_s == 2.0
    assert script.started[1].timeout_s == pytest.approx(1.4)


def test_explicit_timeout_replaces_the_policys(make, call, clock):
    """A call's own timeout beats the policy's, in both directions."""
    for timeout in (1.0, 60.0):
        script = Script([1], clock=clock)
        call(make(timeout="3s"), script, timeout=timeout)

        assert script.started[0].timeout_s == timeout


def test_ambient_deadline_bounds_both(make, call, clock):
    """The ambient deadline is the minimum over every timeout."""
    script = Script([1], clock=clock)
    with resilience.deadline(0.5):
        call(make(timeout="3s"), script, timeout=60.0)

    assert script.started[0].timeout_s == pytest.approx(0.5)


def test_the_call_we_serve(make, clock):
    """Its deadline, its attempts and its criticality reach the calls made for it."""
    engine = make(idempotency="safe", retry={"max_attempts": 3})
    [sink] = engine.fanout._sinks
    served = Inbound(deadline_at=clock.now() + 5.0, previous_attempts=2)
    with context.serving(served, "sheddable"):
        script = Script([ConnectionResetError()] * 3, clock=clock)
        with pytest.raises(ConnectionResetError):
            engine.call(NAME, script.run)
        made = facts(engine.bind(parse(NAME)), "safe", None)

    assert len(script.started) == 1  # two were made above
    assert [("inbound", 5.0)] == [
        (ended.deadline_origin, ended.timeout_s) for ended in sink.calls
    ]
    assert (made.criticality, made.inbound_at) == ("sheddable", served.deadline_at)


def test_a_call_that_was_served(make, clock):
    """What a handler left running when it ended is bound by nothing of its caller."""
    binding = make().bind(parse(NAME))
    served = Inbound(deadline_at=clock.now() + 5.0, previous_attempts=2)
    served.end()
    with context.serving(served):
        made = facts(binding, "safe", None)

    assert (made.deadline_at, made.inbound_at, made.previous_attempts) == (
        None,
        None,
        0,
    )


def test_time_runs_out(make, call, clock):
    """An attempt that takes all the time ends the call with its own timeout."""
    script = Script([after(9.0, 1)], clock=clock)
    with pytest.raises(TimeoutError) as caught:
        call(make(timeout="2s"), script, idempotency="safe")
    report = resilience.report(caught.value)

    assert report.reason == "deadline"
    assert report.ambiguous
    assert report.elapsed_s == pytest.approx(2.0)


def test_passed_deadline_is_refused(make, call, clock):
    """With no time left nothing is sent: `Rejected`, by the deadline."""
    script = Script([1], clock=clock)
    with resilience.deadline(1.0):
        clock.advance(1.0)
        with pytest.raises(Rejected) as caught:
            call(make(), script)

    assert caught.value.reason == "deadline"
    assert script.started == []


def test_open_breaker_is_refused(make, call, clock):
    """A rejection names rule, scope and moment; the report has no attempts."""
    engine = make()
    call(engine, Script([1], clock=clock))
    engine.breaker("app:target=rates").open()
    with pytest.raises(Rejected) as caught:
        call(engine, Script([], clock=clock))
    report = resilience.report(caught.value)

    assert "rates/quote" in str(caught.value)
    assert "nothing was sent" in str(caught.value)
    assert (caught.value.reason, caught.value.scope) == (
        "breaker-open",
        "app:target=rates",
    )
    assert caught.value.retry_after_s == report.retry_after_s > 0
    assert report.attempts == ()
    assert not report.ambiguous


def test_retry_is_off(make, call, clock):
    """Without retries the first error is the call's."""
    script = Script([ConnectionRefusedError(), 1], clock=clock)
    with pytest.raises(ConnectionRefusedError):
        call(make(retry="off"), script)


@pytest.mark.parametrize("mode", ["observe", "bypass"])
def test_native_behaviour(make, call, clock, mode):
    """Where nothing is enforced the function is told the caller's own timeout only."""
    engine = make(timeout="3s", mode=mode)
    script = Script([ConnectionRefusedError(), 1], clock=clock)
    with pytest.raises(ConnectionRefusedError):
        call(engine, script, timeout=7.0)

    assert [started.timeout_s for started in script.started] == [7.0]


def test_a_rejection_inside_is_not_repeated(make, call, clock):
    """A rejection by a protected call inside is no reason to call again."""
    refused = Rejected("no", reason="breaker-open", scope="x")
    script = Script([refused, 1], clock=clock)
    with pytest.raises(Rejected) as caught:
        call(make(), script, idempotency="safe")

    assert caught.value is refused


def test_retries_are_not_multiplied(make, clock):
    """What a protected call inside has tried, the one outside does not try again."""
    engine = make()
    script = Script([ConnectionRefusedError()] * 3, clock=clock)

    def outer(_):
        return engine.call("app:stock/inner", script.run)

    with pytest.raises(ConnectionRefusedError):
        engine.call("app:rates/outer", outer, idempotency="safe")

    assert script.left == 0


def test_attempts_time_is_ambient(make, clock):
    """Inside an attempt its time is the ambient deadline, for the calls it makes."""
    seen = []

    def look(attempt):
        seen.append(context.deadline_at.get() - clock.now())

    make(attempt_timeout="2s").call(NAME, look)

    assert seen == [2.0]
    assert context.deadline_at.get() is None


def test_interrupt_passes(make, clock):
    """A KeyboardInterrupt is not repeated, and the call is recorded as cancelled."""
    engine, sink = make(), CollectingSink()
    engine.fanout._sinks = (sink,)
    with pytest.raises(KeyboardInterrupt):
        engine.call(NAME, Script([KeyboardInterrupt(), 1], clock=clock).run)
    [ended] = sink.calls

    assert (ended.reason, ended.attempts) == ("cancelled", 1)


async def test_cancelled_task(make, clock):
    """A cancelled task cancels the attempt, is recorded, and stays cancelled."""
    engine, sink, inside = make(), CollectingSink(), asyncio.Event()
    engine.fanout._sinks = (sink,)

    async def hang(_):
        inside.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(engine.acall(NAME, hang))
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [ended] = sink.calls

    assert (ended.reason, ended.attempts) == ("cancelled", 1)


async def test_attempt_timeout_cancels_the_attempt():
    """An awaited attempt that takes too long is cancelled and counts as a timeout."""
    engine = PolicyEngine.from_dict(
        {"version": 1, "all": {"attempt_timeout": "10ms", "retry": "off"}}, sinks=()
    )
    cancelled = []

    async def hang(_):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    with pytest.raises(TimeoutError):
        await engine.acall(NAME, hang)

    assert cancelled == [1]


@pytest.mark.parametrize(
    "name", ["quote", "app:quote", "app:/quote", "app:rates/", "aws:s3/Get", ":a/b"]
)
def test_wrong_names(make, name):
    """A name of another form is refused, with an example."""
    with pytest.raises(ValueError, match=r"a name like 'app:rates/quote'"):
        make().call(name, lambda _: 1)


def test_names():
    """The first slash ends the service; an operation may have more of them."""
    target = parse("app:rates/quote/eur")

    assert (
        target.protocol,
        target.name,
        target.service,
        target.method,
    ) == ("app", "rates", "rates", "quote/eur")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionRefusedError(), ("transport", "no", False, False)),
        (socket.gaierror(), ("transport", "no", True, False)),
        (ConnectionResetError(), ("transport", "maybe", False, False)),
        (BrokenPipeError(), ("transport", "maybe", False, False)),
        (TimeoutError(), ("transport", "maybe", False, True)),
        (ValueError(), ("application", "maybe", False, False)),
        (Rejected("", reason="", scope=""), ("local", "no", False, False)),
    ],
)
def test_outcomes(error, expected):
    """Exceptions become outcomes by what they say about the far side."""
    found = outcome_of(error)

    assert found.code == type(error).__name__
    assert expected == (found.kind, found.reached, found.ours, found.timed_out)


def test_messages_are_escaped_and_cut():
    """An exception's text is one printable line of bounded length."""
    message = outcome_of(ValueError("a\nb\x1b[2J" + "x" * 10_000_000)).message

    assert message.isprintable()
    assert message.startswith(r"a\nb\x1b[2Jxxx")
    assert len(message) == 256


def test_an_exception_without_text(make, clock):
    """An exception that cannot be printed is raised as it is."""

    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    mute = Mute()
    with pytest.raises(Mute):
        make().call(NAME, Script([mute], clock=clock).run)
