"""The scope dimensions that a call's parameters name: bucket, table, queue, ...

Only names of resources are read, never payloads, and only when a policy's scope asks.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def _last(separator: str) -> Callable[[str], str]:
    return lambda text: text.rstrip(separator).rpartition(separator)[2]


def _same(text: str) -> str:
    return text


def _table(text: str) -> str:
    """A table by its name, whether the caller gives that or its ARN."""
    return text.rpartition("/")[2] if text.startswith("arn:") else text


def _function(text: str) -> str:
    """A function by its name: of an ARN, of a part of one, with or without alias."""
    _, found, rest = text.rpartition(":function:")
    return (rest if found else text).partition(":")[0]


MEMBERS: Mapping[str, tuple[tuple[str, Callable[[str], str]], ...]] = {
    "bucket": (("Bucket", _same),),
    "table": (("TableName", _table),),
    "queue": (("QueueUrl", _last("/")), ("QueueName", _same)),
    "topic": (("TopicArn", _last(":")), ("TargetArn", _last(":"))),
    "stream": (("StreamName", _same), ("StreamARN", _last("/"))),
    "function": (("FunctionName", _function),),
}
"""Dimension -> members that may carry it, and how its name is cut out."""
BATCHES: Mapping[str, str] = {"table": "RequestItems"}
"""Dimension -> member that maps names to requests; it counts where it has one name."""
MAX_LENGTH = 200


def named(
    dimensions: Iterable[str], params: Mapping[str, Any]
) -> tuple[tuple[str, str], ...]:
    """The *dimensions* that *params* name, with their values."""
    found = []
    for dimension in dimensions:
        for member, cut in MEMBERS.get(dimension, ()):
            value = params.get(member)
            if isinstance(value, str) and value:
                found.append((dimension, cut(value)[:MAX_LENGTH]))
                break
        else:
            batch = params.get(BATCHES.get(dimension, ""))
            if isinstance(batch, Mapping) and len(batch) == 1:
                found.append((dimension, _table(next(iter(batch)))[:MAX_LENGTH]))
    return tuple(found)
