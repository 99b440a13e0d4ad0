"""Where the host's file is, and who may have made it.

A folder of this user only, under `RESILIENCE_STATE_DIR`, `/dev/shm`, the user's runtime
folder or the one for temporary files: the first that can be used. Nothing is followed,
everything is looked at through the descriptor that is used afterwards.
"""

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from .layout import VERSION


class UnusableError(Exception):
    """The host's file cannot be used; the text says why, for people."""


_FIRST_TIME_NAMESPACE = 4026531834
"""The one that a machine begins with (Linux, PROC_TIME_INIT_INO)."""
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


def file_name(policy: str) -> str:
    """The name of the file of the policies called *policy*.

    Containers that share a folder but not the monotonic clock (time namespaces) have
    files of their own: their ticks mean different moments.
    """
    name = f"{policy}.v{VERSION}"
    with contextlib.suppress(OSError):
        namespace = Path("/proc/self/ns/time").stat().st_ino
        if namespace != _FIRST_TIME_NAMESPACE:
            name = f"{name}.t{namespace}"
    return name


def open_folder(*, make: bool = True) -> tuple[Path, int]:
    """The folder of this user's files: its path, and a descriptor to close.

    Raises:
        UnusableError: there is none, and none can be made; says why for each.
    """
    problems: list[str] = []
    for base in _bases():
        path = Path(base, f"resilience-{os.geteuid()}")
        try:
            return path, _opened(path, make=make)
        except (OSError, UnusableError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            problems.append(f"{path}: {why}")
    raise UnusableError("; ".join(problems))


def _bases() -> list[str]:
    said = os.environ.get("RESILIENCE_STATE_DIR")
    if said:
        return [said]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return ["/dev/shm", *([runtime] if runtime else []), tempfile.gettempdir()]  # noqa: S108 - the folder inside is ours alone


def _opened(path: Path, *, make: bool) -> int:
    if make:
        with contextlib.suppress(FileExistsError):
            path.mkdir(0o700)
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _FLAGS)
    try:
        _check(os.fstat(folder), stat.S_IFDIR)
    except BaseException:
        os.close(folder)
        raise
    return folder


def open_file(folder: int, name: str) -> int:
    """A descriptor of the file *name* in *folder*.

    Raises:
        OSError: it cannot be opened; FileNotFoundError: it is not there.
        UnusableError: it is no plain file of this user's alone.
    """
    descriptor = os.open(name, os.O_RDWR | os.O_NONBLOCK | _FLAGS, dir_fd=folder)
    try:
        _check(os.fstat(descriptor), stat.S_IFREG)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(found: os.stat_result, kind: int) -> None:
    if stat.S_IFMT(found.st_mode) != kind:
        msg = "is something else than it should be"
        raise UnusableError(msg)
    if found.st_uid != os.geteuid():
        msg = f"belongs to user {found.st_uid}"
        raise UnusableError(msg)
    if found.st_mode & 0o077:
        msg = f"is open to others (mode {stat.S_IMODE(found.st_mode):o})"
        raise UnusableError(msg)
