"""Which updates of an item come to the same when they are repeated.

An update that sets what is written in the request, or removes, does; one that counts,
appends or copies does not. Read from the expression alone, and strictly: whatever is
not understood counts as one that adds.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any


_PATH = r"[\w#.]+"  # no `[n]`: setting an element past the end of a list appends
_NAMED = rf"{_PATH}\s+:\w+"
_SET = rf"{_PATH}\s*=\s*:\w+"
_CLAUSE = rf"""
    (?: SET\s+ {_SET} (?: \s*,\s* {_SET} )*
    |   REMOVE\s+ {_PATH} (?: \s*,\s* {_PATH} )*
    |   (?: DELETE | ADD )\s+ {_NAMED} (?: \s*,\s* {_NAMED} )*
    )
"""
_CONSTANT = re.compile(rf"\s*{_CLAUSE}(?:\s+{_CLAUSE})*\s*", re.IGNORECASE | re.VERBOSE)
_ADDED = re.compile(r"\bADD\s+([^=]*?)(?=\s(?:SET|REMOVE|DELETE)\s|$)", re.IGNORECASE)
_VALUE = re.compile(r":\w+")
_SETS = ("SS", "NS", "BS")
_SAME_RETURNS = frozenset({"NONE", "UPDATED_NEW", "ALL_NEW"})
"""The others show what was there before, which a repeat no longer finds."""


def sets_the_same(params: Mapping[str, Any]) -> bool:
    """Does an UpdateItem with *params* do nothing new when it is done again?"""
    if params.get("ReturnValues", "NONE") not in _SAME_RETURNS:
        return False
    expression = params.get("UpdateExpression")
    if isinstance(expression, str):
        added = _added_by(expression)
        if added is None:
            return False
        values = params.get("ExpressionAttributeValues") or {}
        return all(_is_set(values.get(name)) for name in added)
    updates = params.get("AttributeUpdates")
    if not isinstance(updates, Mapping) or not updates:
        return False
    return all(_is_constant(update) for update in updates.values())


@lru_cache(maxsize=512)
def _added_by(expression: str) -> tuple[str, ...] | None:
    """Names of the values that *expression* adds; None: it is not understood."""
    if _CONSTANT.fullmatch(expression) is None:
        return None
    return tuple(
        name for found in _ADDED.findall(expression) for name in _VALUE.findall(found)
    )


def _is_set(value: object) -> bool:
    """Is *value* a set, to which the same member is added only once?"""
    if isinstance(value, Mapping):
        return len(value) == 1 and next(iter(value)) in _SETS
    return isinstance(value, (set, frozenset))


def _is_constant(update: object) -> bool:
    if not isinstance(update, Mapping):
        return False
    action = update.get("Action", "PUT")
    return action in {"PUT", "DELETE"} or (
        action == "ADD" and _is_set(update.get("Value"))
    )
