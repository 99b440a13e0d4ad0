"""Policy texts -> one table, or every problem of every text in file order.

The only way in for what users write; imports PyYAML and pydantic, so it is itself
imported on first use.
"""

import math
from collections.abc import Sequence
from os import PathLike, fspath
from typing import Final

from pydantic import BaseModel, ValidationError

from resilience.errors import PolicyError, Problem

from . import diagnose, editions, meaning, yaml_text
from .document import Document, Key
from .merge import Source
from .model import Overlay, Policy
from .narrowing import is_list, is_map
from .notices import notices_of
from .table import PolicyTable, make_table
from .words import Calls


_DATA: Final = "(data)"
"""What stands for the file name where a policy is given as data."""
_MOST: Final = 500
"""Problems shown of one text; more than that is another kind of file."""


def load(texts: Sequence[tuple[str, str | bytes]]) -> PolicyTable:
    """Return the table of *texts*, pairs of file name and content."""
    documents = [yaml_text.parse(name, content) for name, content in texts]
    return _table(documents, whole=True)


def load_files(paths: Sequence[str | PathLike[str]]) -> PolicyTable:
    """Return the table of policy files."""
    return load([(fspath(path), yaml_text.file_bytes(path)) for path in paths])


def load_mapping(mapping: object) -> PolicyTable:
    """Return the table of a policy given as data."""
    document = Document(_DATA)
    try:
        data = _plain(document, mapping, ())
    except yaml_text.StopReading:
        document.is_broken = True
    else:
        document.data = dict(data) if is_map(data) else {}
    if not is_map(mapping):
        document.say((), "not-a-map", type(mapping).__name__, "a policy is a map")
    return _table([document], whole=False)


def _table(documents: Sequence[Document], *, whole: bool) -> PolicyTable:
    sources: list[Source] = []
    for index, document in enumerate(documents):
        kind = Policy if whole and index == 0 else Overlay
        values = _validated(document, kind)
        places = {
            tuple(map(str, path)): place for path, place in document.places.items()
        }
        lines = {path: place.line for path, place in places.items()}
        columns = {path: place.column for path, place in places.items()}
        sources.append(
            Source(file=document.file, values=values, lines=lines, columns=columns)
        )
    problems = [problem for document in documents for problem in _sorted(document)]
    if problems:
        raise PolicyError(problems)
    return make_table(sources, notices_of(sources, editions.FIRST))


def _validated(document: Document, kind: type[Overlay]) -> dict[str, object]:
    if document.is_broken:
        return {}
    values: dict[str, object] = {}
    try:
        values = plain_values(kind.model_validate(document.data))
    except ValidationError as error:
        found = error.errors(include_url=False)
        diagnose.place_errors(document, found[: _MOST + 1])
    meaning.check(document)
    return values


def plain_values(part: BaseModel) -> dict[str, object]:
    """Return what was written in a part of the model, as nested plain values."""
    return {
        key: _plain_value(getattr(part, key))
        for key in type(part).model_fields
        if key in part.model_fields_set
    }


def _plain_value(value: object) -> object:
    if isinstance(value, BaseModel):
        return plain_values(value)
    if is_map(value):
        return {key: _plain_value(item) for key, item in value.items()}
    # A window of calls is a tuple of its own kind.
    if type(value) is not Calls and is_list(value):
        return tuple(_plain_value(item) for item in value)
    return value


def _sorted(document: Document) -> list[Problem]:
    found = sorted(document.problems, key=lambda one: (one.line, one.column))
    if len(found) <= _MOST:
        return found
    last = found[_MOST]
    message = "there are further problems"
    rest = Problem(
        file=last.file,
        line=last.line,
        column=last.column,
        path=last.path,
        code="too-many",
        found="",
        message=message,
    )
    return [*found[:_MOST], rest]


def _is_text(key: object) -> bool:
    return isinstance(key, str)


def _plain(document: Document, value: object, path: Key) -> object:
    """Return data as the text reader would have made it, refusing what it refuses."""
    if len(path) > yaml_text.DEEPEST:
        message = f"a policy is at most {yaml_text.DEEPEST} levels deep"
        document.say(path, "too-deep", "", message)
        # A map that holds itself twice has no end in breadth either.
        raise yaml_text.StopReading
    if is_map(value):
        found: dict[str, object] = {}
        for key, item in value.items():
            here = (*path, str(key))
            if not _is_text(key):
                document.say(here, "bad-key", repr(key), "a key is a text")
                document.refused.add(here)
            elif item is None:
                message = "null is no value: leave the key out, or write `off`"
                document.say(here, "null", "None", message)
                document.refused.add(here)
            else:
                found[key] = _plain(document, item, here)
        return found
    if is_list(value):
        return [_plain(document, v, (*path, i)) for i, v in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        message = "a number is finite; no end is written `off`"
        document.say(path, "not-finite", str(value), message)
    return value
