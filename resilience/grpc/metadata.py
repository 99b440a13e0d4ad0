"""What is added to a call's metadata, and nothing else about it.

Metadata is a sequence of pairs: repeated keys and their order are kept. When nothing is
added the caller's own object goes through. No value is ever recorded.
"""

from collections.abc import Iterable
from typing import Any


PREVIOUS_ATTEMPTS = "grpc-previous-rpc-attempts"
"""gRFC A6. C-core strips it while `grpc.enable_retries` is on, its default."""
RETRY_ATTEMPT = "x-retry-attempt"
"""Carries the same number where the other one is stripped (go-grpc-middleware)."""


def values(metadata: Any, key: str) -> list[Any]:
    """All values of *key*, in order; none when there is no metadata."""
    return [value for name, value in pairs(metadata) if name == key]


def pairs(metadata: Any) -> Iterable[tuple[str, Any]]:
    """The pairs of any form of metadata that gRPC hands out; broken ones are left."""
    for pair in metadata or ():
        if isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str):
            yield pair[0], pair[1]


def for_attempt(metadata: Any, number: int, key_header: str, key: str | None) -> Any:
    """The metadata of attempt *number*.

    Args:
        metadata: what the caller gave, not a one-shot iterator.
        number: of the attempt; starts at 1.
        key_header: where an idempotency key goes.
        key: the call's key; None: it has none.

    Returns:
        *metadata* itself when nothing is added, else a tuple of pairs. What the caller
        has set is never set again.
    """
    added: list[tuple[str, str]] = []
    if number > 1:
        previous = str(number - 1)
        added += [(PREVIOUS_ATTEMPTS, previous), (RETRY_ATTEMPT, previous)]
    if key is not None:
        added.append((key_header, key))
    if not added:
        return metadata
    given = tuple(metadata or ())
    taken = {name for name, _ in pairs(given)}
    return given + tuple(pair for pair in added if pair[0] not in taken)
