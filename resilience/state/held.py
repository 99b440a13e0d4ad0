"""What a process says of itself on its host: small files that it holds a lock on.

They lie beside the host's shared state. One that nobody holds is nobody's: the kernel
took the lock back when its process died. Names are never used again: who removes what
the dead have left cannot remove what somebody says just then.
"""

import contextlib
import fcntl
import os
import weakref
from collections.abc import Generator, Iterator
from typing import Final

from .place import UnusableError, open_file, open_folder


LARGEST: Final = 1024 * 1024
"""Bytes that are read of one."""


class HeldFile:
    """One such file, until `remove`, the end of this object or death.

    Its owner locks, and removes it in the child of a fork.
    """

    def __init__(self, ending: str, content: bytes) -> None:
        """Say *content*.

        Args:
            ending: of the file's name; it tells what is said.
            content: the whole file, at most `LARGEST`.

        Raises:
            OSError, UnusableError: it cannot be said here.
        """
        path, folder = open_folder()
        os.close(folder)
        name = f"{os.getpid()}-{os.urandom(4).hex()}"
        draft, final = str(path / f".{name}"), str(path / f"{name}{ending}")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        file = os.open(draft, flags, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.pwrite(file, content, 0) != len(content):
                raise OSError(28, "no space left")  # noqa: TRY301 - cleared up below
            os.rename(draft, final)  # noqa: PTH104 - beside the descriptor that we hold
        except BaseException:
            _end(file, draft, os.getpid())
            raise
        self._file = file
        self._end = weakref.finalize(self, _end, file, final, os.getpid())

    def write(self, at: int, data: bytes) -> None:
        """Replace what stands at the byte *at*; nothing once it is removed."""
        if self._end.alive:
            with contextlib.suppress(OSError):
                os.pwrite(self._file, data, at)

    def remove(self) -> None:
        """Say it no more; in the child of a fork: leave it to the parent."""
        self._end()


def _end(file: int, path: str, pid: int) -> None:
    with contextlib.suppress(OSError):
        if pid == os.getpid():
            os.unlink(path)  # noqa: PTH108 - as above
    with contextlib.suppress(OSError):
        os.close(file)


def said(ending: str) -> Iterator[bytes]:
    """What this user's live processes on this host say in files of that ending."""
    with _opened_folder() as folder:
        for name in _names(folder, ending):
            with contextlib.suppress(OSError, UnusableError):
                file = open_file(folder, name)
                try:
                    if _is_held(file):
                        yield os.pread(file, LARGEST, 0)
                finally:
                    os.close(file)


def sweep(ending: str) -> None:
    """Remove what processes have said that are gone."""
    with _opened_folder() as folder:
        for name in _names(folder, ending):
            with contextlib.suppress(OSError, UnusableError):
                file = open_file(folder, name)
                try:
                    if not _is_held(file):
                        os.unlink(name, dir_fd=folder)
                finally:
                    os.close(file)


@contextlib.contextmanager
def _opened_folder() -> Generator[int]:
    """The folder's descriptor; below 0: there is none."""
    try:
        _, folder = open_folder(make=False)
    except UnusableError:
        yield -1
        return
    try:
        yield folder
    finally:
        os.close(folder)


def _names(folder: int, ending: str) -> list[str]:
    if folder < 0:
        return []
    found = os.listdir(folder)
    # What begins with a dot is not said yet.
    return sorted(n for n in found if n.endswith(ending) and not n.startswith("."))


def _is_held(file: int) -> bool:
    """Does the process that said it live?"""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
