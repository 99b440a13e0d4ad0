"""One call as it was recorded: what was decided for it, when, and on what evidence.

Whoever asks has an id from a log line, a note on an error or a span, and a file. What
cannot be read in the file is passed over: this asks for one call, not for all.
"""

import contextlib
import gzip
import json
import os
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from resilience.core.record import (
    AttemptEnded,
    BreakerChanged,
    CallEnded,
    Decided,
    Diverted,
    Record,
)
from resilience.core.target import Target
from resilience.telemetry import encoding

from .decoding import BadLineError, Opened, read
from .reading import lines_of
from .recorded import arrival_of


BEFORE_S: Final = 60.0
"""Changes of the call's breakers are told that came so long before its end, at most."""
_MOST_CHANGES: Final = 200
AFTER_LINES: Final = 1000
"""Lines after a call's end in which an answer from elsewhere may stand."""
_ALWAYS: Final = (b'"breaker"', b'"opened"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a recording has of one call."""

    file: str
    host: str
    """Empty: the recording does not say."""
    clock_offset_s: float | None
    """Time of day less the moments in the records; None: it is not recorded."""
    ended: CallEnded | None
    """None: the recording stops before its end."""
    attempts: tuple[AttemptEnded, ...]
    """By number; of a call that succeeded at once there is none."""
    decided: tuple[Decided, ...]
    """In mode observe: what would have been done."""
    diverted: tuple[Diverted, ...]
    breakers: tuple[BreakerChanged, ...]
    """Changes of breakers of its target, in this process, up to its end."""

    @property
    def target(self) -> Target:
        """Where the call went."""
        records = (self.ended, *self.attempts, *self.decided, *self.diverted)
        return next(one.target for one in records if one is not None)

    def as_dict(self) -> dict[str, Any]:
        """As data ready for JSON, each record as it stands in the file."""
        return {
            "file": self.file,
            "host": self.host,
            "clock_offset_s": self.clock_offset_s,
            "ended": None if self.ended is None else _data(self.ended),
            "attempts": [*map(_data, self.attempts)],
            "decided": [*map(_data, self.decided)],
            "diverted": [*map(_data, self.diverted)],
            "breakers": [*map(_data, self.breakers)],
        }


def _data(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encoding.line(record))
    return found


def story_of(call_id: str, paths: Sequence[str | os.PathLike[str]]) -> Story | None:
    """What the files *paths* have of the call *call_id*; None: nothing.

    Raises:
        OSError: a file cannot be read.
    """
    search = _Search(call_id)
    for path in [os.fspath(path) for path in paths]:
        search.begin()
        with contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile):  # cut off
            for line in lines_of(path):
                search.take(line, path)
                if search.ended is not None and not search.is_near():
                    break
        if search.is_whole():
            break
    return search.story() if search.is_found() else None


class _Search:
    """Files, read line by line: an attempt may stand in one that was put aside."""

    def __init__(self, call_id: str) -> None:
        self._id = call_id
        self._sign = json.dumps(call_id).encode()
        self._opened: Opened | None = None
        self._changes: deque[BreakerChanged] = deque(maxlen=_MOST_CHANGES)
        self._records: list[AttemptEnded | Decided | Diverted] = []
        self._host = self._file = ""
        self._more = AFTER_LINES
        self.ended: CallEnded | None = None

    def begin(self) -> None:
        """Another file comes."""
        if self.ended is None:
            self._opened = None
            self._changes.clear()

    def is_whole(self) -> bool:
        """Is its end known, and each attempt that must have left a record?"""
        ended = self.ended
        if ended is None:
            return False
        made = sum(isinstance(one, AttemptEnded) for one in self._records)
        is_clean = ended.attempts == 1 and ended.outcome.kind == "ok"
        return is_clean or made >= ended.attempts

    def is_found(self) -> bool:
        """Is anything told of the call?"""
        return self.ended is not None or bool(self._records)

    def is_near(self) -> bool:
        """May what belongs to the call follow still?"""
        self._more -= 1
        return self._more > 0

    def take(self, line: bytes, path: str) -> None:
        """Read a line, if it may say something of the call."""
        is_own = self._sign in line
        if not is_own and not any(word in line for word in _ALWAYS):
            return
        try:
            found, host = read(line.decode())
        except (BadLineError, UnicodeDecodeError):
            return
        match found:
            case Opened() if self.ended is None:
                self._opened = found
            case BreakerChanged() if self.ended is None:
                self._changes.append(found)
            case CallEnded(call_id=self._id):
                self.ended, self._host, self._file = found, host, path
            case AttemptEnded() | Decided() | Diverted():
                if found.call_id == self._id:
                    self._records.append(found)
                    if self.ended is None:
                        self._host, self._file = host, path
            case _:
                pass

    def story(self) -> Story:
        """What was found."""
        records, opened = self._records, self._opened
        attempts = [one for one in records if isinstance(one, AttemptEnded)]
        last = self.ended or records[-1]
        return Story(
            file=self._file,
            host=self._host or (opened.host if opened else ""),
            clock_offset_s=None if opened is None else opened.clock_offset_s,
            ended=self.ended,
            attempts=tuple(sorted(attempts, key=lambda one: one.number)),
            decided=tuple(one for one in records if isinstance(one, Decided)),
            diverted=tuple(one for one in records if isinstance(one, Diverted)),
            breakers=tuple(
                one
                for one in self._changes
                if last.now - BEFORE_S <= one.now <= last.now
                and _is_of(one.scope, last.target)
            ),
        )


def _is_of(scope: str, target: Target) -> bool:
    """Do calls of *target* share the state of *scope*?"""
    protocol, _, parts = scope.partition(":")
    if protocol != target.protocol:
        return False
    wanted = (part.partition("=")[::2] for part in parts.split(","))
    return all(target.dimension(name) == value for name, value in wanted)


def began_at(story: Story) -> float:
    """When the call arrived, or the first that is known of it, on its own clock."""
    if story.ended is not None:
        return arrival_of(story.ended)
    timed: list[AttemptEnded | Diverted] = [*story.attempts, *story.diverted]
    starts = [one.now - one.elapsed_s for one in timed]
    starts += [one.now for one in story.decided]
    return min(starts)
