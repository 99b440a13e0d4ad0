"""The host's file as cells in memory: made, checked, replaced when it is damaged.

A file appears whole under its name or not at all. One of another version or size, or
one that was scribbled over, is replaced by a new one; who still uses the old one
notices by the inode. Touching a page that a truncation took away ends a process
(SIGBUS), so whoever touches cells asks `is_whole` right before.
"""

import contextlib
import functools
import mmap
import os
import secrets
import time
from pathlib import Path

from . import layout
from .layout import CELL, HEADER_CELLS, ROWS_AT, SIZE
from .place import UnusableError, file_name, open_file, open_folder


_OLD_S = 60.0
"""Half-made files that are older are swept away."""


class StateFile:
    """One open and mapped file, until nobody holds any part of it."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self.descriptor = descriptor
        self.path = path
        self._name = str(path)
        found = os.fstat(descriptor)
        self.identity = found.st_dev, found.st_ino
        self.cells = memoryview(mmap.mmap(descriptor, SIZE)).cast("q")
        self.nonce = self.cells[layout.NONCE_AT]

    def __del__(self) -> None:
        # Not sooner: another thread may be about to use it, and the number would mean
        # another file then.
        with contextlib.suppress(OSError):
            os.close(self.descriptor)

    @property
    def is_whole(self) -> bool:
        """May the cells be touched now?"""
        return os.fstat(self.descriptor).st_size >= SIZE

    @property
    def is_current(self) -> bool:
        """Is this still the file of that name, and its header what it was?"""
        try:
            found = os.stat(self._name, follow_symlinks=False)  # noqa: PTH116 - on a call's path
        except OSError:
            return False
        if (found.st_dev, found.st_ino) != self.identity or not self.is_whole:
            return False
        header = self.cells[:HEADER_CELLS]
        return _is_ours(header) and header[layout.NONCE_AT] == self.nonce

    def clear(self, first: int, cells: int) -> None:
        """Set *cells* from *first* to 0, and make sure that memory is there for them.

        Raises:
            OSError: no space is left; touching them would have ended the process.
        """
        size = cells * CELL
        if os.pwrite(self.descriptor, bytes(size), first * CELL) != size:
            raise OSError(28, "no space left")


def open_state(policy: str) -> tuple[StateFile, bool]:
    """The file of the policies called *policy*, and whether it had to be replaced.

    Raises:
        UnusableError: there is none, and none can be made.
    """
    path, folder = open_folder()
    name = file_name(policy)
    try:
        return _open_or_make(folder, path / name, name)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        msg = f"{path / name}: {why}"
        raise UnusableError(msg) from error
    finally:
        os.close(folder)


def _open_or_make(folder: int, path: Path, name: str) -> tuple[StateFile, bool]:
    replaced = False
    for _ in range(8):  # others make and replace at the same time
        try:
            descriptor = open_file(folder, name)
        except FileNotFoundError:
            _make(folder, name, replace=False)
            continue
        except UnusableError:
            pass  # the folder is ours alone: what stands there may go
        except OSError as error:
            if error.errno not in _NOT_A_FILE:
                raise
        else:
            if is_good(descriptor):
                return _mapped(descriptor, path), replaced
            os.close(descriptor)
        replaced = True
        _make(folder, name, replace=True)
    msg = f"{path}: others replace it again and again"
    raise UnusableError(msg)


def _mapped(descriptor: int, path: Path) -> StateFile:
    try:
        return StateFile(descriptor, path)
    except BaseException:
        # Its `__del__` closed it, or there is no such object: twice is harmless here.
        with contextlib.suppress(OSError):
            os.close(descriptor)
        raise


_NOT_A_FILE = frozenset({40, 62, 6})
"""ELOOP of Linux and of BSD, ENXIO: a link or a socket stands there."""


def is_good(descriptor: int) -> bool:
    """Is it a whole file of this layout, made since the machine started?"""
    size = HEADER_CELLS * CELL
    if os.fstat(descriptor).st_size != SIZE:
        return False
    header = os.pread(descriptor, size, 0)
    return len(header) == size and _is_ours(memoryview(header).cast("q"))


def _is_ours(header: memoryview) -> bool:
    return (
        header[layout.MAGIC_AT] == layout.MAGIC
        and header[layout.VERSION_AT] == layout.VERSION
        and header[layout.SHAPE_AT] == layout.SHAPE
        and header[layout.BOOT_AT] == boot()
    )


@functools.cache
def boot() -> int:
    """Stands for the time since the machine started: ticks of another mean nothing."""
    with contextlib.suppress(OSError):
        return layout.number(Path("/proc/sys/kernel/random/boot_id").read_bytes())
    return 1


def _make(folder: int, name: str, *, replace: bool) -> None:
    """Make a new file, then give it its name in one step."""
    _sweep(folder)
    made = f".{name}.{secrets.token_hex(8)}"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(made, flags, 0o600, dir_fd=folder)
    try:
        try:
            os.ftruncate(descriptor, SIZE)
            content = bytearray(ROWS_AT * CELL)
            cells = memoryview(content).cast("q")
            cells[layout.MAGIC_AT] = layout.MAGIC
            cells[layout.VERSION_AT] = layout.VERSION
            cells[layout.SHAPE_AT] = layout.SHAPE
            cells[layout.BOOT_AT] = boot()
            cells[layout.NONCE_AT] = secrets.randbits(62)
            if os.pwrite(descriptor, content, 0) != len(content):
                raise OSError(28, "no space left")
        finally:
            os.close(descriptor)
        if replace:
            os.rename(made, name, src_dir_fd=folder, dst_dir_fd=folder)
            return
        with contextlib.suppress(FileExistsError):  # another process was quicker
            os.link(made, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(made, dir_fd=folder)


def _sweep(folder: int) -> None:
    """Remove what processes left behind that were killed while they made a file."""
    for name in os.listdir(folder):
        if name.startswith("."):
            with contextlib.suppress(OSError):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if found.st_mtime < time.time() - _OLD_S:
                    os.unlink(name, dir_fd=folder)
