"""The scope dimensions that a call's parameters name: bucket, table, queue, ...

Only names of resources are read, never payloads, and only when a policy's scope asks.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def _last(separator: str) -> Callable[[str], str]:
    return lambda text: text.rstrip(separator).rpartition(separator)[2]


def _same(text: str) -> str:
    return text


MEMBERS: Mapping[str, tuple[tuple[str, Callable[[str], str]], ...]] = {
    "bucket": (("Bucket", _same),),
    "table": (("TableName", _same),),
    "queue": (("QueueUrl", _last("/")), ("QueueName", _same)),
    "topic": (("TopicArn", _last(":")), ("TargetArn", _last(":"))),
    "stream": (("StreamName", _same), ("StreamARN", _last("/"))),
    "function": (("FunctionName", _same),),
}
"""Dimension -> members that may carry it, and how its name is cut out."""
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
    return tuple(found)
