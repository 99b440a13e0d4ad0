"""A file of lines that one process appends to, bounded in size by being put aside.

Whoever writes holds a lock on the file. Another process takes the next name, and one
that comes after a dead one goes on where that stopped. Not safe to share between
threads; what the disk refuses is raised.
"""

import contextlib
import os
from pathlib import Path


try:
    import fcntl
except ImportError:  # not a system of this kind: a name in use is not noticed
    fcntl = None  # type: ignore[assignment]  # a module, or none

_FLAGS = (
    os.O_RDWR
    | os.O_CREAT
    | os.O_APPEND
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_TAIL = 1024 * 1024
"""No line is longer: this much is searched for the end of the last whole one."""


class LinesFile:
    """Appends whole lines.

    Args:
        path: the first name to try; `records-2.jsonl` and so on follow.
        max_bytes: a file that would grow beyond it is put aside.
        keep: files that are kept aside.
        max_files: names that are tried.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int,
        keep: int,
        max_files: int,
    ) -> None:
        self._given = Path(path)
        self._max_bytes = max_bytes
        self._keep = keep
        self._max_files = max_files
        self._handle = -1
        self._size = 0
        self.path = ""
        """The file that is open; empty: none is."""

    def write(self, text: str, opened: str) -> bool:
        """Append *text*, whole lines; in a file just opened, *opened* goes before it.

        Returns:
            False: every name is in use by another process.

        Raises:
            OSError: the disk refuses.
        """
        data = text.encode()
        if self._handle >= 0 and self._size + len(data) > self._max_bytes:
            self._put_aside()
        if self._handle < 0:
            data = opened.encode() + data
            if not self._open(len(data)):
                return False
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._handle, view) :]
        except OSError:
            self.close()  # what is half written is cut off when it is opened again
            raise
        self._size += len(data)
        return True

    def close(self) -> None:
        """Close the file; the next `write` opens one."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def renew(self) -> None:
        """After a fork: the open file and its lock are the parent's."""
        self.close()
        self.path = ""

    def _names(self) -> list[Path]:
        given = self._given
        others = range(2, self._max_files + 1)
        return [given, *(given.with_stem(f"{given.stem}-{n}") for n in others)]

    def _open(self, needed: int) -> bool:
        """Open the first name that is free, with room for *needed* bytes."""
        for path in self._names():
            handle = os.open(path, _FLAGS, 0o600)
            try:
                if not _lock(handle):
                    os.close(handle)
                    continue
                self._size = _mend(handle)
            except BaseException:
                os.close(handle)
                raise
            self._handle, self.path = handle, str(path)
            if self._size and self._size + needed > self._max_bytes:
                self._put_aside()
                return self._open(needed)
            return True
        return False

    def _put_aside(self) -> None:
        """Rename the file to `.1`, that to `.2`, and so on; the lock is held on."""
        path = self.path
        older = [Path(path), *(Path(f"{path}.{n}") for n in range(1, self._keep + 1))]
        older[-1].unlink(missing_ok=True)
        for new, old in zip(older[:0:-1], older[-2::-1], strict=True):
            with contextlib.suppress(FileNotFoundError):
                old.replace(new)
        self.close()


def _lock(handle: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _mend(handle: int) -> int:
    """Cut a line off that a dead process left half written; the size that is left."""
    size = os.fstat(handle).st_size
    begin = max(0, size - _TAIL)
    os.lseek(handle, begin, os.SEEK_SET)
    tail = os.read(handle, _TAIL)
    whole = begin + tail.rfind(b"\n") + 1
    if whole < size:
        os.ftruncate(handle, whole)
    return whole
