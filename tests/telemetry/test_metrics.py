"""Metrics: what is counted, how often, under which names."""

import subprocess
import sys
import threading

import pytest

from resilience import PolicyEngine, Rejected
from resilience.core.outcome import OK, Outcome
from resilience.core.record import Notice
from resilience.core.served import Served
from resilience.core.target import Target
from resilience.telemetry import names
from resilience.telemetry.metrics import MetricsSink
from resilience.testing import Script, VirtualLoop, after
from tests.telemetry.measured import Meter


@pytest.fixture
def meter():
    return Meter()


CART = ("shop.Cart/GetCart", "cart")
OWN = ("grpc", "cart", "shop.Cart/GetCart")


def test_clean_success(meter, records):
    """A call's only record counts its attempt too."""
    meter.sink.emit(records.call())

    assert {(*CART, "OK"): 1} == meter.sums(names.ATTEMPT_DURATION)
    assert {(*CART, "OK"): 1} == meter.sums(names.CALL_DURATION)
    assert {(*OWN, "OK"): 1} == meter.sums(names.ATTEMPTS)
    assert {(*OWN, "OK", "ok", "enforce"): 1} == meter.sums(names.CALLS)


@pytest.mark.parametrize(
    "metric",
    [
        names.CALL_RETRIES,
        names.CALL_TRANSPARENT_RETRIES,
        names.CALL_HEDGES,
        names.CALL_RETRY_DELAY,
    ],
)
def test_no_retries_no_samples(meter, records, metric):
    """Zero retries, hedges or delay are not reported (gRFC A96)."""
    meter.sink.emit(records.call())

    assert meter.sums(metric) == {}


def test_hedges(meter, records):
    """Hedges are counted apart from retries, and mask nothing (gRFC A96)."""
    meter.sink.emit(records.call(attempts=3, hedges=2, first_code="OK"))
    [hedges] = meter.points(names.CALL_HEDGES.name)

    assert (2, 1) == (hedges.sum, hedges.count)
    assert {} == meter.sums(names.CALL_RETRIES)
    assert {} == meter.sums(names.CALL_RETRY_DELAY)
    assert {} == meter.sums(names.MASKED_FAILURES)


def test_durations(meter, records):
    """A queued call's wait is no part of its attempt's time."""
    meter.sink.emit(records.call(elapsed_s=3.0, wait_s=2.0))
    [attempt] = meter.points(names.ATTEMPT_DURATION.name)
    [call] = meter.points(names.CALL_DURATION.name)
    [delay] = meter.points(names.CALL_RETRY_DELAY.name)

    assert (attempt.sum, call.sum, delay.sum) == (1.0, 3.0, 2.0)
    assert attempt.explicit_bounds == names.LATENCY_S


def test_recovered_call(meter, records):
    """Each attempt of a recovered call is counted once, and what was masked shows."""
    meter.sink.emit(records.attempt())
    meter.sink.emit(records.attempt(number=2))
    meter.sink.emit(records.attempt(OK, number=3, decision="return"))
    ended = records.call(
        attempts=3, free_attempts=1, first_code="UNAVAILABLE", wait_s=0.2
    )
    meter.sink.emit(ended)

    assert {(*CART, "UNAVAILABLE"): 2, (*CART, "OK"): 1} == meter.sums(
        names.ATTEMPT_DURATION
    )
    assert {(*CART, "OK"): 1} == meter.sums(names.CALL_DURATION)
    assert {(*OWN, "UNAVAILABLE"): 1} == meter.sums(names.MASKED_FAILURES)
    [retries] = meter.points(names.CALL_RETRIES.name)
    [transparent] = meter.points(names.CALL_TRANSPARENT_RETRIES.name)
    [delay] = meter.points(names.CALL_RETRY_DELAY.name)

    assert (retries.sum, transparent.sum, delay.sum) == (1, 1, 0.2)
    assert retries.explicit_bounds == names.FEW
    assert transparent.explicit_bounds == names.MORE


def test_rejected_call(meter, records):
    """A call that was refused counts as rejected, with its reason, and no attempt."""
    outcome = Outcome("UNAVAILABLE", "local", "no")
    meter.sink.emit(records.call(outcome, attempts=0, reason="breaker-open"))

    assert {(*OWN, "breaker-open"): 1} == meter.sums(names.REJECTED)
    assert meter.sums(names.ATTEMPTS) == {}
    assert {(*CART, "UNAVAILABLE"): 1} == meter.sums(names.CALL_DURATION)


def test_ambiguous_call(meter, records):
    """A failed call that may have been executed is counted by operation."""
    outcome = Outcome("DEADLINE_EXCEEDED", "transport", "maybe")
    meter.sink.emit(records.call(outcome, ambiguous=True))

    assert {(*OWN, "DEADLINE_EXCEEDED"): 1} == meter.sums(names.AMBIGUOUS)


