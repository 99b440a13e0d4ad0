"""What one call means to do: its identity, chosen once, and the claim on its key.

An intent is named by the caller's idempotency key, or by chance where there is none. A
digest of the parameters goes with it: the same key with other parameters is refused
here, before anything is sent, and recognised in what an earlier process wrote. Keys are
never written anywhere, only digests of them.
"""

import io
import uuid
import weakref
from collections.abc import Collection, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from resilience.engine import PolicyEngine

from .rejected import BotocoreRejected


MAX_CLAIMS = 10_000
"""Keys that an engine remembers; the oldest go first."""
REASON = "key-reused"


class Identity(NamedTuple):
    """Who wrote: the key's digest and the parameters' digest. Immutable."""

    key: str
    params: str
    by_key: bool
    """Did the caller give a key? Then an earlier call may have been the same intent."""

    def __str__(self) -> str:
        return f"{self.key}:{self.params}"

    def is_reused(self, written: str | None) -> bool:
        """Was *written* with the same key and other parameters?"""
        key, _, params = (written or "").partition(":")
        return bool(params) and key == self.key and params != self.params


def identity(key: str | None, params: Mapping[str, Any]) -> Identity:
    """The identity of a call with *params* under *key*; None: a new one by chance."""
    name = uuid.uuid4().hex if key is None else _hex(key.encode(), 16)
    return Identity(name, fingerprint(params), key is not None)


def _hex(data: bytes, size: int) -> str:
    return blake2b(data, digest_size=size).hexdigest()


def fingerprint(params: Mapping[str, Any]) -> str:
    """A digest of *params*, the same in every process for equal ones.

    Bytes count in full; of files and streams only what is known of their length.
    """
    digest = blake2b(digest_size=8)
    _feed(digest, params)
    return digest.hexdigest()


def _feed(digest: Any, value: object) -> None:
    """Add *value* to *digest*, with its type and length: nothing runs together."""
    if isinstance(value, io.BytesIO):
        value = value.getbuffer()
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        _feed_many(digest, value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        _mark(digest, "bytes", memoryview(value).nbytes)
        digest.update(value)
    elif value is None or isinstance(value, (str, bool, int, float)):
        data = str(value).encode("utf-8", "surrogatepass")
        _mark(digest, type(value).__name__, len(data))
        digest.update(data)
    elif hasattr(value, "read"):
        _mark(digest, "stream", _length(value))
    else:
        _feed_object(digest, value)


def _feed_many(digest: Any, value: Collection[Any]) -> None:
    if isinstance(value, Mapping):
        _mark(digest, "map", len(value))
        for name in sorted(value, key=str):
            _feed(digest, str(name))
            _feed(digest, value[name])
    elif isinstance(value, (set, frozenset)):
        _mark(digest, "set", len(value))
        for text in sorted(map(_alone, value)):
            digest.update(text)
    else:
        _mark(digest, "list", len(value))
        for one in value:
            _feed(digest, one)


def _feed_object(digest: Any, value: object) -> None:
    """Dates, decimals, conditions of boto3: by their text or by what they hold."""
    inside = getattr(value, "__dict__", None)
    if inside:
        _mark(digest, type(value).__name__, len(inside))
        _feed(digest, inside)
    else:
        _feed(digest, f"{type(value).__name__} {value}")


def _alone(value: object) -> bytes:
    digest = blake2b(digest_size=16)
    _feed(digest, value)
    return digest.digest()


def _mark(digest: Any, kind: str, length: int | None) -> None:
    digest.update(f"<{kind} {length}>".encode())


def _length(stream: Any) -> int | None:
    try:
        return len(stream)
    except (TypeError, OverflowError):
        return None


# -- claims ----------------------------------------------------------------------


class Claim(NamedTuple):
    """A key in use for one operation with one set of parameters."""

    table: dict[tuple[str, ...], str]
    key: tuple[str, ...]
    is_new: bool

    def forget(self) -> None:
        """Nothing was executed: the key is free for other parameters."""
        if self.is_new:
            self.table.pop(self.key, None)


_tables: "weakref.WeakKeyDictionary[PolicyEngine, dict[tuple[str, ...], str]]" = (
    weakref.WeakKeyDictionary()
)


def claim(
    engine: PolicyEngine, where: tuple[str, ...], key: str, params: Mapping[str, Any]
) -> Claim:
    """Take *key* for a call with *params*. Safe to share between threads.

    Args:
        engine: who remembers.
        where: service, operation, region, host: a key means something new in each.
        key: the caller's.
        params: as the caller gave them.

    Raises:
        BotocoreRejected: the key was used with other parameters; nothing was sent.
    """
    table = _tables.get(engine)
    if table is None:
        table = _tables.setdefault(engine, {})
    place = (*where, _hex(key.encode(), 16))
    mine = fingerprint(params)
    # One step of the interpreter: of two threads one is first.
    first = table.setdefault(place, mine)
    if first != mine:
        raise reused(".".join(where[:2]))
    if len(table) > MAX_CLAIMS:
        _drop_oldest(table)
    return Claim(table, place, is_new=first is mine)


def _drop_oldest(table: dict[tuple[str, ...], str]) -> None:
    try:
        table.pop(next(iter(table)), None)
    except (RuntimeError, StopIteration):
        return  # another thread was at it just now; the next call drops one


def reused(method: str, *, earlier: str = "in this process") -> BotocoreRejected:
    """The error for a key that was used with other parameters."""
    return BotocoreRejected(
        f"{method}: this idempotency key was used {earlier} with other parameters; "
        "one key names one write: use a new key for another one; nothing was sent",
        reason=REASON,
        scope=method,
    )
