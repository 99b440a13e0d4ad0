"""The durable truth about what a server received and did.

One line per request and per effect, written with one append each, so that SIGKILL can
cut the server between two lines but never inside one. Attempts and duplicates are
counted here, never taken from a client's word.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entries:
    """What a ledger says. Counters by `(method, intent)`."""

    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)
    effects: Counter[tuple[str, str]] = field(default_factory=Counter)
    keys: dict[str, str] = field(default_factory=dict)
    """Idempotency key to the intent that was executed under it."""

    def attempts_of(self, method: str) -> int:
        """Requests that reached the server for *method*."""
        return _total(self.attempts, method)

    def effects_of(self, method: str) -> int:
        """Times that *method* changed something."""
        return _total(self.effects, method)

    def duplicates_of(self, method: str) -> int:
        """Effects of *method* beyond the first of each intent."""
        counts = (n for (name, _), n in self.effects.items() if name == method)
        return sum(n - 1 for n in counts)


def _total(counter: Counter[tuple[str, str]], method: str) -> int:
    return sum(n for (name, _), n in counter.items() if name == method)


def read(path: Path) -> Entries:
    """The entries of the ledger at *path*; none when it does not exist yet."""
    entries = Entries()
    if not path.exists():
        return entries
    for line in path.read_text().splitlines():
        what, method, intent, key = line.split("\t")
        if what == "attempt":
            entries.attempts[method, intent] += 1
        else:
            entries.effects[method, intent] += 1
            if key:
                entries.keys[key] = intent
    return entries


class Ledger:
    """A ledger being written by one server. Owned by one thread."""

    def __init__(self, path: Path) -> None:
        self._entries = read(path)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file = os.open(path, flags, 0o600)

    def attempt(self, method: str, intent: str) -> int:
        """Note a request; returns how many of this intent came, this one included."""
        self._entries.attempts[method, intent] += 1
        self._write("attempt", method, intent, "")
        return self._entries.attempts[method, intent]

    def effect(self, method: str, intent: str, key: str = "") -> bool:
        """Do it once per *key* (each time without one); whether it was done now."""
        if key and key in self._entries.keys:
            return False
        self._entries.effects[method, intent] += 1
        if key:
            self._entries.keys[key] = intent
        self._write("effect", method, intent, key)
        return True

    def _write(self, *fields: str) -> None:
        # Into the page cache: it survives the process, which is all we kill.
        os.write(self._file, ("\t".join(fields) + "\n").encode())
