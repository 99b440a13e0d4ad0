"""A slot's owner: a lock that the kernel takes back when the process dies.

Never a pid, which is given out again, and never waited for. On Linux the lock belongs
to an open file (OFD), elsewhere to a small file beside it for each slot.
"""

import contextlib
import fcntl
import os
import struct

from .file import StateFile
from .layout import CELL, HEAD_CELLS, SLOTS, head_at
from .place import UnusableError


_OFD_SETLK: int | None = getattr(fcntl, "F_OFD_SETLK", None)


def claim(file: StateFile) -> tuple[int, int]:
    """The first slot that nobody has: its number, and the descriptor that holds it.

    The descriptor is not the mapped one: a child of a fork that closes it holds
    nothing, though it has inherited the mapping.

    Raises:
        UnusableError: all slots are taken.
        OSError: the file cannot be opened again.
    """
    if _OFD_SETLK is None:
        return _claim_by_files(file)
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(file.path, flags)
    try:
        found = os.fstat(descriptor)
        if (found.st_dev, found.st_ino) == file.identity:
            for slot in range(SLOTS):
                if _locked(descriptor, slot, _OFD_SETLK):
                    return slot, descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise _full(file)


def _locked(descriptor: int, slot: int, command: int) -> bool:
    lock = struct.pack(
        "hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, head_at(slot) * CELL, HEAD_CELLS, 0
    )
    try:
        fcntl.fcntl(descriptor, command, lock)
    except (BlockingIOError, PermissionError):  # POSIX allows either
        return False
    return True


def _claim_by_files(file: StateFile) -> tuple[int, int]:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    for slot in range(SLOTS):
        descriptor = os.open(f"{file.path}.slot{slot}", flags, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return slot, descriptor
        os.close(descriptor)
    raise _full(file)


def _full(file: StateFile) -> UnusableError:
    return UnusableError(f"{file.path}: all {SLOTS} places are taken")
