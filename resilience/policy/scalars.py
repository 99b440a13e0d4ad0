"""Types of single values in the model: lengths of time, ratios, switches.

Each refuses with a stable code, says what is allowed, and hints at what was meant.
"""

import re
from collections.abc import Callable
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    LiteralString,
    NoReturn,
    TypeAlias,
)

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
    WrapValidator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from . import durations, sizes
from .words import DIMENSIONS, OFF, ON, Calls, Switch


_LEAST_KEEPALIVE_S: Final = 10.0
"""C-core takes less for this (gRFC A8)."""


def refuse(code: LiteralString, message: str, hint: str = "") -> NoReturn:
    """Raise an error with a stable *code*, for `diagnose` to place."""
    context = {"message": message, "hint": hint}
    raise PydanticCustomError(code, "{message}", context)


def is_off(value: object) -> bool:
    """Tell whether *value* is `off`: YAML 1.1's false, or the word."""
    return value is False or value is OFF or value in ("off", "false")


def is_on(value: object) -> bool:
    """Tell whether *value* is `on`: YAML 1.1's true, or the word."""
    return value is True or value is ON or value in ("on", "true")


def _length(value: object) -> float:
    try:
        seconds = durations.parse(value)
    except durations.DurationError as error:
        refuse(error.code, error.message, error.hint)
    if seconds <= 0:
        refuse("out-of-range", "a time is longer than 0 here")
    return seconds


def _length_or_off(value: object) -> float | Switch:
    if is_off(value):
        return OFF
    if is_on(value):
        refuse("not-a-duration", "there is no built-in length to turn on")
    if value in ("none", "never", "infinite", "unlimited", "inf"):
        refuse("not-a-duration", "no limit is written `off`", "write `off`")
    if isinstance(value, str) and re.fullmatch(r"0+(\.0+)?[a-z]*", value):
        text = "a time is longer than 0 here"
        refuse("out-of-range", text, "write `off` for no limit")
    return _length(value)


def _window(value: object) -> float | Calls:
    if isinstance(value, int) and not isinstance(value, bool):
        return _calls(value)
    if isinstance(value, str):
        found = re.fullmatch(r"(\d{1,9})\s*calls?", value.strip())
        if found:
            return _calls(int(found[1]))
    seconds = _length(value)
    if not 1 <= seconds <= 3600:
        refuse("out-of-range", "a window of time is `1s` to `1h`")
    return seconds


def _calls(count: int) -> Calls:
    if not 1 <= count <= 100_000:
        refuse("out-of-range", "a window of calls has 1 to 100000 calls")
    return Calls(count)


def _ratio(value: object) -> float:
    text = "a ratio is a number from 0.0 to 1.0"
    if isinstance(value, str):
        percent = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)\s*%", value.strip())
        if percent and float(percent[1]) <= 100:
            refuse("percent", text, f"write `{float(percent[1]) / 100:g}`")
        refuse("not-a-ratio", text)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        refuse("not-a-ratio", text)
    if 1 < value <= 100:
        refuse("percent", text, f"write `{value / 100:g}`")
    if not 0 <= value <= 1:
        refuse("out-of-range", text)
    return float(value)


def _ratio_above_0(value: object) -> float:
    found = _ratio(value)
    if found == 0:
        refuse("out-of-range", "a ratio of 0 is always reached; it is above 0")
    return found


def _number(low: float, high: float) -> Callable[[object], float]:
    def read(value: object) -> float:
        text = f"a number from {low:g} to {high:,.9g} goes here"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            refuse("wrong-type", text)
        if not low <= value <= high:
            refuse("out-of-range", text)
        return float(value)

    return read


def _size(value: object) -> int:
    try:
        return sizes.parse(value)
    except sizes.SizeError as error:
        refuse(error.code, error.message, error.hint)


def _size_or_off(value: object) -> int | Switch:
    if is_off(value):
        return OFF
    if value in ("none", "never", "infinite", "unlimited", "inf", -1):
        refuse("not-a-size", "no limit is written `off`", "write `off`")
    return _size(value)


def _keepalive_time(value: object) -> float:
    seconds = _length(value)
    if seconds < _LEAST_KEEPALIVE_S:
        text = "servers take pings more often than every 10s for an attack"
        refuse("out-of-range", text, "write `10s` or more")
    return seconds


def _health_check(value: object) -> str | Switch:
    if is_off(value):
        return OFF
    if is_on(value):
        return ON
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w.]{0,254}", value):
        return value
    refuse("bad-text", "a service name such as `shop.Cart`, `on` or `off` goes here")


def _delay(value: object) -> float | str:
    if isinstance(value, str) and re.fullmatch(r"p\d{1,2}(\.\d{1,3})?", value):
        return value
    if isinstance(value, str) and value[:1] in "pP":
        text = "a percentile is written `p50` to `p99.9`"
        refuse("not-a-percentile", text, "write `p95`")
    return _length(value)


def _forced(value: object) -> str | Switch:
    if is_off(value):
        return OFF
    if value in ("open", "disabled"):
        return str(value)
    refuse("unknown-word", "`open`, `disabled` or `off` goes here")


def _dimension(value: object) -> str:
    if value not in DIMENSIONS:
        words = ", ".join(DIMENSIONS)
        refuse("unknown-word", f"a scope is made of: {words}")
    return str(value)


def _version(value: object) -> int:
    if value != 1 or isinstance(value, (bool, float)):
        hint = "write `1`, without quotes" if value == "1" else "write `1`"
        refuse("unknown-version", "this release reads version 1", hint)
    return 1


