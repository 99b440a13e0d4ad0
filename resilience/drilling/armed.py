"""The one drill of a process: read when the environment names it, and never twice."""

import json
import logging
import os
import threading
import time
from typing import Final

from resilience.errors import PolicyError

from .marks import CallSeen
from .reading import drill
from .seam import Seam
from .shown import told


EVENTS: Final = "RESILIENCE_DRILL_EVENTS"
"""A file that each call is written to, one line of JSON each; set by the command."""
BEGAN: Final = "RESILIENCE_DRILL_BEGAN"
"""The drill's start, seconds of the wall clock; set by the command."""
_LOGGER = logging.getLogger("resilience.drill")
_lock = threading.Lock()
_seams: dict[str, Seam | None] = {}


def of_process(path: str) -> Seam | None:
    """The drill of the file *path*; None: it cannot be used, which the log says."""
    with _lock:
        if path not in _seams:
            _seams[path] = made = _read(path)
            if made is not None:
                made.announce()
        return _seams[path]


def arm(path: str, seam: Seam) -> None:
    """Let *seam* be the drill of *path* in this process."""
    with _lock:
        _seams[path] = seam
    seam.announce()


def disarm(path: str) -> None:
    """Forget the drill of *path*; channels that have it keep it, stopped."""
    with _lock:
        seam = _seams.pop(path, None)
    if seam is not None:
        seam.stop("disarmed")


def _read(path: str) -> Seam | None:
    try:
        found = drill(path)
    except (PolicyError, OSError) as error:
        text = "the drill %s cannot be used, no fault is injected: %s"
        _LOGGER.error(text, path, error)  # noqa: TRY400 - the reader's words, no trace
        return None
    made = Seam(found, path)
    began = os.environ.get(BEGAN)
    if began:
        made.begin(made.now() - (time.time() - float(began)))
    events = os.environ.get(EVENTS)
    if events:
        made.listeners.append(_Writer(events))
    _LOGGER.warning("%s", told(found, made.file))
    return made


def _renew() -> None:
    global _lock  # noqa: PLW0603 - one for the process
    _lock = threading.Lock()
    for seam in _seams.values():
        if seam is not None:
            seam.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


class _Writer:
    """Writes each call to a file that other processes write to as well."""

    def __init__(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(path, flags, 0o600)

    def __call__(self, seen: CallSeen) -> None:
        os.write(self._file, json.dumps(seen).encode() + b"\n")
