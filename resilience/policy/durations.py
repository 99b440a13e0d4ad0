"""Lengths of time as text with a unit, and back.

A length without a unit is refused everywhere: `5` is 5 seconds to one reader and 5
milliseconds to the next. Inside the package a length is a float of seconds.
"""

import re
from typing import Final, LiteralString, NoReturn


UNITS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}
LONGEST_S: Final = 365 * 86400.0
"""The longest length a policy may name, a year: above it the text is a mistake."""

_PART = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)(d|h|ms|us|m|s)")
_WORDS: Final = {
    "milliseconds": "ms",
    "millisecond": "ms",
    "millis": "ms",
    "msec": "ms",
    "microseconds": "us",
    "usec": "us",
    "seconds": "s",
    "second": "s",
    "secs": "s",
    "sec": "s",
    "minutes": "m",
    "minute": "m",
    "mins": "m",
    "min": "m",
    "hours": "h",
    "hour": "h",
    "hrs": "h",
    "hr": "h",
    "days": "d",
    "day": "d",
}
_LOOSE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]+)")
_MILLISECONDS_FROM = 300
"""A bare number above this is more likely meant as milliseconds."""

PATTERN: Final = r"^(\d+(\.\d+)?(d|h|ms|us|m|s))+$"
"""The same rule for editors; `parse` is stricter about the order of units."""


class DurationError(ValueError):
    """A text is not a length of time. `code` is stable, `hint` may be empty."""

    def __init__(self, code: LiteralString, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code: LiteralString = code
        self.message = message
        self.hint = hint


def parse(text: object) -> float:
    """Return the seconds that *text* (`250ms`, `2s`, `1m30s`) stands for.

    Raises:
        DurationError: no unit, no such unit, negative, or longer than a year.
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        _refuse_number(text)
    if not isinstance(text, str):
        msg = "a time is text with a unit, such as `250ms`, `2s` or `1m`"
        _fail("not-a-duration", msg)
    plain = text.strip()
    if plain.startswith("-"):
        _fail("negative", "a time must not be negative", f"write `{plain[1:]}`")
    parts = _PART.findall(plain)
    if not parts or "".join(number + unit for number, unit in parts) != plain:
        _unreadable(plain)
    order = [list(UNITS).index(unit) for _, unit in parts]
    if order != sorted(set(order)):
        msg = "units of a time go from the largest to the smallest, each once"
        _fail("not-a-duration", msg)
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if seconds > LONGEST_S:
        _fail("out-of-range", "a time is at most a year (`365d`)")
    return seconds


def _fail(code: LiteralString, message: str, hint: str = "") -> NoReturn:
    raise DurationError(code, message, hint)


def _refuse_number(number: float) -> NoReturn:
    msg = "a time needs a unit: `ms`, `s`, `m` or `h`"
    if number < 0:
        _fail("negative", "a time must not be negative")
    unit = "ms" if number > _MILLISECONDS_FROM else "s"
    _fail("bare-number", msg, f"write `{number:g}{unit}`")


def _unreadable(text: str) -> NoReturn:
    msg = "a time is text with a unit, such as `250ms`, `2s` or `1m30s`"
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        unit = "ms" if number > _MILLISECONDS_FROM else "s"
        msg = "a time needs a unit: `ms`, `s`, `m` or `h`"
        _fail("bare-number", msg, f"write `{text}{unit}`")
    loose = _LOOSE.fullmatch(text[:40])
    if loose is None:
        _fail("not-a-duration", msg)
    unit = loose[2].lower()
    unit = _WORDS.get(unit, unit)
    if unit not in UNITS:
        _fail("not-a-duration", msg, "units: us, ms, s, m, h, d")
    _fail("not-a-duration", msg, f"write `{loose[1]}{unit}`")


def show(seconds: float, *, digits: int = 3) -> str:
    """Return *seconds* in the largest readable unit: `1h30m`, `2.5s`, `250ms`.

    Args:
        seconds: 0 or more.
        digits: significant digits below a minute; from there on, whole seconds.
    """
    if seconds == 0:
        return "0s"
    if seconds < 1e-3:
        return f"{seconds * 1e6:.{digits}g}us"
    if float(f"{seconds:.{digits}g}") < 1:
        return f"{seconds * 1e3:.{digits}g}ms"
    if float(f"{seconds:.{digits}g}") < 60:
        return f"{seconds:.{digits}g}s"
    left, words = round(seconds), ""
    for unit in ("d", "h", "m", "s"):
        amount, left = divmod(left, int(UNITS[unit]))
        words += f"{amount}{unit}" if amount else ""
    return words
