"""YAML text -> plain data with places; what of YAML is refused, and why.

Read from the parser's events, not from its nodes: an alias is then a word to refuse
and never a tree to expand, and depth is counted instead of recursed into.
"""

import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, Final

import yaml

from .document import BAD, Document, Key, Place, Spot


LARGEST_BYTES: Final = 1 << 20
"""Policies are written by hand; a mebibyte is a mistake or an attack."""
DEEPEST: Final = 24
"""The format itself goes seven deep."""

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Final[Any] = yaml.resolver.Resolver()
_TAG: Final = "tag:yaml.org,2002:"
_TRUE: Final = frozenset({"yes", "true", "on"})
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9]\d{0,17})")
_DECIMAL: Final = re.compile(r"[-+]?(\d{1,18}\.\d{0,18}|\.\d{1,18})(e[-+]?\d{1,2})?")


START: Final = (1, 1)


class StopReading(Exception):
    """The rest of the text is not worth reading; the problem was noted."""


def file_bytes(path: str | PathLike[str]) -> bytes:
    """Return what a file holds; of one that is too large, only enough to show it."""
    with Path(path).open("rb") as file:
        return file.read(LARGEST_BYTES + 1)


def parse(file: str, content: str | bytes) -> Document:
    """Return *content* as data with places, and everything that was refused."""
    document = Document(file)
    text = _decoded(document, content)
    if text is None:
        document.is_broken = True
        return document
    try:
        Builder(document, yaml.parse(text, Loader=_LOADER)).run()
    except StopReading:
        document.is_broken = True
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        spot = (mark.line + 1, mark.column + 1) if mark else START
        message = " ".join(filter(None, (error.context, error.problem)))
        hint = "indent with spaces, not tabs" if _has_tab(text, spot[0]) else ""
        message = f"this is not YAML: {message}"
        document.say((), "yaml-syntax", "", message, hint=hint, at=spot)
        document.is_broken = True
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        document.say((), "yaml-syntax", "", f"this is not YAML: {error}", at=START)
        document.is_broken = True
    return document


def _decoded(document: Document, content: str | bytes) -> str | None:
    """Return the text, refused before it is parsed if it is too large or not UTF-8."""
    size = len(content)
    if size > LARGEST_BYTES:
        message = f"a policy text has at most {LARGEST_BYTES} bytes"
        document.say((), "too-large", f"{size} bytes", message, at=START)
        return None
    raw = b""
    try:
        raw = content if isinstance(content, bytes) else content.encode()
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = raw[: error.start].decode()
        found = f"byte 0x{raw[error.start]:02x}"
        message = "a policy text is UTF-8"
        document.say((), "not-utf8", found, message, at=_end_of(good))
        return None
    except UnicodeEncodeError as error:
        message = "a policy text is UTF-8"
        found = ascii(error.object[error.start])
        document.say(
            (), "not-utf8", found, message, at=_end_of(str(content)[: error.start])
        )
        return None
    bad = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if bad is not None:
        before = text[: bad.start()]
        message = "this character is not allowed in YAML"
        found = ascii(bad.group())
        document.say((), "yaml-syntax", found, message, at=_end_of(before))
        return None
    return text


def _end_of(text: str) -> Spot:
    """Return where the character after *text* stands."""
    return text.count("\n") + 1, len(text) - text.rfind("\n")


def _has_tab(text: str, line: int) -> bool:
    lines = text.split("\n")
    return line <= len(lines) and "\t" in lines[line - 1]


