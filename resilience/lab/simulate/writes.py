"""Writes that must not happen twice: what is committed, under which key, how often.

A job is delivered to a worker, which makes one call for it and tells its end. Between
worker and server requests and replies are lost, and some commit late; workers are
killed in the middle, and the job is delivered again. A server that honours keys commits
each key once. What is counted is commits beyond the first of a job.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, cast

from resilience.core.hop import Marks

from .clients import Client, Upstream, deliver
from .model import Writes
from .recording import Recorder
from .servers import OK, Attempt, Waiting
from .timeline import INFINITY, Moment, Timeline


class Caller(Waiting, Protocol):
    """A call that a worker makes for a job."""

    above: Attempt
    """The job's delivery to the worker."""

    def die(self) -> None:
        """Its process was killed."""
        ...


class Writer:
    """A server that commits what it is sent, behind a network that loses things.

    Args:
        writes: how often what is lost.
        server: what serves a request before it is committed.
        recorder: takes the commits.
        timeline: virtual time.
        rng: decides what is lost.
    """

    def __init__(
        self,
        writes: Writes,
        server: Upstream,
        recorder: Recorder,
        timeline: Timeline,
        rng: Callable[[], float],
    ) -> None:
        self._writes = writes
        self._server = server
        self._commits = recorder.commits
        self._timeline = timeline
        self._rng = rng
        self._keys: set[Hashable] = set()

    def send(self, attempt: Attempt, now: float) -> float:
        """Take *attempt*; nobody knows when its reply comes."""
        caller = cast("Caller", attempt.flight)
        job = cast("Job", caller.above.flight)
        job.caller = caller
        writes, fate = self._writes, self._rng()
        request = Request(self, attempt, job)
        if fate < writes.lost:
            return INFINITY
        fate -= writes.lost
        if fate < writes.late:
            self._timeline.do_at(now + writes.late_by, request.commit)
            return INFINITY
        fate -= writes.late
        request.is_silent = fate < writes.unanswered
        self._server.send(Attempt(request, attempt.number), now)
        return INFINITY

    def commit(self, job: "Job", key: Hashable) -> None:
        """*job* is written, unless *key* was seen before."""
        if key is not None and self._writes.honours_keys:
            if key in self._keys:
                return
            self._keys.add(key)
        self._commits[job.number] += 1

    def has_room(self, within_s: float, bound_ratio: float) -> bool:
        """Has the server?"""
        return self._server.has_room(within_s, bound_ratio)


class Request:
    """One request on its way: it is served and committed whoever still waits for it."""

    replica = -1
    deadline_at = None

    def __init__(self, writer: Writer, attempt: Attempt, job: "Job") -> None:
        self._writer = writer
        self._attempt = attempt
        self._job = job
        self.key = attempt.flight.key
        self.critical = attempt.flight.critical
        self.is_silent = False
        """Its reply gets lost."""

    def marks(self, attempt: Attempt) -> Marks:
        """What the caller's attempt carries."""
        del attempt
        return self._attempt.flight.marks(self._attempt)

    def commit(self) -> None:
        """Write it."""
        self._writer.commit(self._job, self.key)

    def replied(self, attempt: Attempt) -> None:
        """It was served: only what ended well was committed."""
        if attempt.code == OK:
            self.commit()
        if not self.is_silent:
            self._attempt.code = attempt.code
            deliver(self._attempt)


class Job:
    """One write that somebody wants; delivered until a worker tells how it ended."""

    deadline_at = None
    replica = -1

    def __init__(
        self, jobs: "Jobs", number: int, offered_at: float, *, critical: bool
    ) -> None:
        self._jobs = jobs
        self.key = self.number = number
        self.offered_at = offered_at
        self.critical = critical
        self.caller: Caller | None = None
        """The call that is made for it, once an attempt was sent."""

    def marks(self, attempt: Attempt) -> Marks:
        """A queue tells nothing."""
        del attempt
        return Marks()

    def replied(self, attempt: Attempt) -> None:
        """The worker tells how its call ended."""
        attempt.is_gone = True
        self._jobs.ended(self, good=attempt.code == OK)


class Jobs:
    """Delivers jobs to workers, and kills some of those in the middle."""

    def __init__(
        self,
        writes: Writes,
        recorder: Recorder,
        timeline: Timeline,
        clients: Sequence[Client],
        rng: Callable[[], float],
    ) -> None:
        self._writes = writes
        self._recorder = recorder
        self._timeline = timeline
        self._clients = clients
        self._rng = rng

    def offer(self, now: float, *, critical: bool) -> None:
        """A further job is there."""
        number = len(self._recorder.commits)
        self._recorder.commits.append(0)
        self._deliver(Job(self, number, now, critical=critical))

    def _deliver(self, job: Job) -> None:
        now, rng = self._timeline.seconds(), self._rng
        delivery = Attempt(job, 1)
        client = self._clients[int(rng() * len(self._clients))]
        job.caller = None
        client.call(0, now, critical=job.critical, above=delivery)
        if rng() < self._writes.killed:
            kill = Kill()
            kill.jobs, kill.job, kill.delivery = self, job, delivery
            self._timeline.at(now + rng() * self._writes.killed_within, kill, KILLED)

    def kill(self, job: Job, delivery: Attempt) -> None:
        """The worker that has *delivery* dies; nobody hears of it."""
        if delivery.is_gone or job.caller is None:
            return
        delivery.is_gone = True
        job.caller.die()
        again = self._timeline.seconds() + self._writes.delivered_again
        self._timeline.do_at(again, lambda: self._deliver(job))

    def ended(self, job: Job, *, good: bool) -> None:
        """A worker told the end of *job*."""
        recorder, now = self._recorder, self._timeline.seconds()
        recorder.acknowledged += good
        recorder.lies += good and not recorder.commits[job.number]
        recorder.end(job.offered_at, now, critical=job.critical, good=good, sent=True)


class Kill(Moment):
    """A worker is killed."""

    __slots__ = ("delivery", "job", "jobs")

    jobs: Jobs
    job: Job
    delivery: Attempt


def _killed(kill: Kill) -> None:
    kill.jobs.kill(kill.job, kill.delivery)


KILLED = (_killed,)