def test_other_protocols_have_no_grpc_metrics(meter, records):
    """AWS calls and functions are counted in our own namespace only."""
    target = Target(protocol="aws", name="s3", service="s3", method="PutObject")
    meter.sink.emit(records.call(target=target))
    code = Outcome("SlowDown", "overload", "no")
    meter.sink.emit(records.attempt(code, target=target))

    assert meter.sums(names.CALL_DURATION) | meter.sums(names.ATTEMPT_STARTED) == {}
    assert meter.sums(names.ATTEMPTS) == {
        ("aws", "s3", "s3.PutObject", "OK"): 1,
        ("aws", "s3", "s3.PutObject", "SlowDown"): 1,
    }


def test_codes_are_bounded(records):
    """Exceptions' names cannot make more than a bounded number of series."""
    meter = Meter(max_codes=3)
    for number in range(10):
        meter.sink.emit(records.attempt(Outcome(f"Error{number}", "application")))
    codes = {attributes[-1]: n for attributes, n in meter.sums(names.ATTEMPTS).items()}

    assert codes == {"Error0": 1, "Error1": 1, "Error2": 1, "other": 7}
    assert {(*CART, "UNKNOWN"): 10} == meter.sums(names.ATTEMPT_DURATION)


def test_observed_decisions(meter, records):
    """What an observing mechanism would have done is counted."""
    meter.sink.emit(records.decided())

    assert {(*OWN, "breaker", "reject", "breaker-open"): 1} == meter.sums(
        names.OBSERVED
    )


def test_breakers(meter, records):
    """Changes are counted; breakers that are not closed are a gauge."""
    meter.sink.emit(records.breaker(scope="aws:region=eu,bucket=orders"))

    assert meter.sums(names.BREAKER_TRANSITIONS) == {
        ("aws:region=eu", "closed", "open"): 1
    }
    assert meter.sums(names.BREAKER_STATE) == {("aws:region=eu", "open"): 1}


def test_started_attempts(meter, records):
    """An attempt counts as started when it starts, not when it ends (gRFC A66)."""
    meter.sink.attempt_started(records.cart)
    meter.sink.attempt_started(records.cart)
    meter.sink.emit(records.call())

    assert meter.sums(names.ATTEMPT_STARTED) == {CART: 2}


def test_share_of_the_deadline(meter, records):
    """Each call leaves the share of its time that it took, and whose deadline it was.

    No deadline is 0, none left is 2.
    """
    late = Outcome("DEADLINE_EXCEEDED", "transport", "maybe", timed_out=True)
    cases = [
        ("explicit", records.call(elapsed_s=0.5, timeout_s=2.0), 0.25),
        ("inbound", records.call(late, elapsed_s=1.01, timeout_s=1.0), 1.01),
        ("ambient", records.call(late, elapsed_s=0.0, timeout_s=-0.1, attempts=0), 2.0),
        ("none", records.call(), 0.0),
    ]
    for origin, ended, _ in cases:
        meter.sink.emit(ended._replace(deadline_origin=origin))
    points = meter.points(names.DEADLINE_USED.name)
    found = {point.attributes[names.DEADLINE_ORIGIN]: point for point in points}

    assert {origin: share for origin, _, share in cases} == {
        origin: point.sum for origin, point in found.items()
    }
    assert found["inbound"].attributes == {
        **dict(zip((names.PROTOCOL, names.TARGET, names.METHOD), OWN, strict=True)),
        names.CODE: "DEADLINE_EXCEEDED",
        names.DEADLINE_ORIGIN: "inbound",
    }
    assert found["none"].explicit_bounds == names.SHARES


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("ok", "OK"),
        ("failed", "INTERNAL"),
        ("late", "OK"),
        ("cancelled", "CANCELLED"),
        ("dropped-deadline", "DEADLINE_EXCEEDED"),
        ("dropped-gone", ""),
    ],
)
def test_served_calls(meter, reason, code):
    """Calls that we served count by method, status and what became of them."""
    served = Served("i-1", "shop.Cart/Get", code, reason, 0.3, 0.5, 0.2, 0, "", 1.0)
    meter.sink.emit(served)
    [used] = meter.points(names.SERVER_DEADLINE_USED.name)

    assert meter.sums(names.SERVER_CALLS) == {("shop.Cart/Get", code, reason): 1}
    assert (used.sum, used.attributes[names.CODE]) == (0.6, code)


def test_served_methods_are_bounded(records):
    """However many methods a stranger asks for, few series come out."""
    meter = Meter(max_methods=2)
    for number in range(5):
        method = f"shop.Cart/Get{number}"
        served = Served("i-1", method, "OK", "ok", 0.3, None, None, 0, "", 1.0)
        meter.sink.emit(served)
    methods = {method: n for (method, *_), n in meter.sums(names.SERVER_CALLS).items()}

    assert methods == {"shop.Cart/Get0": 1, "shop.Cart/Get1": 1, "other": 3}


def test_notices(meter):
    """Things an operator should know are counted by their code."""
    meter.sink.emit(Notice("reload-failed", "...", 1.0))

    assert meter.sums(names.NOTICES) == {("reload-failed",): 1}


