"""A policy text as plain data with the place of each value, and its problems.

Shared by everything that finds something wrong: one way to say where and what.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from resilience.errors import Problem


Key: TypeAlias = tuple[str | int, ...]
Spot: TypeAlias = tuple[int, int]
"""Line and column, from 1; zeros where there is no text."""


_MOST: Final = 2000


class Bad:
    """Stands where a value was refused, so that nothing more is said about it."""


BAD: Final = Bad()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key and its value stand; lines and columns start at 1."""

    key_line: int
    key_column: int
    line: int
    column: int
    text: str
    """The value as written, if it is a scalar."""


@dataclass(slots=True)
class Document:
    """One text as data. `data` has no refused value in it."""

    file: str
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    places: dict[Key, Place] = field(default_factory=dict[Key, Place])
    problems: list[Problem] = field(default_factory=list[Problem])
    refused: set[Key] = field(default_factory=set[Key])
    """Key paths whose value was refused: present, though not in `data`."""

    is_broken: bool = False
    """The text ended before its end: what was read of it proves nothing."""

    def amend_hint(self, path: Key, hint: str) -> None:
        """Give the problem noted at *path*, if there is one, a better hint."""
        shown = show_path(path)
        for index, problem in enumerate(self.problems):
            if problem.path == shown:
                self.problems[index] = replace(problem, hint=hint)

    def say(
        self,
        path: Key,
        code: str,
        found: str,
        message: str,
        *,
        hint: str = "",
        at: Spot | None = None,
    ) -> None:
        """Note a problem, at the value of *path* unless another spot is given."""
        if self.is_full:
            return
        place = self.places.get(path)
        line, column = at or ((place.line, place.column) if place else (0, 0))
        self.problems.append(
            Problem(
                file=self.file,
                line=line,
                column=column,
                path=show_path(path),
                code=code,
                found=shorten(found),
                message=printable(message),
                hint=printable(hint),
            )
        )

    @property
    def is_full(self) -> bool:
        """Tell whether more problems are noted than anybody reads."""
        return len(self.problems) >= _MOST

    def key_spot(self, path: Key) -> Spot:
        """Return where the key of *path* stands; zeros where there is no text."""
        place = self.places.get(path)
        return (place.key_line, place.key_column) if place else (0, 0)


def show_path(path: Key) -> str:
    """Return a key path as text; the empty one is the file itself."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{shorten(part)}"
    return text.lstrip(".") or "(file)"


def printable(text: str) -> str:
    """Return *text* with what could steer a terminal written out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def shorten(text: str) -> str:
    """Return *text* in one printable line of at most 60 characters."""
    return printable(text if len(text) <= 60 else f"{text[:57]}...")
