"""Traffic is made in full, timed, and counted against its deadline."""

import asyncio
import threading

import pytest

from examples.figures import duration
from examples.traffic import Incident, Job, Sample, run_tasks, run_threads, tally


def jobs(count):
    return [Job(kind="safe", operation="Get", intent=str(n)) for n in range(count)]


def sample(elapsed_s, error=""):
    return Sample(job=jobs(1)[0], elapsed_s=elapsed_s, error=error)


def test_late_means_more_than_the_grace():
    """A call is late when it ends more than 50 ms after its deadline."""
    result = tally([sample(1.05), sample(1.051), sample(0.1, "Gone: away")], 1.0)

    assert (result.calls, result.failed, result.late) == (3, 1, 1)
    assert result.p50_s == pytest.approx(1.05)


@pytest.mark.parametrize("count", [0, 1])
def test_few_samples_have_a_tally(count):
    """No sample and one sample are tallied like any number."""
    result = tally([sample(0.2)] * count, 1.0)

    assert result.calls == count
    assert result.p99_s == 0.2 * count


def test_threads_make_every_call_and_incidents_happen():
    """Each job is made once, errors are results, and incidents run on the caller."""
    happened = []

    def do(job):
        if job.intent == "3":
            msg = "three"
            raise ValueError(msg)

    samples = run_threads(
        jobs(20),
        do,
        threads=4,
        per_second=2000,
        incidents=[
            Incident(at_s=0, action=lambda: happened.append(threading.get_ident()))
        ],
    )

    assert sorted(int(one.job.intent) for one in samples) == list(range(20))
    assert [one.error for one in samples if one.error] == ["ValueError: three"]
    assert happened == [threading.get_ident()]


async def test_tasks_make_every_call():
    """The asyncio twin does the same on the running loop."""
    happened = []

    async def do(job):
        await asyncio.sleep(0)
        if job.intent == "3":
            msg = "three"
            raise ValueError(msg)

    samples = await run_tasks(
        jobs(20),
        do,
        tasks=4,
        per_second=2000,
        incidents=[Incident(at_s=0, action=lambda: happened.append("crash"))],
    )

    assert sorted(int(one.job.intent) for one in samples) == list(range(20))
    assert [one.error for one in samples if one.error] == ["ValueError: three"]
    assert happened == ["crash"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.4813, "1.48 s"),
        (0.0152, "15.2 ms"),
        (0.00018, "180 µs"),
        (0.9999, "1 s"),
        (1234.4, "1234 s"),
    ],
)
def test_durations_have_three_digits_and_a_unit(seconds, text):
    """A duration is shown in its largest readable unit."""
    assert duration(seconds) == text
