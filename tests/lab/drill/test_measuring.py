"""What the figures of a drill mean, on calls that are written down."""

import pytest

from resilience.drilling.marks import CallSeen
from resilience.lab.drill.measuring import Operation, measure, newest
from tests.drilling.drills import drill


HEAD = "version: 1\nname: test\nduration: 10s\nwindow: 500ms\nwarm_up: 1s\n"
FAULT = "kind: lost, ratio: 0.5, at: 3s, lasts: 2s, methods: [shop.Cart/Get]"
DRILL = drill(FAULT, head=HEAD)


def operation(at, took=0.01, code="OK", limit=None):
    return Operation(at, took, code, limit)


def seen(at, *, attempts=1, answered=1, idempotency="none", took=0.01, limit=None):
    return CallSeen(
        "shop.Cart/Get", at, took, "OK", attempts, answered, idempotency, limit, ()
    )


def every(step, until, **how):
    """An operation each *step* seconds; `bad(at)` and `slow(at)` say which are."""
    bad = how.get("bad", lambda _: False)
    slow = how.get("slow", lambda _: False)
    count = round(until / step)
    moments = [round(n * step, 6) for n in range(count)]
    return [
        operation(at, 0.2 if slow(at) else 0.01, "UNAVAILABLE" if bad(at) else "OK")
        for at in moments
    ]


def figures(operations=(), calls=()):
    return measure(DRILL, operations, calls, injected=3)


def test_success_by_phase():
    """An operation belongs to the phase it was due in; the warm-up is in no figure."""
    found = figures(every(0.1, 10, bad=lambda at: at < 1 or 3 <= at < 4))

    assert found["success_baseline"] == 1.0
    assert found["success_fault"] == 0.5
    assert found["success_after"] == 1.0
    assert found["success"] == pytest.approx(80 / 90)


@pytest.mark.parametrize(
    ("bad_until", "recovery"), [(5, 0.0), (5.6, 0.6), (6.25, 1.3), (9.5, None)]
)
def test_recovery(bad_until, recovery):
    """Recovery is the first of three good windows after the faults; None: never."""
    found = figures(every(0.1, 10, bad=lambda at: 3 <= at < bad_until))

    assert found["recovery_s"] == recovery


def test_each_window_is_judged_by_itself():
    """A window below 99 % is none that is recovered, however good the others are."""
    found = figures(every(0.01, 10, bad=lambda at: at == 6.2))

    assert found["recovery_s"] == 1.3


@pytest.mark.parametrize(("slow_until", "recovery"), [(5, 0.0), (6, 1.0), (10, None)])
def test_latency_recovery(slow_until, recovery):
    """Latency is back when windows are as fast as the baseline's were."""
    found = figures(every(0.05, 10, slow=lambda at: 3 <= at < slow_until))

    assert found["latency_recovery_s"] == recovery
    assert found["latency_baseline_p50_s"] == 0.01
    assert found["latency_fault_p99_s"] == 0.2


def test_what_is_usual_is_no_harm():
    """A call in ten that is slow before the fault may be slow after it."""
    usual = every(0.05, 10, slow=lambda at: round(at / 0.05) % 5 == 0)

    assert figures(usual)["latency_recovery_s"] == 0.0


def test_amplification_is_that_of_the_fault():
    """Attempts over calls, of those that began while the faults lasted."""
    calls = [seen(2), seen(2.5, attempts=3), seen(4, attempts=3), seen(4.5)]
    found = figures(calls=calls)

    assert found["amplification"] == 2.0
    assert found["amplification_run"] == 2.0
    assert (found["calls"], found["attempts"]) == (4, 8)


@pytest.mark.parametrize(
    ("idempotency", "duplicates"),
    [("none", 1), ("safe", 0), ("keyed", 0), ("accept_duplicates", 0)],
)
def test_duplicates(idempotency, duplicates):
    """A call that was executed twice is a duplicate unless something makes it safe."""
    calls = [seen(4, answered=2, idempotency=idempotency), seen(4.1)]
    found = figures(calls=calls)

    assert (found["repeated"], found["duplicates"]) == (1, duplicates)


def test_overruns():
    """An overrun is an operation beyond its deadline, with a grace for late threads."""
    took = [operation(4, 1.05, limit=1.0), operation(4, 1.2, limit=1.0)]

    assert figures(took)["overruns"] == 1


def test_overruns_of_calls():
    """Where the drill sets no deadline, calls are held to their own."""
    calls = [seen(4, took=1.2, limit=1.0), seen(4, took=9.0)]

    assert figures([operation(4, 9.0)], calls)["overruns"] == 1


def test_nothing_happened():
    """Figures that nothing was there for have no value; none is made up."""
    found = figures()

    assert found["success"] is None
    assert found["amplification"] is None
    assert found["recovery_s"] is None
    assert found["latency_baseline_p50_s"] is None


def test_the_newest_window():
    """What stops a drill is measured over the operations that are given."""
    found = newest([operation(4), operation(4, code="X")], [seen(4, attempts=2)])

    assert found["success"] == 0.5
    assert found["amplification"] == 2.0
