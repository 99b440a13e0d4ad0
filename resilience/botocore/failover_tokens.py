"""Values that only the region understands that gave them: page tokens, upload ids.

They are never sent to another region. What another region gave is remembered, as a
digest, and calls that carry it go there at once, whatever state the first region is
in: so a list that began there ends there. Likewise a write under a caller's key stays
where it may have been executed, however often it is asked for.
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple

import jmespath  # type: ignore[import-untyped]  # comes with botocore
from jmespath.exceptions import (  # type: ignore[import-untyped]  # has no types
    JMESPathError,
)


HANDLES = frozenset(
    {
        "ExecutionToken",
        "NextShardIterator",
        "QueryExecutionId",
        "ReceiptHandle",
        "ShardIterator",
        "StatementId",
        "TaskToken",
        "UploadId",
        "queryId",
        "taskToken",
        "transactionId",
    }
)
"""Members that name something in progress, wherever they stand."""
MAX_ISSUED = 10_000
"""Values that a client remembers; the oldest go first."""
_DEEPEST = 4


class Members(NamedTuple):
    """Where an operation has its page tokens. Immutable."""

    asks: frozenset[str] = frozenset()
    """Parameters that carry one."""
    gives: tuple[Any, ...] = ()
    """Compiled expressions that find them in an answer."""


NO_MEMBERS = Members()
UNKNOWN = Members(
    frozenset(
        {
            "ContinuationToken",
            "ExclusiveStartKey",
            "KeyMarker",
            "Marker",
            "NextToken",
            "nextToken",
        }
    )
)
"""What is taken for page tokens where botocore's data cannot be read."""


def members_of(client: Any, operation: str) -> Members:
    """The page tokens of *operation*, by botocore's own data about paginators."""
    try:
        return _members_of(client, operation)
    except Exception:  # noqa: BLE001 - whatever it is, the call's own error counts
        return UNKNOWN


def _members_of(client: Any, operation: str) -> Members:
    for name, native in client.meta.method_to_api_mapping.items():
        if native == operation and client.can_paginate(name):
            break
    else:
        return NO_MEMBERS
    model = client.meta.service_model
    found = client._loader.load_service_model(
        model.service_name, "paginators-1", model.api_version
    )
    entry = found["pagination"][operation]
    return Members(
        frozenset(_listed(entry["input_token"])),
        tuple(jmespath.compile(text) for text in _listed(entry["output_token"])),
    )


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def carried(
    params: Mapping[str, Any], members: Members
) -> Iterator[tuple[str, str | Mapping[str, Any]]]:
    """The values in *params* that only one region understands, with their names."""
    for name in members.asks:
        value = params.get(name)
        if value:
            yield name, value
    yield from _handles(params, 0)


def given(answer: Any, members: Members) -> Iterator[Any]:
    """The values in *answer* that only its region understands."""
    if not isinstance(answer, Mapping):
        return
    for expression in members.gives:
        value = expression.search(answer)
        if value:
            yield value
    for _, value in islice(_handles(answer, 0), MAX_ISSUED):
        yield value


def _handles(value: Any, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for name, one in value.items():
            if name in HANDLES and isinstance(one, str) and one:
                yield name, one
            elif isinstance(one, (Mapping, list)):
                yield from _handles(one, depth + 1)
    elif isinstance(value, list):
        for one in value:
            yield from _handles(one, depth + 1)


class Issued:
    """What other regions gave to one client. Safe to share between threads."""

    def __init__(self) -> None:
        self._by: dict[bytes, str] = {}
        self._keys: dict[bytes, str] = {}

    def __bool__(self) -> bool:
        return bool(self._by)

    def note(self, answer: Any, members: Members, region: str) -> None:
        """*region* gave *answer*."""
        try:
            for value in given(answer, members):
                self._by[_digest(value)] = region
        except (AttributeError, JMESPathError, LookupError, TypeError):
            return  # of another shape: it is the caller's all the same
        _bound(self._by)

    def pin(self, method: str, key: str, region: str) -> None:
        """*region* may have executed a write of *method* under the caller's *key*."""
        self._keys[_digest(f"{method} {key}")] = region
        _bound(self._keys)

    def pinned(self, method: str, key: str) -> str:
        """Who may have executed it; empty: nobody that is known."""
        return self._keys.get(_digest(f"{method} {key}"), "")

    def region_of(self, params: Mapping[str, Any], members: Members) -> str:
        """Who gave what *params* carry; empty: the client's own region, or nobody."""
        for _, value in carried(params, members):
            region = self._by.get(_digest(value))
            if region is not None:
                return region
        return ""


def _bound(kept: dict[bytes, str]) -> None:
    while len(kept) > MAX_ISSUED:
        try:
            kept.pop(next(iter(kept)), None)
        except (RuntimeError, StopIteration):
            return  # another thread was at it just now; the next one drops some


def _digest(value: Any) -> bytes:
    if isinstance(value, Mapping):  # a key of DynamoDB: its order means nothing
        value = sorted((str(name), repr(one)) for name, one in value.items())
    text = value if isinstance(value, str) else repr(value)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
