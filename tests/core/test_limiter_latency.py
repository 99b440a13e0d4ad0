"""How the limit moves by latency; the first rows are failsafe-go's own."""

import json
from pathlib import Path

import pytest

from resilience.core.limiter_latency import (
    MEDIAN_OF,
    Average,
    Correlation,
    LatencyLimit,
    Rule,
)
from tests.core.limiting import limiting


ROWS = json.loads(
    (Path(__file__).parents[1] / "spec" / "yardsticks.json").read_text("utf-8")
)["failsafe_adaptive_limiter"]


def warm(rule=None):
    """A limit of 20 that has seen ten windows of one second."""
    made = LatencyLimit(
        limiting(kind="latency", initial_limit=20, max_limit=200), rule or Rule()
    )
    for _ in range(10):
        made._long.add(1.0)
    return made


@pytest.mark.parametrize("row", ROWS["cases"], ids=lambda row: str(row["limits"]))
def test_yardsticks(row):
    """It grows, shrinks and holds as failsafe-go's tests expect."""
    made, limits = warm(), []
    for latency_s, in_flight in row["samples"]:
        made.turn(latency_s, in_flight, 0.0)
        limits.append(made.limit)

    assert limits == row["limits"]


@pytest.mark.parametrize(
    "row", ROWS["stabilisation"], ids=lambda row: str(row["window_s"])
)
def test_yardsticks_of_use(row):
    """The limit keeps to a multiple of what was in flight, now or lately."""
    made = warm(Rule(row["max_factor"], 20 if row["window_s"] else 1))
    limits = []
    for latency_s, in_flight in row["samples"]:
        made.turn(latency_s, in_flight, 0.0)
        limits.append(made.limit)

    assert limits == row["limits"]


def test_yardsticks_of_smoothing():
    """Of five windows the middle one counts, averaged over those that follow."""
    row, made = ROWS["smoothing"], warm()
    for latency_s in row["rtts"]:
        made.turn(latency_s, 5, 0.0)

    assert sorted(made._medians)[MEDIAN_OF // 2] == row["median"]
    assert made._short.value == pytest.approx(row["smoothed"])


def test_no_upward_drift():
    """A queue that stays does not become the new normal: throughput must grow, too."""
    made = LatencyLimit(limiting(kind="latency", initial_limit=20, max_limit=200))
    limits = []
    for _ in range(400):
        # Ten at a time, each of a second: what is beyond them waits.
        in_flight = made.limit
        made.turn(max(1.0, in_flight / 10), in_flight, 0.0)
        limits.append(made.limit)

    assert max(limits[100:]) <= 40


def test_loss_cuts_as_well():
    """Where answers are thrown away their latency says nothing: loss counts, too."""
    made = LatencyLimit(limiting(kind="latency", initial_limit=20))
    made.add("nothing", 0.0, 0.0, 0, 1.0)
    for _ in range(10):
        made.add("answered", 1.0, 0.1, 20, 1.01)
        made.add("dropped", 1.0, 0.1, 20, 1.01)
    made.add("nothing", 1.0, 0.0, 20, 1.2)

    assert made.limit == 10


def test_many_samples_are_thinned():
    """A window keeps a bounded number of samples, evenly over its time."""
    made = LatencyLimit(limiting(kind="latency", initial_limit=20))
    made.add("nothing", 0.0, 0.0, 0, 1.0)
    for number in range(10_000):
        made.add("answered", 1.0, float(number), 20, 1.01)

    kept = made._samples
    assert 128 <= len(kept) <= 256
    assert sum(kept) / len(kept) == pytest.approx(5_000, rel=0.1)


def test_average_warms_up():
    """The first samples count alike; then the newest count most."""
    made = Average(10)
    for sample in (1.0, 2.0, 3.0):
        made.add(sample)
    assert made.value == pytest.approx(2.0)
    for _ in range(10):
        made.add(2.0)
    made.add(13.0)

    assert made.value == pytest.approx(4.0, abs=0.1)


def test_correlation():
    """From -1 to 1, once there are enough pairs; 0 where one does not move."""
    rising, falling, flat = Correlation(), Correlation(), Correlation()
    found = [
        (rising.add(i, 2 * i), falling.add(i, -i), flat.add(i, 7)) for i in range(12)
    ]

    assert found[8] == (None, None, None)
    assert [round(one.correlation, 6) for one in found[-1]] == [1.0, -1.0, 0.0]
