"""Runs a behaviour row on each driver, all in virtual time.

Threads and asyncio get a clock whose sleep moves it; callbacks get a timer that is the
virtual loop's heap; the host loop is played by hand, as botocore would.
"""

import asyncio
from collections.abc import Callable

from resilience.core.binding import Binding
from resilience.core.call import Call
from resilience.core.command import Finish, StartAttempt
from resilience.core.event import AttemptCommitted
from resilience.core.outcome import Outcome
from resilience.drivers import aio, threads
from resilience.drivers.callback import CallbackDriver
from resilience.drivers.host import HostLoop
from resilience.drivers.virtual import Reply, VirtualLoop
from tests.core.policies import bind
from tests.spec.story import Row, Script, Story


class CallerLeft(BaseException):
    """What a blocked caller is interrupted by."""


class Clock:
    """A host whose time moves only by waiting; it interrupts a caller who leaves."""

    def __init__(self, story: Story) -> None:
        self.time = 0.0
        self.leaves_at: float | None = None
        self.interruption: type[BaseException] = CallerLeft
        self.emit = story.emit

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        until = self.time + seconds
        if self.leaves_at is not None and self.leaves_at < until:
            self.time = max(self.time, self.leaves_at)
            raise self.interruption
        self.time = until

    async def asleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.sleep(seconds)

    @property
    def timer(self):
        raise NotImplementedError


def run(driver: str, row: Row) -> tuple[str, Binding]:
    """The story of *row* on *driver*, and the state it leaves."""
    binding = bind(row.policy)
    row.prepare(binding)
    if binding.breaker is not None:
        binding.breaker.drain()
    story = Story()
    RUNNERS[driver](row, binding, story)
    return str(story), binding


def _calls(row: Row, binding: Binding):
    for number, script in enumerate(row.calls, start=1):
        made = Call(binding, script.facts, f"c-{number}", lambda: row.draw)
        yield made, script


def run_virtual(row: Row, binding: Binding, story: Story) -> None:
    loop = VirtualLoop()
    for made, script in _calls(row, binding):
        loop.run(max(loop.now, script.at))

        def transport(_: Call, command: StartAttempt, now: float, script=script):
            story.started(command, now)
            found = script.answer(command)
            if found.after_s >= 1e6:
                return None
            # An attempt that ends with its timeout is left to the engine's own timer.
            if found.outcome.timed_out and found.after_s == command.timeout_s:
                return None
            return Reply(*found)

        # Records are told as they come: the loop keeps them in the story's order.
        loop.records = _Emitter(story)
        running = loop.start(made, transport)
        if script.cancel_at is not None:
            loop.at(script.cancel_at, running.cancel)
        _run_until_ended(loop, lambda running=running: running.finish is not None)


class _Emitter(list):
    def __init__(self, story: Story) -> None:
        super().__init__()
        self.extend = story.emit


def _run_until_ended(loop: VirtualLoop, is_ended: Callable[[], bool]) -> None:
    while not is_ended():
        when = loop._heap[0][0]
        loop.run(when)


def run_threads(row: Row, binding: Binding, story: Story) -> None:
    clock = Clock(story)
    for made, script in _calls(row, binding):
        clock.time, clock.leaves_at = max(clock.time, script.at), script.cancel_at

        def attempt(command: StartAttempt, script=script, made=made) -> Outcome:
            story.started(command, clock.time)
            found = script.answer(command)
            if found.committed_after_s is not None:
                made.advance(AttemptCommitted(command.number), clock.time)
            clock.sleep(found.after_s)
            return found.outcome

        try:
            threads.run(made, attempt, clock)
        except CallerLeft:
            assert script.cancel_at is not None


def run_asyncio(row: Row, binding: Binding, story: Story) -> None:
    clock = Clock(story)
    clock.interruption = asyncio.CancelledError

    async def one(made: Call, script: Script) -> None:
        async def attempt(command: StartAttempt) -> Outcome:
            story.started(command, clock.time)
            found = script.answer(command)
            if found.committed_after_s is not None:
                made.advance(AttemptCommitted(command.number), clock.time)
            await clock.asleep(found.after_s)
            return found.outcome

        try:
            await aio.run(made, attempt, clock)
        except asyncio.CancelledError:
            assert script.cancel_at is not None

    async def everything() -> None:
        for made, script in _calls(row, binding):
            clock.time, clock.leaves_at = max(clock.time, script.at), script.cancel_at
            await one(made, script)

    asyncio.run(everything())


class _Handle:
    def __init__(self, fn: Callable[[], None]) -> None:
        self.fn: Callable[[], None] | None = fn

    def cancel(self) -> None:
        self.fn = None

    def __call__(self) -> None:
        if self.fn is not None:
            self.fn()


class LoopHost:
    """A host for callbacks: its timer is the virtual loop."""

    def __init__(self, story: Story) -> None:
        self.loop = VirtualLoop()
        self.emit = story.emit
        self.timer = self

    def now(self) -> float:
        return self.loop.now

    def at(self, when: float, fn: Callable[[], None], _: object = None) -> _Handle:
        handle = _Handle(fn)
        self.loop.at(when, handle)
        return handle


def run_callback(row: Row, binding: Binding, story: Story) -> None:
    host = LoopHost(story)
    for made, script in _calls(row, binding):
        host.loop.run(max(host.loop.now, script.at))
        played = _Played(host, made, script, story)
        played.driver.begin()
        if script.cancel_at is not None:
            host.loop.at(script.cancel_at, played.driver.cancel)
        _run_until_ended(host.loop, lambda played=played: bool(played.ends))

        assert len(played.ends) == 1


class _Played:
    """A transport of callbacks: what a `.future()` adapter does, scripted."""

    def __init__(
        self, host: LoopHost, made: Call, script: Script, story: Story
    ) -> None:
        self.ends: list[Finish] = []
        self.driver = CallbackDriver(
            made, self.start, self.cancel, self.ends.append, host
        )
        self._host = host
        self._script = script
        self._story = story
        self._under_way: dict[int, _Handle] = {}

    def start(self, command: StartAttempt) -> None:
        now, number = self._host.now(), command.number
        self._story.started(command, now)
        found = self._script.answer(command)
        first_s = found.committed_after_s
        if first_s is not None:
            self._host.at(now + first_s, lambda: self.driver.committed(number))
        self._under_way[number] = self._host.at(
            now + found.after_s, lambda: self.driver.done(number, found.outcome)
        )

    def cancel(self, number: int) -> None:
        self._under_way[number].cancel()


def run_host(row: Row, binding: Binding, story: Story) -> None:
    clock = Clock(story)
    for made, script in _calls(row, binding):
        clock.time, clock.leaves_at = max(clock.time, script.at), script.cancel_at
        loop = HostLoop(made, clock)
        try:
            answer = loop.arrive()
            while answer.finish is None:
                if answer.start is None:
                    clock.sleep(answer.wait_s)
                    answer = loop.woke()
                    continue
                story.started(answer.start, clock.time)
                found = script.answer(answer.start)
                number = answer.start.number
                if found.committed_after_s is not None:
                    loop.committed(number)
                clock.sleep(found.after_s)
                answer = loop.done(number, found.outcome, found.host_wait_s)
        except CallerLeft:
            loop.gone()

        assert loop.finished is not None


RUNNERS: dict[str, Callable[[Row, Binding, Story], None]] = {
    "virtual": run_virtual,
    "threads": run_threads,
    "asyncio": run_asyncio,
    "callback": run_callback,
    "host": run_host,
}
