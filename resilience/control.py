"""The hands-on controls: modes, the control file, breakers moved by hand."""

import difflib
import os
from collections.abc import Callable

from resilience.core.breaker import State
from resilience.core.record import Mode, Record
from resilience.core.scope import Scope, Scopes


MODES: tuple[Mode, ...] = ("enforce", "observe", "bypass")
"""From the one that acts most to the one that does nothing."""
MAX_CONTROL_BYTES = 4096


def parse_mode(word: str | None) -> Mode | None:
    """*word* as a mode; None and the empty word mean no say.

    Raises:
        ValueError: it is none of enforce, observe, bypass.
    """
    if not word:
        return None
    for mode in MODES:
        if word == mode:
            return mode
    near = difflib.get_close_matches(word, MODES, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    msg = f"mode is one of {', '.join(MODES)}, got {word!r}{hint}"
    raise ValueError(msg)


def weaker(one: Mode, other: Mode) -> Mode:
    """The one that acts less: bypass < observe < enforce."""
    return one if MODES.index(one) >= MODES.index(other) else other


class ControlFile:
    """A small file that switches an engine without a deploy: a line `mode: bypass`.

    A missing or empty file has no say. Reading it never raises.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.mode: Mode | None = None
        self._seen: tuple[int, int, int] | None = None

    def look(self) -> tuple[bool, str]:
        """Read it if it changed: (did the mode change, what is wrong with it)."""
        before = self.mode
        try:
            found = os.stat(self.path)  # noqa: PTH116 - the cheapest look
        except OSError:
            self.mode, self._seen = None, None
            return before is not None, ""
        seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        if seen == self._seen:
            return False, ""
        self._seen = seen
        try:
            with open(self.path, encoding="utf-8") as file:  # noqa: PTH123 - without pathlib
                self.mode = _mode_in(file.read(MAX_CONTROL_BYTES))
        except (OSError, ValueError) as error:
            # A file that cannot be understood changes nothing.
            return False, f"control file {self.path}: {error}; mode stays {before}"
        return self.mode != before, ""


def _mode_in(text: str) -> Mode | None:
    for line in text.splitlines():
        content = line.partition("#")[0].strip()
        if content:
            key, colon, value = content.partition(":")
            if colon and key.strip() != "mode":
                msg = f"expected 'mode: enforce|observe|bypass', got {content!r}"
                raise ValueError(msg)
            return parse_mode((value if colon else key).strip().strip("\"'"))
    return None


class BreakerControl:
    """The breakers of one scope, to look at and to move by hand.

    Safe to share between threads.
    """

    def __init__(
        self,
        scopes: Scopes,
        key: str,
        now: Callable[[], float],
        emit: Callable[[tuple[Record, ...]], None],
    ) -> None:
        found = scopes.find(key)
        if found is None or not found.breakers:
            known = [scope.key for scope in scopes]
            near = difflib.get_close_matches(key, known, 3, 0.3) or known[:3]
            msg = (
                f"no breaker for scope {key!r}; known: {', '.join(near) or 'none yet'}"
            )
            raise KeyError(msg)
        self._scope: Scope = found
        self._now = now
        self._emit = emit

    @property
    def state(self) -> str:
        """The state, as `engine.snapshot()` names it."""
        states = [breaker.state for breaker in self._scope.breakers]
        return next((state for state in states if state != "closed"), "closed")

    def force_open(self) -> None:
        """Reject everything until `reset`."""
        self._move("forced-open")

    def disable(self) -> None:
        """Let everything through, count nothing, until `reset`."""
        self._move("disabled")

    def shadow(self) -> None:
        """Let everything through and go on counting, until `reset`."""
        self._move("shadow")

    def open(self) -> None:
        """Open as if it had tripped: it recovers by itself."""
        self._move("open")

    def reset(self) -> None:
        """Closed, with nothing counted."""
        self._move("closed")

    def _move(self, state: State) -> None:
        now = self._now()
        for breaker in self._scope.breakers:
            breaker.move(state, now)
            self._emit(breaker.drain())
