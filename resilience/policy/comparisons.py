"""Comparisons of a figure with a number or a time: `recovery <= 2s`.

What `--assert` of the commands and `expect` and `stop_when` of a drill have in common;
which figures there are, and what they are held against, is theirs to say.
"""

import difflib
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Final

from .durations import DurationError, parse


OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


def number(text: str) -> float:
    """Return the number, or the time in seconds, that *text* is.

    Raises:
        ValueError: it is neither; says so.
    """
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return parse(text)
    except DurationError:
        msg = f"{text!r} is neither a number nor a time such as 2s"
        raise ValueError(msg) from None


def figure(name: str, figures: Collection[str], *, prefixes: tuple[str, ...]) -> str:
    """Return the figure that people call *name*: units and *prefixes* are left out.

    Raises:
        ValueError: there is none; says which there are.
    """
    for spelled in (name, *(f"{prefix}{name}_s" for prefix in prefixes)):
        if spelled in figures:
            return spelled
    known = [one.removesuffix("_s") for one in figures]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    msg = f"there is no figure {name} ({', '.join(known)}){hint}"
    raise ValueError(msg)