class Builder:
    """Builds data from events. One use; `run` fills the document."""

    def __init__(self, document: Document, events: Iterator[Any]) -> None:
        self._document = document
        self._events = events

    def run(self) -> None:
        """Read all events.

        Raises:
            StopReading: the rest is not worth reading.
        """
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    message = "a policy file is one document"
                    self._say(event, (), "many-documents", message, found="---")
                    raise StopReading
            elif isinstance(event, yaml.NodeEvent):
                self._root(event)
        if documents == 0:
            self._empty()

    def _root(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent) and event.value == "":
            self._empty()
            return
        data = self._node(event, (), 0)
        if isinstance(data, dict):
            self._document.data = data
        elif data is not BAD:
            message = "a policy is a map that begins with `version: 1`"
            found = "a list" if isinstance(data, list) else str(data)
            self._document.is_broken = True
            self._say(event, (), "not-a-map", message, found=found)

    def _empty(self) -> None:
        message = "the file is empty"
        self._document.is_broken = True
        hint = "write `version: 1`"
        self._document.say((), "empty", "", message, hint=hint, at=START)

    def _say(self, event: Any, path: Key, code: str, text: str, *, found: str) -> None:
        spot = (event.start_mark.line + 1, event.start_mark.column + 1)
        self._document.say(path, code, found, text, at=spot)

    def _place(self, path: Key, key: Any, value: Any) -> None:
        scalar = isinstance(value, yaml.ScalarEvent)
        self._document.places[path] = Place(
            key_line=key.start_mark.line + 1,
            key_column=key.start_mark.column + 1,
            line=value.start_mark.line + 1,
            column=value.start_mark.column + 1,
            text=value.value if scalar else "",
        )

    def _node(self, event: Any, path: Key, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            message = "aliases are refused: write the value again"
            self._say(event, path, "alias", message, found=f"*{event.anchor}")
            return BAD
        if event.anchor is not None:
            message = "anchors are refused: write values again, or once under `all`"
            self._say(event, path, "anchor", message, found=f"&{event.anchor}")
        if event.tag is not None:
            self._say(event, path, "tag", "tags are refused", found=event.tag)
        if isinstance(event, yaml.ScalarEvent):
            return BAD if event.tag is not None else self._scalar(event, path)
        if depth >= DEEPEST:
            message = f"a policy is at most {DEEPEST} levels deep"
            self._say(event, path, "too-deep", message, found="")
            raise StopReading
        is_list = isinstance(event, yaml.SequenceStartEvent)
        data: Any = self._sequence(path, depth) if is_list else None
        if not is_list:
            data = self._mapping(path, depth)
        return BAD if event.tag is not None else data

    def _sequence(self, path: Key, depth: int) -> list[Any]:
        items: list[Any] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            here = (*path, len(items))
            self._place(here, event, event)
            item = self._node(event, here, depth + 1)
            if item is not BAD:
                items.append(item)
        return items

    def _mapping(self, path: Key, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        refused = self._document.refused
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event, path, depth)
            here = (*path, key)
            value = next(self._events)
            if here in self._document.places and key != "?":
                line = self._document.places[here].key_line
                message = f"this key is already on line {line}"
                self._say(event, here, "duplicate-key", message, found=key)
                self._node(value, (*path, "?"), depth + 1)
                continue
            if key == "?":
                self._node(value, here, depth + 1)
                continue
            self._place(here, event, value)
            data = self._node(value, here, depth + 1)
            if data is BAD:
                refused.add(here)
            else:
                found[key] = data
        return found

    def _key(self, event: Any, path: Key, depth: int) -> str:
        """Return a key as written; `?` once it was refused."""
        here = (*path, "?")
        if not isinstance(event, yaml.ScalarEvent):
            self._say(event, here, "bad-key", "a key is one word", found="")
            self._node(event, here, depth + 1)
            return "?"
        if event.anchor is not None or event.tag is not None:
            code = "anchor" if event.anchor is not None else "tag"
            word = f"&{event.anchor}" if code == "anchor" else str(event.tag)
            self._say(event, here, code, f"a key has no {code}", found=word)
            return "?"
        if event.implicit[0] and event.value == "<<":
            message = "merge keys are refused: write values again, or once under `all`"
            self._say(event, here, "merge-key", message, found="<<")
            return "?"
        if event.implicit[0] and self._tag(event.value) == "null":
            self._say(
                event, here, "bad-key", "a key must not be null", found=event.value
            )
            return "?"
        return str(event.value)

    @staticmethod
    def _tag(text: str) -> str:
        tag = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))
        return str(tag).removeprefix(_TAG)

    def _scalar(self, event: Any, path: Key) -> Any:
        text = event.value
        # implicit[0]: plain, so YAML 1.1 may take it for another type than text
        tag = self._tag(text) if event.implicit[0] else "str"
        if tag == "bool":
            return text.lower() in _TRUE
        if tag == "int" and _INTEGER.fullmatch(text):
            return int(text)
        if tag == "float" and _DECIMAL.fullmatch(text.lower()):
            return float(text)
        if tag not in ("null", "int", "float"):
            return text
        self._refuse_scalar(event, path, tag)
        return BAD

    def _refuse_scalar(self, event: Any, path: Key, tag: str) -> None:
        text = event.value
        code, message = "odd-number", "not a decimal number; a text here needs quotes"
        if tag == "null":
            code = "null"
            message = "null is no value: leave the key out, or write `off`"
        elif text.lower().lstrip("+-") in (".inf", ".nan"):
            code, message = "not-finite", "a number is finite; no end is written `off`"
        self._say(event, path, code, message, found=text)
