"""Recordings read line by line: calls out of records, and what is wrong with a file.

All problems are found before anything is played. A last line that was cut off (by a
kill, a copy, a full disk) is let go and said; any other bad line is a problem.
"""

import gzip
import os
import zlib
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple, cast

from resilience.core.record import AttemptEnded, BreakerChanged, CallEnded

from .decoding import (
    BadLineError,
    Line,
    Lost,
    Opened,
    OtherVersionError,
    Unknown,
    decode,
    read,
)
from .recorded import Recorded, arrival_of, number_of, process_of
from .sorting import Lines, Sorter


MOST_PROBLEMS = 20
"""Problems that are told; of further ones only the number is."""
LONGEST_LINE = 1024 * 1024
"""Bytes of a line; a longer one is none of ours."""
MOST_UNFINISHED = 100_000
"""Calls whose end has not come yet that are remembered; the oldest goes."""
MOST_PROCESSES = 10_000
SAME_CLOCK_S = 1.0
_GZIP = b"\x1f\x8b"
"""Clocks of one machine that differ by less are one clock."""


class BadLine(NamedTuple):
    """One thing that is wrong with a recording."""

    file: str
    line: int
    """Starts at 1; 0: it is wrong with the file as a whole."""
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.message}"


class RecordsError(ValueError):
    """A recording that cannot be used. `problems` are the first ones, by line.

    versionadded: 0.1
    """

    def __init__(self, problems: Sequence[BadLine], more: int) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
        self.more = more
        """Problems beyond those."""


@dataclass(slots=True)
class Process:
    """What was seen of one process."""

    calls: int = 0
    first: int | None = None
    """Number of its first call here; 1: the recording has it from its start."""
    last: int | None = None
    host: str = ""
    """Where it ran; empty: not known."""


