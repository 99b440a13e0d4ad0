"""Calls in the order they arrived, however many there are.

A recording holds calls in the order they ended. What does not fit into memory goes to
temporary files in sorted runs, which are merged when they are read.
"""

import heapq
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, NamedTuple, Self


IN_MEMORY = 64 * 1024 * 1024
"""Characters of lines that are held at once."""
_APART = "\x1e"  # no character of a line of JSON


class Lines(NamedTuple):
    """The lines of one call."""

    arrived_at: float
    order: int
    """In which order calls that arrived at one moment are taken."""
    shift_s: float
    """To be added to every moment in its lines."""
    host: str
    process: str
    """Who made it; both empty where that is not known."""
    texts: tuple[str, ...]
    """First that of its end, then those of its attempts."""


class Sorter:
    """Takes calls in any order, gives them in that of their arrival. Read it once.

    Args:
        in_memory: characters of lines that are held at once.
    """

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._most = in_memory
        self._held: list[Lines] = []
        self._size = 0
        self._files = ExitStack()
        self._runs: list[IO[str]] = []

    def add(self, lines: Lines) -> None:
        """Take one call."""
        self._held.append(lines)
        self._size += sum(map(len, lines.texts))
        if self._size > self._most:
            self._spill()

    def _spill(self) -> None:
        file = self._files.enter_context(
            tempfile.TemporaryFile(  # noqa: SIM115  it is closed with the sorter
                "w+", encoding="utf-8", newline="\n", prefix="resilience-replay-"
            )
        )
        for one in sorted(self._held):
            head = (repr(one.arrived_at), str(one.order), repr(one.shift_s))
            # Names may be anything, an end of a line among them.
            names = json.dumps(one.host), json.dumps(one.process)
            file.write(_APART.join((*head, *names, *one.texts)) + "\n")
        file.seek(0)
        self._runs.append(file)
        self._held, self._size = [], 0

    def __iter__(self) -> Iterator[Lines]:
        self._held.sort()
        return heapq.merge(iter(self._held), *map(_read, self._runs))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()


def _read(file: IO[str]) -> Iterator[Lines]:
    for text in file:
        arrived, order, shift, *rest = text.rstrip("\n").split(_APART)
        host, process = map(json.loads, rest[:2])
        head = float(arrived), int(order), float(shift)
        yield Lines(*head, host, process, tuple(rest[2:]))
