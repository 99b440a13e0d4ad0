"""The model of what answers in place of a call that failed: regions and functions.

Only what may be written and what it means; what a failover covers is judged in
`meaning` and `compiled`.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    WithJsonSchema,
    WrapValidator,
)

from .mechanisms import UNSET, Part
from .scalars import WordSchema, is_off, refuse
from .words import OFF, Switch


_URL: Final = re.compile(r"https?://[^\s/@]+(/[^\s]*)?")


def _url(value: str) -> str:
    if not value.isprintable() or not _URL.fullmatch(value):
        refuse("bad-text", "an address such as `https://host:port` goes here")
    return value.rstrip("/")


def _parameter(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,63}", value):
        refuse("bad-key", "a parameter is named as AWS does, such as `Bucket`")
    return value


def _region(value: object) -> str:
    text = "a region such as `eu-west-1` goes here"
    if not isinstance(value, str):
        refuse("wrong-type", text)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", value):
        good = value.strip().lower().replace("_", "-")
        is_good = re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", good)
        refuse("bad-text", text, f"write `{good}`" if is_good else "")
    return value


def _regions(value: Any, handler: Callable[[Any], Any]) -> Any:
    """Let `off` through, and a list to the model."""
    if is_off(value):
        return OFF
    if not isinstance(value, list):
        hint = ""
        if isinstance(value, str) and re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", value):
            hint = f"write `[{{region: {value}}}]`"
        refuse("not-a-list", "a list of regions, or `off`, goes here", hint)
    return handler(value)


def _fallback(value: object) -> str | Switch:
    if is_off(value):
        return OFF
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][\w./-]{0,99}", value):
        return value
    return refuse(
        "bad-text",
        "a name of letters, digits, `.`, `_`, `-`, `/`, or `off`, goes here",
    )


Region: TypeAlias = Annotated[
    str, PlainValidator(_region), WithJsonSchema({"type": "string"})
]
Url: TypeAlias = Annotated[str, AfterValidator(_url)]
Parameter: TypeAlias = Annotated[str, AfterValidator(_parameter)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=2048)]


class FailoverRegion(Part):
    """Another region that may answer."""

    region: Region = Field(default=...)
    """AWS's name of it, such as `eu-west-1`. The client's own is passed over."""
    endpoint_url: Url = UNSET
    """Where it is, for clients that have an `endpoint_url` of their own; without it
    they do not fail over."""
    rename: dict[Parameter, dict[Name, Name]] = UNSET
    """Parameter -> name here -> name there, such as `{Bucket: {orders: orders-eu}}`.
    What is not listed is sent as it is."""
    ambiguous_writes: Literal["refuse", "repeat"] = UNSET
    """A write that this region may have executed: `refuse` to send it there too, or
    `repeat` it, for both regions then hold the same. Built in: refuse."""


Regions: TypeAlias = Annotated[
    list[FailoverRegion],
    Field(min_length=1, max_length=8),
    WrapValidator(_regions),
    WordSchema(("off", False)),
]
"""A list of regions, or `off`."""
Fallback: TypeAlias = Annotated[
    str | Switch,
    PlainValidator(_fallback),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"enum": ["off", False]}]}),
]