def _line(value: str) -> str:
    if not value.isprintable() or len(value) > 100:
        refuse("bad-text", "a printable line of at most 100 characters goes here")
    return value


def _code(value: str) -> str:
    if not re.fullmatch(r"[!-~]{1,128}", value):
        refuse("bad-text", "a code is 1 to 128 printable characters without spaces")
    return value


def _target_name(value: str) -> str:
    if not value.isprintable() or " " in value or not 1 <= len(value) <= 255:
        refuse("bad-key", "a target is 1 to 255 printable characters without spaces")
    return value


def _native(value: Any, handler: Callable[[Any], Any]) -> Any:
    if value in ("expect", "forbid"):
        return value
    text = "`{max_attempts: N}`, `expect` or `forbid` goes here"
    if isinstance(value, int) and not isinstance(value, bool):
        refuse("not-a-map", text, f"write `{{max_attempts: {value}}}`")
    if not isinstance(value, dict):
        refuse("not-a-map", text)
    return handler(value)


class WordSchema:
    """Describes "this map, or one of some words" to editors."""

    def __init__(self, words: tuple[str | bool, ...]) -> None:
        self._words = words

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [handler(core_schema), {"enum": list(self._words)}]}


def _switch(value: Any, handler: Callable[[Any], Any]) -> Any:
    """Let `off` and `on` through as switches, and a map to the model."""
    if is_off(value):
        return OFF
    if is_on(value):
        return ON
    if not isinstance(value, dict):
        refuse("not-a-map", "a map, `off` or `on` goes here")
    return handler(value)


Switchable: Final = (WrapValidator(_switch), WordSchema(("off", "on", False, True)))
"""Metadata that makes a map of the model accept `off` and `on` too."""
NATIVE: Final = (WrapValidator(_native), WordSchema(("expect", "forbid")))
"""Metadata that makes a map of the model accept two words too."""

_TIME: Final = {
    "type": "string",
    "pattern": durations.PATTERN,
    "examples": ["250ms", "2s", "1m"],
}
_NO: Final = {"enum": ["off", False]}
_SHARE: Final = {"type": "number", "minimum": 0, "maximum": 1}

Length: TypeAlias = Annotated[float, PlainValidator(_length), WithJsonSchema(_TIME)]
LengthOrOff: TypeAlias = Annotated[
    float | Switch,
    PlainValidator(_length_or_off),
    WithJsonSchema({"anyOf": [_TIME, _NO]}),
]
_SIZE: Final = {
    "type": "string",
    "pattern": sizes.PATTERN,
    "examples": ["512KiB", "4MiB"],
}
Size: TypeAlias = Annotated[int, PlainValidator(_size), WithJsonSchema(_SIZE)]
SizeOrOff: TypeAlias = Annotated[
    int | Switch,
    PlainValidator(_size_or_off),
    WithJsonSchema({"anyOf": [_SIZE, _NO]}),
]
KeepaliveTime: TypeAlias = Annotated[
    float, PlainValidator(_keepalive_time), WithJsonSchema(_TIME)
]
HealthCheck: TypeAlias = Annotated[
    str | Switch,
    PlainValidator(_health_check),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"enum": ["on", "off", True, False]}]}
    ),
]
Window: TypeAlias = Annotated[
    float | Calls,
    PlainValidator(_window),
    WithJsonSchema(
        {
            "anyOf": [
                _TIME,
                {"type": "integer", "minimum": 1, "maximum": 100_000},
                {"type": "string", "pattern": r"^\d+ calls?$"},
            ]
        }
    ),
]
Ratio: TypeAlias = Annotated[float, PlainValidator(_ratio), WithJsonSchema(_SHARE)]
RatioAbove0: TypeAlias = Annotated[
    float,
    PlainValidator(_ratio_above_0),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
]
Multiplier: TypeAlias = Annotated[
    float,
    PlainValidator(_number(1, 100)),
    WithJsonSchema({"type": "number", "minimum": 1, "maximum": 100}),
]
Amount: TypeAlias = Annotated[
    float,
    PlainValidator(_number(0, 1e6)),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1e6}),
]
Tokens: TypeAlias = Annotated[
    float,
    PlainValidator(_number(0.001, 1000)),
    WithJsonSchema({"type": "number", "minimum": 0.001, "maximum": 1000}),
]
Aggression: TypeAlias = Annotated[
    float,
    PlainValidator(_number(0.01, 100)),
    WithJsonSchema({"type": "number", "minimum": 0.01, "maximum": 100}),
]
Delay: TypeAlias = Annotated[
    float | str,
    PlainValidator(_delay),
    WithJsonSchema({"anyOf": [_TIME, {"type": "string", "pattern": r"^p\d"}]}),
]
Forced: TypeAlias = Annotated[
    str | Switch,
    PlainValidator(_forced),
    WithJsonSchema({"enum": ["open", "disabled", "off", False]}),
]
Dimension: TypeAlias = Annotated[
    str, PlainValidator(_dimension), WithJsonSchema({"enum": list(DIMENSIONS)})
]
Attempts: TypeAlias = Annotated[int, Field(ge=1, le=100)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]
Mode: TypeAlias = Literal["enforce", "observe", "bypass"]
Version: TypeAlias = Annotated[
    int, PlainValidator(_version), WithJsonSchema({"const": 1})
]
Code: TypeAlias = Annotated[str, AfterValidator(_code)]
Line: TypeAlias = Annotated[str, AfterValidator(_line)]
TargetName: TypeAlias = Annotated[str, AfterValidator(_target_name)]
