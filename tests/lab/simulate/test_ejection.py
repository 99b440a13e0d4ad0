"""Outlier detection as gRPC has it: who fails too often is left out for a while."""

from resilience.lab.simulate import Topology, run, scenario
from resilience.lab.simulate.ejection import Ejection
from resilience.policy.channel import OutlierPolicy


def ejection(replicas: int = 3, **values) -> Ejection:
    given = {
        "interval_s": 1.0,
        "failure_ratio": 0.2,
        "request_volume": 10,
        "minimum_hosts": 3,
        "base_ejection_s": 30.0,
        "max_ejection_ratio": 0.1,
        **values,
    }
    return Ejection(OutlierPolicy(**given), replicas, 0.0)


def out(made: Ejection, replicas: int = 3) -> list[int]:
    return [number for number in range(replicas) if made.is_out(number)]


def test_one_that_fails_too_often_is_left_out():
    """Above the ratio it is out, at the ratio it is not; one may always be out."""
    made = ejection()
    made.look([(8, 2), (10, 0), (7, 3)], 1.0)

    assert out(made) == [2]


def test_few_calls_say_nothing():
    """Where fewer than `minimum_hosts` have enough calls, nobody is judged."""
    made = ejection()
    made.look([(0, 9), (10, 0), (10, 0)], 1.0)

    assert out(made) == []


def test_no_more_than_a_share_are_out():
    """Of ten that all fail a third may be out: three."""
    made = ejection(10, max_ejection_ratio=0.3)
    made.look([(0, 10)] * 10, 1.0)

    assert out(made, 10) == [0, 1, 2]


def test_it_comes_back_and_stays_out_longer_the_next_time():
    """Thirty seconds, then sixty: each time in a row adds the base."""
    made = ejection()
    bad, well = [(0, 10), (10, 0), (10, 0)], [(0, 0), (10, 0), (10, 0)]
    made.look(bad, 1.0)
    for second in range(2, 31):
        made.look(well, second)
    assert out(made) == [0]

    made.look(well, 31.0)
    assert out(made) == []

    made.look(bad, 32.0)
    for second in range(33, 92):
        made.look(well, second)
    assert out(made) == [0]

    made.look(well, 92.0)
    assert out(made) == []


def test_what_is_older_than_an_interval_is_not_judged():
    """A channel without calls for long has no interval to judge."""
    made = ejection()

    assert made.is_due(5.5)

    made.look([(0, 10), (10, 0), (10, 0)], 5.5)

    assert out(made) == []
    assert not made.is_due(5.9)
    assert made.is_due(6.0)


def test_a_slow_replica_is_found_by_hedging():
    """Winning hedges cancel the slow attempts, and those count as failures (S6b)."""
    whole = scenario("S6b")
    fault = whole.faults[0].model_copy(update={"at": 4.0, "lasts": 12.0})
    topology = Topology(hosts=1, processes=2)
    changes = {"faults": [fault], "load": 400.0, "duration": 18.0}
    short = whole.model_copy(update={**changes, "topologies": [topology]})
    without = "version: 1\ngrpc: {channel: {outlier_detection: off}}"
    found, missed = run(short).metrics, run(short, without).metrics

    assert found["latency_mean_s"] < 0.01 < missed["latency_mean_s"]
    assert found["latency_p99_s"] < 0.06 <= missed["latency_p99_s"]
    assert found["amplification"] < 1.06
