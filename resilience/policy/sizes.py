"""Sizes as text with a unit, and back. Inside the package a size is an int of bytes."""

import re
from typing import Final, LiteralString, NoReturn


UNITS: Final = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
LARGEST: Final = (1 << 31) - 1
"""C-core's options are 32-bit integers."""
PATTERN: Final = r"^\d+(\.\d+)?(B|KiB|MiB|GiB|KB|MB|GB)$"


class SizeError(ValueError):
    """A text is not a size. `code` is stable, `hint` may be empty."""

    def __init__(self, code: LiteralString, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code: LiteralString = code
        self.message = message
        self.hint = hint


def parse(text: object) -> int:
    """Return the bytes that *text* (`4MiB`, `512KB`) stands for.

    Raises:
        SizeError: no unit, no such unit, 0, or more than C-core can take.
    """
    allowed = "a size has a unit: B, KiB, MiB, GiB, KB, MB or GB"
    if isinstance(text, int) and not isinstance(text, bool):
        _fail("no-unit", allowed, f"write `{show(text)}`" if text > 0 else "")
    if not isinstance(text, str):
        _fail("not-a-size", allowed)
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([A-Za-z]*)", text.strip())
    if found is None:
        _fail("not-a-size", allowed)
    number, unit = found.groups()
    if not unit:
        whole = int(float(number))
        _fail("no-unit", allowed, f"write `{show(whole)}`")
    if unit not in UNITS or text != text.strip() or " " in text:
        close = next((each for each in UNITS if each.lower() == unit.lower()), "")
        short = {"k": "KiB", "m": "MiB", "g": "GiB", "ki": "KiB", "mi": "MiB"}
        close = close or short.get(unit.lower(), "")
        hint = f"write `{number}{close}`" if close else ""
        _fail("unknown-unit", allowed, hint)
    size = int(float(number) * UNITS[unit])
    if not 1 <= size <= LARGEST:
        _fail("out-of-range", "a size is 1B to just below 2GiB here")
    return size


def _fail(code: LiteralString, message: str, hint: str = "") -> NoReturn:
    raise SizeError(code, message, hint)


def show(size: int) -> str:
    """Return *size* as one would write it in a policy."""
    for unit in ("GiB", "MiB", "KiB", "GB", "MB", "KB"):
        if size >= UNITS[unit] and size % UNITS[unit] == 0:
            return f"{size // UNITS[unit]}{unit}"
    return f"{size}B"
