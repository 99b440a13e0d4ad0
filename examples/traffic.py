"""Send a fixed list of calls at a fixed pace, while incidents happen, and time them.

Only what a caller can see is noted here: how long a call took and how it ended.
Attempts and effects are counted by the servers.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import quantiles


GRACE_S = 0.050
"""A call is past its deadline when it ends later than this after it, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One call that is to be made."""

    kind: str
    """What sort of call, as the tables group them: safe, keyed, ..."""
    operation: str
    """Method or operation."""
    intent: str
    """What the caller wants; unique for each call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How one call ended."""

    job: Job
    elapsed_s: float
    error: str
    """Type and text of the error; empty when the call succeeded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something that happens to the servers while calls are made."""

    at_s: float
    """Seconds after the first call."""
    action: Callable[[], None]


@dataclass(slots=True)
class Progress:
    """What is done so far; read by whoever draws it."""

    done: int = 0
    samples: list[Sample] = field(default_factory=list)

    def add(self, job: Job, started: float, error: BaseException | None) -> None:
        """Note the end of *job*, which began at *started* (monotonic)."""
        text = "" if error is None else f"{type(error).__name__}: {error}"[:300]
        elapsed_s = time.monotonic() - started
        self.samples.append(Sample(job=job, elapsed_s=elapsed_s, error=text))
        self.done += 1


class _Pace:
    """Hands out jobs, each not before its moment. Safe to share between threads."""

    def __init__(self, jobs: Iterable[Job], per_second: float) -> None:
        self._jobs = enumerate(jobs)
        self._lock = threading.Lock()
        self._interval_s = 1 / per_second
        self.start = time.monotonic()

    def next(self) -> tuple[Job, float] | None:
        """The next job and the seconds to wait for its moment."""
        with self._lock:
            index, job = next(self._jobs, (0, None))
        if job is None:
            return None
        due = self.start + index * self._interval_s
        return job, max(0.0, due - time.monotonic())


def run_threads(
    jobs: Sequence[Job],
    do: Callable[[Job], object],
    *,
    threads: int,
    per_second: float,
    incidents: Sequence[Incident] = (),
    tick: Callable[[Progress], None] = lambda _: None,
) -> list[Sample]:
    """Make every call with *do*, on *threads* threads.

    Incidents and *tick* (about 20 times a second) run on the calling thread, which a
    Ctrl-C reaches at once: the workers are daemons.
    """
    progress, pace = Progress(), _Pace(jobs, per_second)

    def work() -> None:
        while (due := pace.next()) is not None:
            job, wait_s = due
            time.sleep(wait_s)
            started, error = time.monotonic(), None
            try:
                do(job)
            except Exception as caught:  # noqa: BLE001 - any failure is a result here
                error = caught
            progress.add(job, started, error)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    waiting = sorted(incidents, key=lambda incident: incident.at_s)
    while True:
        # Asked first: an incident that was due before the last call ended happens.
        working = any(worker.is_alive() for worker in workers)
        if waiting and time.monotonic() - pace.start >= waiting[0].at_s:
            waiting.pop(0).action()
        tick(progress)
        if not working:
            return progress.samples
        time.sleep(0.05)


async def run_tasks(
    jobs: Sequence[Job],
    do: Callable[[Job], Awaitable[object]],
    *,
    tasks: int,
    per_second: float,
    incidents: Sequence[Incident] = (),
    tick: Callable[[Progress], None] = lambda _: None,
) -> list[Sample]:
    """Make every call with *do*, on *tasks* tasks of the running loop."""
    progress, pace = Progress(), _Pace(jobs, per_second)

    async def work() -> None:
        while (due := pace.next()) is not None:
            job, wait_s = due
            await asyncio.sleep(wait_s)
            started, error = time.monotonic(), None
            try:
                await do(job)
            except Exception as caught:  # noqa: BLE001 - any failure is a result here
                error = caught
            progress.add(job, started, error)

    async def disturb() -> None:
        for incident in sorted(incidents, key=lambda one: one.at_s):
            wait_s = pace.start + incident.at_s - time.monotonic()
            await asyncio.sleep(max(0.0, wait_s))
            await asyncio.to_thread(incident.action)

    async def draw() -> None:
        while True:
            tick(progress)
            await asyncio.sleep(0.05)

    drawing = asyncio.create_task(draw())
    try:
        await asyncio.gather(disturb(), *(work() for _ in range(tasks)))
    finally:
        drawing.cancel()
        tick(progress)
    return progress.samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a group of samples adds up to."""

    calls: int
    failed: int
    late: int
    """Ended more than 50 ms after their deadline."""
    p50_s: float
    p99_s: float


def tally(samples: Sequence[Sample], deadline_s: float) -> Tally:
    """Count *samples* against a deadline of *deadline_s* seconds each."""
    times = [sample.elapsed_s for sample in samples]
    cuts = quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
    return Tally(
        calls=len(samples),
        failed=sum(1 for sample in samples if sample.error),
        late=sum(1 for elapsed_s in times if elapsed_s > deadline_s + GRACE_S),
        p50_s=cuts[49] if cuts else 0.0,
        p99_s=cuts[98] if cuts else 0.0,
    )


def errors(samples: Sequence[Sample]) -> tuple[str, ...]:
    """What the failed ones of *samples* failed with, each text once."""
    return tuple(sorted({sample.error for sample in samples if sample.error}))
