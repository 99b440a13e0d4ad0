"""Records as lines of JSON, and what such a line means.

One line is one record: `v` (of this format), `record` (its kind), then its fields by
name. What is at its default is left out, and a field that a reader does not know
changes nothing, so the version rises only when an old field changes its meaning.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from resilience.core.outcome import Outcome
from resilience.core.record import (
    AttemptEnded,
    BreakerChanged,
    CallEnded,
    Decided,
    Diverted,
    Notice,
    Record,
)
from resilience.core.served import Served
from resilience.core.target import Facts, Target


VERSION: Final = 1
"""Of this format."""

KINDS: Final[Mapping[str, type[Any]]] = {
    "call": CallEnded,
    "attempt": AttemptEnded,
    "decided": Decided,
    "diverted": Diverted,
    "breaker": BreakerChanged,
    "notice": Notice,
    "served": Served,
}
"""What `record` says, by what it is."""
OPENED: Final = "opened"
"""A line that is no record of a call: the file was opened, and by whom."""
LOST: Final = "lost"
"""The same: so many records had no place in the queue."""

_dumps: Final = json.JSONEncoder(
    ensure_ascii=True, allow_nan=False, separators=(",", ":")
).encode
_TARGETS_KEPT = 1024
_targets: dict[Target, str] = {}


def line(record: Record) -> str:
    """*record* as one line, its end included.

    Raises:
        ValueError: a number in it is not finite.
        TypeError: it is no record.
    """
    write = _WRITERS.get(type(record))
    if write is None:
        msg = f"not a record: {type(record).__name__}"
        raise TypeError(msg)
    return write(record)


def own_line(kind: str, **fields: object) -> str:
    """A line that is no record: who opened the file, what was lost."""
    return _dumps({"v": VERSION, "record": kind, **fields}) + "\n"


def _writer(name: str, kind: type[Any]) -> Callable[[Any], str]:
    fields: tuple[str, ...] = kind._fields
    defaults: dict[str, Any] = kind._field_defaults
    begin = f'{{"v":{VERSION},"record":{_dumps(name)}'
    absent = object()
    rows = [(field, defaults.get(field, absent)) for field in fields]

    def write(record: Any) -> str:
        plain: dict[str, Any] = {}
        target = ""
        for (field, default), value in zip(rows, record, strict=True):
            if value is default or value == default:
                continue
            if type(value) is Target:
                target = ',"target":' + _target(value)
            elif type(value) is Outcome or type(value) is Facts:
                plain[field] = _changed(value)
            else:
                plain[field] = value
        return f"{begin}{target},{_dumps(plain)[1:]}\n"

    return write


def _changed(value: Outcome | Facts) -> dict[str, Any]:
    """Its fields that are not at their defaults, and an outcome's code."""
    defaults = value._field_defaults
    return {
        field: found
        for field, found in zip(value._fields, value, strict=True)
        if field not in defaults or found != defaults[field]
    }


def _target(target: Target) -> str:
    found = _targets.get(target)
    if found is None:
        data: dict[str, Any] = {
            "protocol": target.protocol,
            "name": target.name,
            "service": target.service,
            "method": target.method,
        }
        if target.labels:
            data["labels"] = target.labels
        if len(_targets) >= _TARGETS_KEPT:
            _targets.clear()
        found = _targets[target] = _dumps(data)
    return found


_WRITERS = {kind: _writer(name, kind) for name, kind in KINDS.items()}