@dataclass(slots=True)
class Contents:
    """What a recording holds, beside the calls themselves."""

    files: tuple[str, ...]
    lines: int = 0
    calls: int = 0
    cut_off: list[str] = field(default_factory=list)
    """`file:line` of last lines that were cut off."""
    lost: int = 0
    """Records that the sink could not write, by its own word."""
    unfinished: int = 0
    """Calls of which attempts were recorded, and no end."""
    not_whole: int = 0
    """Calls with an attempt that left no record."""
    unknown_kinds: Counter[str] = field(default_factory=Counter)
    """Records that this release does not know."""
    processes: dict[str, Process] = field(default_factory=dict)
    breakers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Scope and new state, of every change that was recorded."""
    began_at: float | None = None
    ended_at: float | None = None

    @property
    def missing(self) -> int:
        """Calls that left no record, by the gaps in their numbers."""
        return sum(
            one.last - one.first + 1 - one.calls
            for one in self.processes.values()
            if one.first is not None and one.last is not None
        )

    @property
    def begun_before(self) -> int:
        """Processes that were at work before the recording begins."""
        numbered = [one.first for one in self.processes.values() if one.first]
        return sum(first != 1 for first in numbered)

    @property
    def hosts(self) -> Counter[str]:
        """How many processes each host had; the empty name: it is not known which."""
        return Counter(one.host for one in self.processes.values())

    @property
    def nameless(self) -> int:
        """Calls of which nothing says which process made them."""
        return self.processes[""].calls if "" in self.processes else 0


class Reading:
    """Reads files into a `Sorter`."""

    def __init__(self, paths: Sequence[str | os.PathLike[str]], into: Sorter) -> None:
        self.contents = Contents(tuple(os.fspath(path) for path in paths))
        self._into = into
        self._problems: list[BadLine] = []
        self._more = 0
        self._open: OrderedDict[str, list[tuple[int, str]]] = OrderedDict()
        self._clock: Opened | None = None
        """Of the lines that name no host."""
        self._clocks: dict[str, Opened] = {}
        """By host, in the file that is read."""
        self._reference: Opened | None = None
        self._order = 0

    def read(self) -> Contents:
        """Read all files, in order.

        Raises:
            RecordsError: lines are wrong, or no call is recorded at all.
            OSError: a file cannot be read.
        """
        for path in self.contents.files:
            self._clock = None
            self._clocks = {}
            self._file(path)
        contents = self.contents
        contents.unfinished += len(self._open)
        if not self._problems and not contents.calls:
            self._problem(", ".join(contents.files), 0, "no call is recorded here")
        if self._problems:
            raise RecordsError(self._problems, self._more)
        return contents

    def _file(self, path: str) -> None:
        number, held = 0, b""
        try:
            for number, held in enumerate(lines_of(path), start=1):
                if not self._take(path, number, held):
                    break
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            if isinstance(error, gzip.BadGzipFile) and not number:
                self._problem(path, 0, f"no gzip file: {error}")
                return
            self._cut_off(path, number + 1)

    def _take(self, path: str, number: int, data: bytes) -> bool:
        """Take one line; False: it makes no sense to read on."""
        self.contents.lines += 1
        is_cut = not data.endswith(b"\n")
        text = data.strip()
        if not text:
            return True
        try:
            words = _words(text)
            found, host = read(words)
        except (BadLineError, UnicodeDecodeError) as error:
            if is_cut:
                self._cut_off(path, number)
            else:
                self._problem(path, number, str(error))
            return not isinstance(error, OtherVersionError)
        self._keep(found, words, host)
        return True

    def _cut_off(self, path: str, number: int) -> None:
        self.contents.cut_off.append(f"{path}:{number}")

    def _problem(self, path: str, number: int, message: str) -> None:
        if len(self._problems) >= MOST_PROBLEMS:
            self._more += 1
        else:
            self._problems.append(BadLine(path, number, message))

    def _keep(self, found: Line, text: str, host: str) -> None:
        contents = self.contents
        match found:
            case AttemptEnded():
                held = self._open.setdefault(found.call_id, [])
                held.append((found.number, text))
                if len(self._open) > MOST_UNFINISHED:
                    self._open.popitem(last=False)
                    contents.unfinished += 1
            case CallEnded():
                self._call(found, text, host)
            case BreakerChanged():
                contents.breakers[found.scope, found.new] += 1
            case Opened():
                self._clock = self._clocks[found.host] = found
                self._reference = self._reference or found
            case Lost():
                contents.lost += found.records
            case Unknown():
                contents.unknown_kinds[found.kind] += 1
            case _:
                pass  # it tells of nothing that is decided again

    def _call(self, ended: CallEnded, text: str, host: str) -> None:
        contents, call_id = self.contents, ended.call_id
        held = sorted(self._open.pop(call_id, ()))
        clock = self._clocks.get(host) if host else self._clock
        shift_s = self._shift_s(clock)
        arrived_at = arrival_of(ended) + shift_s
        process = process_of(call_id)
        number = number_of(call_id) if process else None
        self._order += 1
        # Of calls that arrive together the one with the lower number came first.
        order = self._order if number is None else number
        host = host or (clock.host if clock else "")
        if clock and not process:
            process = f"pid {clock.pid} on {clock.host}"
        texts = (text, *(one for _, one in held))
        self._into.add(Lines(arrived_at, order, shift_s, host, process, texts))
        contents.calls += 1
        is_clean = ended.attempts == 1 and ended.outcome.kind == "ok"
        if len(held) < ended.attempts and not is_clean:
            contents.not_whole += 1
        _note(contents, process, host, number)
        ended_at = ended.now + shift_s
        began_at = contents.began_at
        contents.began_at = (
            arrived_at if began_at is None else min(began_at, arrived_at)
        )
        last_at = contents.ended_at
        contents.ended_at = ended_at if last_at is None else max(last_at, ended_at)

    def _shift_s(self, clock: Opened | None) -> float:
        """Between *clock* and the one that all are brought to."""
        reference = self._reference
        if clock is None or reference is None or clock is reference:
            return 0.0
        shift_s = clock.clock_offset_s - reference.clock_offset_s
        is_same = clock.host == reference.host and abs(shift_s) < SAME_CLOCK_S
        return 0.0 if is_same else shift_s


def _note(contents: Contents, name: str, host: str, number: int | None) -> None:
    process = contents.processes.get(name)
    if process is None:
        if len(contents.processes) >= MOST_PROCESSES:
            return
        process = contents.processes[name] = Process(host=host)
    process.calls += 1
    if number is not None:
        first, last = process.first, process.last
        process.first = number if first is None else min(first, number)
        process.last = number if last is None else max(last, number)


def _words(text: bytes) -> str:
    if len(text) > LONGEST_LINE:
        msg = f"longer than {LONGEST_LINE} bytes"
        raise BadLineError(msg)
    return text.decode()


def lines_of(path: str) -> Iterator[bytes]:
    """The lines of a file, gzip or not; of one that is too long only the beginning."""
    with Path(path).open("rb") as plain:
        is_gzip = plain.read(2) == _GZIP
        plain.seek(0)
        with ExitStack() as unpacking:
            file: IO[bytes] = plain
            if is_gzip:
                file = cast("IO[bytes]", unpacking.enter_context(gzip.open(plain)))
            while line := file.readline(LONGEST_LINE + 2):
                rest = line
                while rest and not rest.endswith(b"\n"):
                    rest = file.readline(LONGEST_LINE)
                yield line if rest is line or not rest else line + b"\n"


def calls_of(sorter: Sorter) -> Iterator[Recorded]:
    """The calls that were read, in the order they arrived."""
    for lines in sorter:
        ended, *attempts = map(decode, lines.texts)
        assert isinstance(ended, CallEnded)  # noqa: S101 - read so before
        found = Recorded(
            arrival_of(ended),
            lines.host,
            lines.process,
            ended,
            tuple(one for one in attempts if isinstance(one, AttemptEnded)),
        )
        yield found.shifted(lines.shift_s)