def test_watched_engine(meter):
    """A watched engine shows its policy, its scopes and its sinks' failures."""
    engine = PolicyEngine(sinks=[meter.sink, object()])
    meter.sink.watch(engine.snapshot)
    engine.call("app:rates/quote", lambda _: 1)
    seen = engine.snapshot()
    [info] = meter.points(names.POLICY_INFO.name)

    assert info.value == 1
    assert info.attributes[names.POLICY_HASH] == seen["policy_hash"]
    assert info.attributes[names.POLICY_EDITION] == seen["edition"]
    assert meter.sums(names.SCOPES) == {("default",): 1}
    assert meter.sums(names.SINK_FAILURES) == {("default",): 1}
    assert {("default",): seen["loaded_at"]} == meter.sums(names.POLICY_LOADED)


def test_evicted_scopes_are_counted(meter, resilience_clock):
    """Where scopes come and go, the state that was dropped is counted."""
    engine = PolicyEngine(sinks=[meter.sink], clock=resilience_clock, max_scopes=16)
    meter.sink.watch(engine.snapshot)
    for number in range(20):
        engine.call(f"app:rates-{number}/quote", lambda _: 1)
        resilience_clock.advance(1.0)

    assert meter.sums(names.SCOPES) == {("default",): 16}
    assert meter.sums(names.SCOPES_EVICTED) == {("default",): 4}


def test_every_attempt_is_counted_once(meter, resilience_clock):
    """Attempts made equal attempts counted: clean, retried, refused, cancelled."""
    text = "version: 1\nall: {breaker: {kind: classic}}"
    engine = PolicyEngine.from_text(
        text, clock=resilience_clock, sinks=[meter.sink], seed=0
    )
    refused = ConnectionRefusedError()
    scripts = [[1], [refused, 1], [refused] * 3, [ValueError()], [KeyboardInterrupt()]]
    made = 0
    for entries in scripts:
        script = Script(entries, clock=resilience_clock)
        try:
            engine.call("app:rates/quote", script.run)
        except (Exception, KeyboardInterrupt):  # noqa: BLE001 - counted, not judged
            made += 0
        made += len(script.started)
    engine.breaker("app:target=rates").force_open()
    with pytest.raises(Rejected):
        engine.call("app:rates/quote", Script([]).run)

    assert made == 8
    assert made == sum(meter.sums(names.ATTEMPTS).values())
    assert len(scripts) + 1 == sum(meter.sums(names.CALLS).values())


def test_attempts_that_time_out_or_are_left_are_counted_once(meter):
    """A timeout of the engine and a caller who leaves end one attempt each."""
    engine = PolicyEngine.from_dict(
        {"version": 1, "all": {"attempt_timeout": "1s"}}, sinks=[meter.sink]
    )
    loop = VirtualLoop()
    target = Target(protocol="grpc", name="cart", service="shop.Cart", method="Get")
    slow = Script([after(5.0, 1)])
    loop.start(engine.new_call(engine.bind(target)), slow.transport)
    gone = loop.start(engine.new_call(engine.bind(target)), Script([5]).transport)
    gone.cancel()
    failing = Script([Outcome("UNAVAILABLE", "transport", "no"), 1])
    waiting = loop.start(engine.new_call(engine.bind(target)), failing.transport)
    loop.run(until=0.0)
    waiting.cancel()
    loop.run()
    engine.emit(tuple(loop.records))

    assert sum(meter.sums(names.ATTEMPTS).values()) == 3
    assert sum(meter.sums(names.CALL_DURATION).values()) == 3


def test_counts_anew_after_a_fork(meter, records):
    """The child of a fork counts what it does itself; the parent says its own."""
    meter.sink.emit(records.call())
    meter.sink.renew()
    meter.sink.emit(records.call(records.refused, attempts=0))

    assert list(meter.sums(names.CALLS).values()) == [1]
    assert list(meter.sums(names.REJECTED).values()) == [1]


def test_threads_lose_no_count(meter, records):
    """Calls that end on many threads at once are all counted."""

    def emit():
        for _ in range(500):
            meter.sink.emit(records.call())

    threads = [threading.Thread(target=emit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(meter.sums(names.CALLS).values()) == 2000


def test_without_a_provider_nothing_is_measured(records):
    """No provider is no measuring, whatever the global one is (gRFC A66)."""
    sink = MetricsSink()
    sink.emit(records.call())
    sink.renew()

    assert sink._made is None


def test_global_provider_when_asked_for(records):
    """`from_global` measures with OpenTelemetry's global provider."""
    sink = MetricsSink.from_global()
    sink.emit(records.call())

    assert sink._made is not None


def test_opentelemetry_is_imported_lazily():
    """A sink without a provider does not import OpenTelemetry."""
    code = (
        "import sys; from resilience.telemetry.metrics import MetricsSink;"
        "MetricsSink(); sys.exit('opentelemetry' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_metric_names_are_unique():
    """No two metrics share a name, and each has a unit and a description."""
    metrics = [made for made in vars(names).values() if isinstance(made, names.Metric)]

    assert len(metrics) == len({metric.name for metric in metrics}) == 28
    assert all(metric.unit and metric.description for metric in metrics)
