"""Scripted far sides: what each attempt ends in, and after how long.

One script serves all drivers: `run` and `arun` are functions for `engine.call` and
`engine.acall`, `transport` is for `VirtualLoop`. Attempts keep their timeout: an entry
that takes longer ends as a timeout at that moment.
"""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from resilience.core.call import Call
from resilience.core.command import StartAttempt
from resilience.core.outcome import OK, Outcome
from resilience.drivers.virtual import Reply
from resilience.functions import Attempt, outcome_of

from .clock import VirtualClock


class ScriptEnded(AssertionError):
    """More attempts were made than the script has entries.

    versionadded: 0.1
    """


class Timed(NamedTuple):
    """An entry that takes time; made by `after`."""

    after_s: float
    end: object


class Started(NamedTuple):
    """An attempt that a script was asked for.

    versionadded: 0.1
    """

    number: int
    """Starts at 1."""
    timeout_s: float | None
    """Seconds it was given; None: no limit."""
    at: float
    """When it started, on the script's clock; 0.0 where there is none."""


def after(seconds: float, end: object = None) -> Timed:
    """An entry of a script that ends in *end* after *seconds*.

    versionadded: 0.1
    """
    return Timed(seconds, end)


class Script:
    """What attempt after attempt ends in. Safe to share between threads.

    Args:
        entries: one for each attempt, in the order they start. An exception is raised;
            an `Outcome` (for `transport` only) is taken as it is; anything else is
            returned. `after(seconds, entry)` lets it take time.
        clock: the time that entries take passes here; None: they take none.

    Raises:
        ScriptEnded: out of an attempt for which there is no entry.

    versionadded: 0.1
    """

    def __init__(
        self, entries: Iterable[object], *, clock: VirtualClock | None = None
    ) -> None:
        self._entries = [*entries]
        self._clock = clock
        self.started: list[Started] = []
        """The attempts so far, in the order they started."""

    @property
    def left(self) -> int:
        """Entries that no attempt has used."""
        return len(self._entries) - len(self.started)

    def run(self, attempt: Attempt) -> object:
        """Make one attempt, blocking; for `engine.call`."""
        timed = self._next(attempt.number, attempt.timeout_s)
        if self._clock is not None and timed.after_s:
            self._clock.sleep(_within(timed, attempt.timeout_s))
        return _end(timed, attempt.timeout_s)

    async def arun(self, attempt: Attempt) -> object:
        """Make one attempt in the running task; for `engine.acall`."""
        timed = self._next(attempt.number, attempt.timeout_s)
        if self._clock is not None and timed.after_s:
            await self._clock.asleep(_within(timed, attempt.timeout_s))
        else:
            await asyncio.sleep(0)
        return _end(timed, attempt.timeout_s)

    def transport(self, _call: Call, command: StartAttempt, now: float) -> Reply:
        """Make one attempt in virtual time; for `VirtualLoop.start`."""
        timed = self._next(command.number, command.timeout_s, now)
        end = timed.end
        if isinstance(end, Outcome):
            return Reply(end, timed.after_s)
        outcome = outcome_of(end) if isinstance(end, Exception) else OK
        return Reply(outcome, timed.after_s)

    def _next(
        self, number: int, timeout_s: float | None, now: float | None = None
    ) -> Timed:
        if now is None:
            now = 0.0 if self._clock is None else self._clock.now()
        index = len(self.started)
        self.started.append(Started(number, timeout_s, now))
        if index >= len(self._entries):
            msg = f"attempt {index + 1}, but the script has {index} entries"
            raise ScriptEnded(msg)
        entry = self._entries[index]
        return entry if isinstance(entry, Timed) else Timed(0.0, entry)


def _within(timed: Timed, timeout_s: float | None) -> float:
    return timed.after_s if timeout_s is None else min(timed.after_s, timeout_s)


def _end(timed: Timed, timeout_s: float | None) -> object:
    if timeout_s is not None and timed.after_s > timeout_s:
        msg = f"scripted attempt timed out after {timeout_s:.3g}s"
        raise TimeoutError(msg)
    if isinstance(timed.end, Outcome):
        msg = "a function cannot end in an Outcome; script the exception it raises"
        raise TypeError(msg)
    if isinstance(timed.end, BaseException):
        raise timed.end
    return timed.end
