"""Bounded attribute values: however many names come in, few time series come out.

Bucket, table and queue names never become attributes; methods, codes and scopes do up
to a bound, first come first served, and then share the value `other`.
"""

import threading
from typing import NamedTuple

from resilience.core.target import Target

from . import names


MAX_CACHED = 4096
"""Targets (their buckets and tables included) whose attributes are kept ready."""


class Bounded:
    """Values of one attribute. Safe to share between threads."""

    __slots__ = ("_lock", "_most", "_seen")

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: set[str] = set()
        self.renew()

    def renew(self) -> None:
        """Make the lock new, after a fork."""
        self._lock = threading.Lock()

    def value(self, found: str) -> str:
        """*found*, or `other` when as many others were seen before."""
        if found in self._seen:
            return found
        with self._lock:
            if len(self._seen) >= self._most:
                return names.OTHER
            self._seen.add(found)
        return found


class Own(NamedTuple):
    """The attribute values that name a target, in the order of the metrics."""

    protocol: str
    target: str
    method: str


class TargetAttributes:
    """The attributes that name a target, kept ready. Safe to share between threads."""

    __slots__ = ("_cache", "_known")

    def __init__(self, most: int) -> None:
        self._known = Bounded(most)
        self._cache: dict[Target, Own] = {}

    def renew(self) -> None:
        """Make the lock new, after a fork."""
        self._known.renew()

    def of(self, target: Target) -> Own:
        """Protocol, target and method."""
        found = self._cache.get(target)
        if found is None:
            found = self._make(target)
            if len(self._cache) >= MAX_CACHED:
                self._cache = {}
            self._cache[target] = found
        return found

    def _make(self, target: Target) -> Own:
        name, method = target.name, target.full_method
        pair = f"{target.protocol} {name} {method}"
        if self._known.value(pair) != pair:
            name = method = names.OTHER
        return Own(target.protocol, name, method)


def scope_label(scope: str) -> str:
    """A scope's name without the dimensions whose values are unbounded."""
    protocol, _, rest = scope.partition(":")
    kept = [
        part
        for part in rest.split(",")
        if part.partition("=")[0] in names.SCOPE_DIMENSIONS
    ]
    return f"{protocol}:{','.join(kept)}"
