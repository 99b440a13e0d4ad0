"""Which file a drill was read from, so that its going away is seen.

One rule for the process that injects and for whoever looks at it from outside.
"""

import contextlib
import os
from typing import TypeAlias


Stamp: TypeAlias = tuple[int, int, int]
"""Inode, time of the last change in ns, size."""


def stamp_of(path: str) -> Stamp | None:
    """What the file *path* is now; None: it is not there."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a path as it was given
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def namespace() -> int:
    """Stands for the files that this process sees; 0: all see the same."""
    with contextlib.suppress(OSError):
        return os.stat("/proc/self/ns/mnt").st_ino  # noqa: PTH116 - no pathlib here
    return 0
