"""One line of a recording as a record again, or what is wrong with it.

Fields that are not known are left out: a newer release wrote them. Fields that are
missing, and values that can mean nothing here, are refused.
"""

import json
import math
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, Final, NamedTuple, get_args, get_origin, get_type_hints

from resilience.core.outcome import Outcome
from resilience.core.record import DeadlineOrigin, Decision, Reason, Record
from resilience.core.served import ServedReason
from resilience.core.target import Facts, Target
from resilience.telemetry.encoding import KINDS, LOST, OPENED, VERSION


class Opened(NamedTuple):
    """From here on another process wrote, or another clock held."""

    host: str
    pid: int
    clock_offset_s: float
    """Time of day less monotonic time."""


class Lost(NamedTuple):
    """Records that were made and not written."""

    records: int


class Unknown(NamedTuple):
    """A kind of record that a newer release makes."""

    kind: str


class BadLineError(ValueError):
    """A line that is no record; the text says why."""


class OtherVersionError(BadLineError):
    """A line of another version of the format."""


Line = Record | Opened | Lost | Unknown

_MISSING: Final = object()
_Read = Callable[[Any, str], Any]
_OPEN_WORDS: Final = (Reason, Decision, DeadlineOrigin, ServedReason)


def decode(text: str) -> Line:
    """The record that a line holds; raises as `read` does."""
    return read(text)[0]


def read(text: str) -> tuple[Line, str]:
    """The record that a line holds, and the host that it names, if any.

    Raises:
        OtherVersionError: it is one of another version of the format.
        BadLineError: it is none.
    """
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        msg = f"no JSON: {error}"
        raise BadLineError(msg) from None
    if not isinstance(data, dict) or "v" not in data or "record" not in data:
        msg = "no record: an object with `v` and `record` is expected"
        raise BadLineError(msg)
    version = data["v"]
    if version != VERSION or isinstance(version, bool):
        msg = f"a record of version {version!r}, this release reads {VERSION}"
        raise OtherVersionError(msg)
    kind = data["record"]
    of_kind = _READERS.get(kind) if isinstance(kind, str) else None
    if of_kind is None:
        return Unknown(str(kind)), ""
    found: Line = of_kind(data, "")
    # Added by whoever brings lines of several hosts together in one file.
    return found, _text(data.get("host", ""), "host")


def _refuse_constant(text: str) -> float:
    msg = f"{text} is no number of JSON"
    raise ValueError(msg)


def _wrong(where: str, wanted: str, value: object) -> BadLineError:
    shown = repr(value)
    if len(shown) > 40:
        shown = shown[:37] + "..."
    return BadLineError(f"`{where}` must be {wanted}, not {shown}")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise _wrong(where, "a text", value)
    return value


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(where, "true or false", value)
    return value


def _whole(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(where, "a whole number", value)
    return value


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(where, "a number", value)
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise _wrong(where, "a finite number", value)
    return found


_PLAIN: Final[Mapping[Any, _Read]] = {
    str: _text,
    bool: _flag,
    int: _whole,
    float: _number,
}


def _reader(hint: Any) -> _Read:
    """What reads a value of that annotation."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    arguments = get_args(hint)
    if NoneType in arguments:
        inner = _reader(next(one for one in arguments if one is not NoneType))
        return lambda value, where: None if value is None else inner(value, where)
    if get_origin(hint) is tuple:
        return _tuple_reader(arguments)
    if hint in {Outcome, Facts}:
        return _fields_reader(hint)
    if hint is Target:
        return _read_target
    if arguments and all(isinstance(one, str) for one in arguments):
        # A newer release may have more reasons, and nothing is decided by them.
        return _text if hint in _OPEN_WORDS else _word_reader(arguments)
    msg = f"no reader for {hint!r}"
    raise TypeError(msg)


def _word_reader(words: tuple[str, ...]) -> _Read:
    known = frozenset(words)

    def read(value: Any, where: str) -> str:
        if not isinstance(value, str) or value not in known:
            raise _wrong(where, " | ".join(words), value)
        return value

    return read


def _tuple_reader(arguments: tuple[Any, ...]) -> _Read:
    is_open = arguments[-1] is Ellipsis
    items = [_reader(one) for one in arguments if one is not Ellipsis]

    def read(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or not (is_open or len(value) == len(items)):
            raise _wrong(where, "a list", value)
        kinds = items * len(value) if is_open else items
        return tuple(
            one(item, f"{where}[{index}]")
            for index, (one, item) in enumerate(zip(kinds, value, strict=True))
        )

    return read


def _fields_reader(kind: Any) -> _Read:
    hints = get_type_hints(kind)
    defaults: Mapping[str, Any] = kind._field_defaults
    rows = [
        (name, _reader(hints[name]), defaults.get(name, _MISSING))
        for name in kind._fields
    ]

    def read(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise _wrong(where, "an object", value)
        found: list[Any] = []
        for name, of_field, default in rows:
            given = value.get(name, _MISSING)
            place = f"{where}.{name}" if where else name
            if given is not _MISSING:
                found.append(of_field(given, place))
            elif default is not _MISSING:
                found.append(default)
            else:
                msg = f"`{place}` is missing"
                raise BadLineError(msg)
        return kind(*found)

    return read


_PAIRS = _tuple_reader((tuple[str, str], ...))
_PROTOCOLS = frozenset({"grpc", "aws", "app"})
_targets: dict[str, Target] = {}
_MOST_TARGETS = 4096


def _read_target(value: Any, where: str) -> Target:
    key = repr(value)
    found = _targets.get(key)
    if found is not None:
        return found
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    words: dict[str, Any] = {
        name: _text(value.get(name), where + "." + name)
        for name in ("protocol", "name", "service", "method")
    }
    if words["protocol"] not in _PROTOCOLS:
        raise _wrong(where + ".protocol", "grpc, aws or app", words["protocol"])
    labels = _PAIRS(value.get("labels", []), f"{where}.labels")
    if len(_targets) >= _MOST_TARGETS:
        _targets.clear()
    found = _targets[key] = Target(labels=labels, **words)
    return found


_READERS: Final[Mapping[str, _Read]] = {
    **{name: _fields_reader(kind) for name, kind in KINDS.items()},
    OPENED: _fields_reader(Opened),
    LOST: _fields_reader(Lost),
}
