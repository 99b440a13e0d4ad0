"""gRPC's own metrics (gRFC A66, A96), measured over a real server in every style."""

import pytest

import resilience
from resilience.telemetry import names
from tests.grpc.peers.attempts import ARITIES, failing, silent
from tests.grpc.peers.clients import STEERED, STYLES, TARGET, core_policy, until, ways
from tests.grpc.peers.tracing import TracedClient
from tests.telemetry.measured import Meter


FREE = "idempotency: none\ntrust_transport_details: true\ntimeout: 10s"


@pytest.fixture
def meter():
    return Meter()


@pytest.fixture
def make_measured(attempts, meter):
    """`make_measured(style, "timeout: 1s")`: calls that are measured."""
    made = []

    def make(style, more="", address=None):
        text = core_policy(more)
        engine = resilience.PolicyEngine.from_text(text, sinks=(meter.sink,), seed=1)
        where = address or attempts.address
        made.extend((TracedClient("alone", style, where, engine), engine))
        return made[-2]

    yield make
    for one in made:
        one.close()


def of(arity):
    return (f"shop.{arity}/Do", TARGET)


@pytest.mark.parametrize(("arity", "style"), ways(ARITIES))
def test_a_call_with_two_retries(make_measured, attempts, meter, arity, style):
    """Started and ended attempts, the call, its retries and its delay."""
    attempts.script[:] = [failing(), failing()]
    make_measured(style).call(arity, b"a")
    until(lambda: meter.points(names.CALL_DURATION.name))
    [retries] = meter.points("grpc.client.call.retries")
    [delay] = meter.points("grpc.client.call.retry_delay")
    [call] = meter.points("grpc.client.call.duration")

    assert meter.sums(names.ATTEMPT_STARTED) == {of(arity): 3}
    assert meter.sums(names.ATTEMPT_DURATION) == {
        (*of(arity), "ABORTED"): 2,
        (*of(arity), "OK"): 1,
    }
    assert meter.sums(names.CALL_DURATION) == {(*of(arity), "OK"): 1}
    assert (retries.count, retries.sum) == (1, 2)
    assert (delay.count, 0 < delay.sum < call.sum) == (1, True)
    assert set(call.attributes) == {"grpc.method", "grpc.target", "grpc.status"}
    assert set(delay.attributes) == {"grpc.method", "grpc.target"}
    for name in ("grpc.client.call.transparent_retries", "grpc.client.call.hedges"):
        assert meter.points(name) == []


@pytest.mark.parametrize(("arity", "style"), ways(ARITIES))
def test_a_clean_call(make_measured, meter, arity, style):
    """A call with nothing to tell leaves no sample of retries or delay."""
    make_measured(style).call(arity, b"a")
    until(lambda: meter.points(names.CALL_DURATION.name))

    assert meter.sums(names.ATTEMPT_STARTED) == {of(arity): 1}
    assert meter.sums(names.ATTEMPT_DURATION) == {(*of(arity), "OK"): 1}
    for metric in (names.CALL_RETRIES, names.CALL_RETRY_DELAY):
        assert meter.points(metric.name) == []


@pytest.mark.parametrize(("arity", "style"), ways(ARITIES, STEERED))
def test_a_call_under_way(make_measured, attempts, meter, arity, style):
    """An attempt counts as started while it runs; started less ended is in flight."""
    attempts.script[:] = [silent]
    running = make_measured(style).begin(arity, b"a")
    attempts.wait_for(1)

    assert meter.sums(names.ATTEMPT_STARTED) == {of(arity): 1}
    assert meter.points(names.ATTEMPT_DURATION.name) == []

    running.cancel()
    until(lambda: meter.points(names.CALL_DURATION.name))

    assert meter.sums(names.ATTEMPT_DURATION) == {(*of(arity), "CANCELLED"): 1}


@pytest.mark.parametrize(("arity", "style"), ways(ARITIES))
def test_unprocessed_work(bad_peer, make_measured, meter, arity, style):
    """Repeats of unprocessed work count apart from retries."""
    peer = bad_peer("rst", 7)
    make_measured(style, FREE, peer.address).call(arity, b"a")
    until(lambda: meter.points(names.CALL_DURATION.name))
    [free] = meter.points("grpc.client.call.transparent_retries")
    started = meter.sums(names.ATTEMPT_STARTED)[of(arity)]
    retries = sum(point.sum for point in meter.points("grpc.client.call.retries"))

    assert (free.count, free.sum) == (1, 100)
    assert started == 1 + free.sum + retries
    assert free.explicit_bounds == names.MORE


@pytest.mark.parametrize("style", STYLES)
def test_share_of_the_deadline(make_measured, attempts, meter, style):
    """A call that its own timeout ended has used all of it, by method and status."""
    attempts.script[:] = [silent]
    make_measured(style).call("unary_unary", b"a", timeout=0.15)
    until(lambda: meter.points(names.DEADLINE_USED.name))
    [used] = meter.points(names.DEADLINE_USED.name)

    assert used.attributes[names.CODE] == "DEADLINE_EXCEEDED"
    assert used.attributes[names.DEADLINE_ORIGIN] == "explicit"
    assert used.sum > 0.9


@pytest.mark.parametrize("mode", ["observe", "bypass"])
def test_modes_that_do_not_act(make_measured, attempts, meter, mode):
    """Observed calls are measured like others; bypassed ones not at all."""
    client = make_measured("blocking")
    client.engine.mode = mode
    client.call("unary_unary", b"a")
    measured = {of("unary_unary"): 1} if mode == "observe" else {}

    assert meter.sums(names.ATTEMPT_STARTED) == measured
