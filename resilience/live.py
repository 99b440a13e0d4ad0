"""What an engine says of its policy: to its snapshot, and to whoever asks on its host.

On the host it is said only where the policy shares state with it: with each load, each
failed reload and each change of mode, not with calls. An engine that cannot say it
works as ever; nothing is raised.
"""

import contextlib
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final


if TYPE_CHECKING:
    from resilience.engine import PolicyEngine
    from resilience.sharing import Sharing
    from resilience.state.held import HeldFile

ENDING: Final = ".live"
"""Of the names of files in which engines say it."""
VERSION: Final = 1
NO_FILES: Final = frozenset({"<text>", "(data)"})
"""What stands for a file's name where a policy was given by the program itself."""
_LONGEST: Final = 2000
"""Characters of an error that are said."""


class Live:
    """The policy of one engine, and what became of its last reload.

    Safe to share between threads.
    """

    def __init__(self, engine: "PolicyEngine", sharing: "Sharing") -> None:
        self._engine = engine
        self._sharing = sharing
        self._files: list[str] = []
        """Whole paths, by the folder in which they were read."""
        self._failure: dict[str, Any] | None = None
        self._file: HeldFile | None = None
        self._is_due = False
        self._lock = threading.Lock()

    def snapshot(self) -> dict[str, Any]:
        """The policy that is live, as data ready for JSON."""
        engine, table = self._engine, self._engine.table
        return {
            "name": table.name,
            "mode": engine.mode,
            "file_mode": table.mode,
            "policy_hash": table.hash,
            "edition": table.edition,
            "sources": list(table.sources),
            "loaded_at": engine.loaded_at,
            "reload_failed": self._failure,
            "pid": os.getpid(),
        }

    def adopted(self) -> None:
        """The engine has loaded a policy."""
        self._failure = None
        self._files = [
            name if name in NO_FILES else os.path.abspath(name)  # noqa: PTH100 - no link resolved
            for name in self._engine.table.sources
        ]
        if self._sharing.is_with_host:
            with contextlib.suppress(Exception):  # whatever is wrong with the folder
                from resilience.state.held import sweep

                sweep(ENDING)
        self.say()

    def failed(self, error: Exception) -> str:
        """A reload has failed; the sentence that says so."""
        self._failure = {"at": time.time(), "error": str(error)[:_LONGEST]}
        self.say()
        return f"reload failed, the old policy stays: {error}"

    def say(self) -> None:
        """Say on the host what is live now, where there is anybody to say it to."""
        with self._lock:
            self._is_due = False
            old, self._file = self._file, None
            if self._sharing.is_with_host and not self._engine.closed:
                with contextlib.suppress(Exception):  # whatever is wrong there
                    from resilience.state.held import HeldFile

                    self._file = HeldFile(ENDING, self._content())
            if old is not None:
                old.remove()  # only now: at no moment is nothing said

    def _content(self) -> bytes:
        said = {
            **self.snapshot(),
            "v": VERSION,
            "engine": id(self._engine),
            "files": self._files,
            "said_at": time.time(),
        }
        return json.dumps(said).encode()

    def catch_up(self) -> None:
        """Say it if it was not said yet: the child of a fork says nothing by itself.

        It may be one that is about to run another program.
        """
        if self._is_due:
            self.say()

    def renew(self) -> None:
        """Make the lock new after a fork, and leave the parent's file to it."""
        self._lock = threading.Lock()
        old, self._file = self._file, None
        if old is not None:
            old.remove()
            self._is_due = True

    def close(self) -> None:
        """Nothing is live here any more; harmless twice."""
        with self._lock:
            old, self._file = self._file, None
        if old is not None:
            old.remove()
