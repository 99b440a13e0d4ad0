"""A drill is announced on its host, for whoever asks what goes on there at 3 am.

One small file for each drilled process, which that process holds (`state.held`). A
drill that cannot be announced injects as ever; nothing is raised.
"""

import array
import contextlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from .shown import EXPIRED, FILE_CHANGED, DrillShown, FaultShown, shown
from .stamp import Stamp, namespace, stamp_of


if TYPE_CHECKING:
    from resilience.state.held import HeldFile

    from .seam import Seam

ENDING: Final = ".drill"
"""Of the names of announcements."""
VERSION: Final = 2
_CELL: Final = 8
_NOT_BEGUN: Final = 0


class Announcement:
    """The file of one drill in one process. Its owner locks.

    A line of JSON, which never changes, then whole numbers: the drill's start by the
    time of day in nanoseconds, and of each fault how many attempts it has hit.
    """

    def __init__(self, seam: "Seam") -> None:
        self._file: HeldFile | None = None
        self._at = 0
        """Where the numbers begin."""
        with contextlib.suppress(Exception):  # whatever is wrong with the folder
            self._open(seam)

    def _open(self, seam: "Seam") -> None:
        from resilience.state.held import HeldFile, sweep  # not on every system

        sweep(ENDING)
        data = {
            "v": VERSION,
            **shown(seam.drill, seam.file).as_dict(),
            "stamp": seam.stamp,
            "namespace": namespace(),
        }
        line = json.dumps(data).encode() + b"\n"
        self._at = len(line)
        numbers = (_began_ns(seam.elapsed()), *[0] * len(seam.hits))
        self._file = HeldFile(ENDING, line + array.array("q", numbers).tobytes())

    def began(self, elapsed_s: float) -> None:
        """The drill began *elapsed_s* ago; below 0: it has not."""
        self._write(0, _began_ns(elapsed_s))

    def hit(self, fault: int, times: int) -> None:
        """The fault of that place in the drill has hit *times* attempts."""
        self._write(1 + fault, times)

    def _write(self, cell: int, number: int) -> None:
        if self._file is not None:
            data = array.array("q", (number,)).tobytes()
            self._file.write(self._at + cell * _CELL, data)

    def withdraw(self) -> None:
        """The drill is over; in the child of a fork: here, the file is the parent's."""
        file, self._file = self._file, None
        if file is not None:
            file.remove()


def _began_ns(elapsed_s: float) -> int:
    return int((time.time() - elapsed_s) * 1e9) if elapsed_s >= 0 else _NOT_BEGUN


def announced() -> tuple[DrillShown, ...]:
    """The drills of this user's processes on this host, by name and process.

    What another process wrote is checked, and left out where it makes no sense.
    """
    try:
        from resilience.state.held import said
    except ImportError:  # not a system of this kind
        return ()
    found = [one for content in said(ENDING) for one in _read(content)]
    return tuple(sorted(found, key=lambda one: (one.name, one.pid)))


_SENSELESS = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
)


def _read(content: bytes) -> Iterator[DrillShown]:
    with contextlib.suppress(*_SENSELESS):
        text, _, cells = content.partition(b"\n")
        began_ns, *hits = array.array("q", cells)
        elapsed_s = -1.0 if began_ns == _NOT_BEGUN else time.time() - began_ns / 1e9
        data = json.loads(text)
        stamp, where = data.pop("stamp"), data.pop("namespace")
        one = _drill_of(data)
        yield one.at(elapsed_s, hits, why=_why_over(one, stamp, where))


def _why_over(one: DrillShown, stamp: Stamp | None, where: int) -> str:
    """Why nothing is injected with the next call, though nobody has called since."""
    if one.expires and datetime.now(UTC) >= datetime.fromisoformat(one.expires):
        return EXPIRED
    if not one.file or stamp is None or where != namespace():
        return ""  # files have other names there
    found = stamp_of(one.file)
    return "" if found is not None and list(found) == list(stamp) else FILE_CHANGED


def _drill_of(data: dict[str, Any]) -> DrillShown:
    """What was announced, in the types that it must have.

    Raises:
        ValueError, TypeError, KeyError: it makes no sense.
    """
    if data.pop("v") != VERSION:
        msg = "of another version"
        raise ValueError(msg)
    faults = tuple(map(_fault_of, data["faults"]))
    typed: dict[str, Any] = {
        name: str(data[name]) for name in ("name", "title", "file", "expires")
    }
    typed |= {"pid": int(data["pid"]), "duration_s": float(data["duration_s"])}
    return DrillShown(**{**data, **typed, "faults": faults})


def _fault_of(data: dict[str, Any]) -> FaultShown:
    typed: dict[str, Any] = {name: str(data[name]) for name in ("words", "kind")}
    typed |= {name: float(data[name]) for name in ("percent", "from_s", "until_s")}
    return FaultShown(**{**data, **typed, "whom": tuple(map(str, data["whom"]))})
