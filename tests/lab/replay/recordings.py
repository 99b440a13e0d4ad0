"""Worlds of calls that run in virtual time and leave a recording."""

from pathlib import Path

from resilience import PolicyEngine
from resilience.core.outcome import OK, Outcome
from resilience.core.target import Facts, Target
from resilience.drivers.virtual import Reply, VirtualLoop
from resilience.telemetry import encoding


QUOTE = Target(protocol="app", name="rates", service="rates", method="quote")
REFUSED = Outcome("UNAVAILABLE", "transport", "no")
SAFE = Facts("safe")
START_S = 1000.0


class LoopClock:
    def __init__(self, loop):
        self._loop = loop

    def now(self):
        return self._loop.now

    def sleep(self, seconds):
        raise NotImplementedError

    async def asleep(self, seconds):
        raise NotImplementedError


class Wanting:
    """A sink that has calls recorded as `JsonLinesSink` does."""

    wants_successes = wants_draws = True

    def emit(self, record):
        pass


class World:
    """Calls of one process under a policy, recorded when they have all ended."""

    def __init__(self, text, path, *, seed=1):
        self.path = Path(path)
        self.loop = VirtualLoop(START_S)
        self.engine = PolicyEngine.from_text(
            text, sinks=[Wanting()], clock=LoopClock(self.loop), seed=seed
        )
        self.running = []

    def call(self, at_s, *replies, facts=SAFE, target=QUOTE, leaves_after_s=None):
        """A call that comes after *at_s*; its attempts meet *replies*, then the last.

        A reply is an outcome, or it and seconds; None: it is never answered.
        """
        answers = [_reply(one) for one in replies or (OK,)]

        def transport(_call, command, _now):
            return answers[min(command.number, len(answers)) - 1]

        def begin():
            call = self.engine.new_call(self.engine.bind(target), facts)
            running = self.loop.start(call, transport)
            self.running.append(running)
            if leaves_after_s is not None:
                self.loop.at(self.loop.now + leaves_after_s, running.cancel)

        self.loop.at(START_S + at_s, begin)
        return self

    def record(self, path=None, *, host=None):
        """Let everything happen; the path of the recording, written on *host*."""
        self.loop.run(until=START_S + 500)
        for running in self.running:
            running.cancel()
        self.engine.close()
        path = Path(path or self.path)
        head = "" if host is None else opened(host)
        path.write_text(head + "".join(map(encoding.line, self.loop.records)))
        return path


def opened(host, pid=1, offset_s=5000.0):
    """The line at the head of a file that a process of *host* wrote."""
    return encoding.own_line(
        encoding.OPENED, pid=pid, host=host, clock_offset_s=offset_s
    )


def _reply(one):
    if one is None or isinstance(one, Reply):
        return one
    outcome, after_s = one if isinstance(one[0], Outcome) else (one, 0.01)
    return Reply(outcome, after_s)
