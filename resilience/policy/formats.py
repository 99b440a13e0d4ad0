"""Text of another format of ours -> its model, or every problem of it with its place.

A scenario and a drill are read by the rules of a policy: the same YAML, the same
places, the same words for what is wrong. Only their keys, and what single values cannot
show, are their own.
"""

from collections.abc import Callable, Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from resilience.errors import PolicyError

from . import diagnose, yaml_text
from .document import Document, Key


Model = TypeVar("Model", bound=BaseModel)


def read(
    kind: type[Model],
    file: str,
    text: str | bytes,
    relate: Callable[[Document, Model], None],
) -> Model:
    """Return the *kind* that *text* describes.

    Args:
        kind: the model of the format; unknown keys are refused with its own.
        file: its name in messages.
        text: YAML.
        relate: notes in the document what single values cannot show; only asked when
            each of them is right.

    Raises:
        PolicyError: with every problem, in order.
    """
    document = yaml_text.parse(file, text)
    found: Model | None = None
    if not document.is_broken:
        try:
            found = kind.model_validate(document.data)
        except ValidationError as error:
            _place(kind, document, error)
        else:
            relate(document, found)
    if document.problems or found is None:
        raise PolicyError(sorted(document.problems, key=lambda p: (p.line, p.column)))
    return found


def _place(kind: type[BaseModel], document: Document, error: ValidationError) -> None:
    """Note what the model refuses; unknown keys with those of the format."""
    rest: list[Mapping[str, Any]] = []
    for one in error.errors(include_url=False):
        path = tuple(one["loc"])
        if one["type"] != "extra_forbidden":
            rest.append(one)
        elif path not in document.refused:
            key, allowed = str(path[-1]), _keys_at(kind, path[:-1])
            text = f"no such key here; allowed are: {', '.join(allowed)}"
            close = diagnose.nearest(key, allowed)
            hint = diagnose.write(close, diagnose.value_text(document, path))
            spot = document.key_spot(path)
            document.say(path, "unknown-key", key, text, hint=hint, at=spot)
    diagnose.place_errors(document, rest)


def _keys_at(kind: type[BaseModel], path: Key) -> tuple[str, ...]:
    """Return the keys of the format's map at *path*."""
    current: Any = kind
    for key in path:
        if isinstance(key, int):
            current = get_args(current)[0]
        else:
            current = current.model_fields[key].annotation
        if get_origin(current) is Annotated:
            current = get_args(current)[0]
        if isinstance(current, UnionType):
            (current,) = (p for p in get_args(current) if p is not type(None))
    return tuple(current.model_fields)
