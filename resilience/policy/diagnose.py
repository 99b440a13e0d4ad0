"""The model's refusals -> problems with a place, a stable code and a hint.

Nothing is decided here about what is allowed: only how it is said.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final, get_args

from pydantic import BaseModel

from . import editions, foreign, mechanisms, model, transport
from .document import Document, Key, shorten
from .narrowing import is_list


_CODES: Final = {
    "extra_forbidden": "unknown-key",
    "missing": "missing-key",
    "literal_error": "unknown-word",
    "model_type": "not-a-map",
    "dict_type": "not-a-map",
    "list_type": "not-a-list",
    "too_short": "out-of-range",
    "too_long": "out-of-range",
    "greater_than_equal": "out-of-range",
    "less_than_equal": "out-of-range",
    "string_pattern_mismatch": "bad-text",
    "string_too_short": "bad-text",
    "string_too_long": "bad-text",
}
_TEXTS: Final = {
    "int_type": "a whole number goes here",
    "string_type": "a text goes here",
    "bool_type": "`true` or `false` goes here",
    "dict_type": "a map goes here",
    "model_type": "a map goes here",
    "list_type": "a list goes here, such as `[default]`",
    "greater_than_equal": "at least {ge} goes here",
    "less_than_equal": "at most {le} goes here",
    "too_short": "the list must not be empty",
    "too_long": "the list has at most {max_length} entries",
    "string_pattern_mismatch": "the text must match `{pattern}`",
    "string_too_short": "the text must not be empty",
    "string_too_long": "the text has at most {max_length} characters",
}
_TWINS: Final = {"methods": "operations", "operations": "methods"}
_HOMES: Final[tuple[tuple[str, type[BaseModel]], ...]] = (
    ("retry", mechanisms.Retry),
    ("breaker", mechanisms.Breaker),
    ("retry_budget", mechanisms.RetryBudget),
    ("hedging", mechanisms.Hedging),
    ("limiter", mechanisms.Limiter),
)

_OWNERS: Final = {
    "profile": "`aws`",
    "failover": "`aws`",
    "channel": "`grpc` and to its targets",
}
_CHANNEL_HOMES: Final[tuple[tuple[str, type[BaseModel]], ...]] = (
    ("keepalive", transport.Keepalive),
    ("reconnect", transport.Reconnect),
    ("outlier_detection", transport.OutlierDetection),
    ("channel", transport.Channel),
)
"""Asked first, and only where they may stand: their keys are words of rules, too."""


def place_errors(document: Document, errors: Iterable[Mapping[str, Any]]) -> None:
    """Note each of the model's *errors* in the document."""
    for error in errors:
        path = tuple(error["loc"])
        if path in document.refused:
            continue
        kind = str(error["type"])
        if kind == "extra_forbidden":
            unknown_key(document, path)
        elif kind == "missing":
            _missing(document, path)
        else:
            _value(document, path, kind, error)


def unknown_key(document: Document, path: Key) -> None:
    """Note a key that is not allowed where it stands, with the nearest that is."""
    key = str(path[-1])
    allowed = allowed_keys(path[:-1])
    text = f"no such key here; allowed are: {', '.join(allowed)}"
    hint = _key_hint(key, allowed, value_text(document, path), path)
    spot = document.key_spot(path)
    document.say(path, "unknown-key", key, text, hint=hint, at=spot)


def value_text(document: Document, path: Key) -> str:
    """Return a scalar as it was written, at most 60 characters; else empty."""
    place = document.places.get(path)
    if place is not None and place.text:
        return shorten(place.text)
    found: Any = document.data
    for key in path:
        try:
            found = found[key]
        except (KeyError, IndexError, TypeError):
            return ""
    if is_list(found):
        return shorten(f"[{', '.join(map(str, found))}]")
    return "" if isinstance(found, dict) else shorten(str(found))


@cache
def allowed_keys(path: Key) -> tuple[str, ...]:
    """Return the keys that the model allows in the map at *path*."""
    found = _model_at(path)
    return tuple(found.model_fields) if found is not None else ()


def nearest(word: str, allowed: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the allowed word that *word* most looks like; empty: none does."""
    words = list(allowed)
    folded = {entry.lower().replace("-", "_"): entry for entry in reversed(words)}
    plain = foreign.snake(word[:80])
    close = difflib.get_close_matches(plain, folded, n=1, cutoff=cutoff)
    return folded[close[0]] if close else ""


def _model_at(path: Key) -> type[BaseModel] | None:
    """Return the class of the model that describes the map at *path*."""
    current: Any = model.Overlay
    for key in path:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(key))
            if field is None:
                return None
            current = field.annotation
        else:
            # A map's value, or the entry of a list.
            args = get_args(current)
            if len(args) != 2 - isinstance(key, int):
                return None
            current = args[-1]
        while hasattr(current, "__metadata__"):
            current = current.__origin__
    if isinstance(current, type) and issubclass(current, BaseModel):
        return current
    return None


def _key_hint(key: str, allowed: tuple[str, ...], text: str, path: Key) -> str:
    snake = foreign.snake(key)
    if snake in allowed:
        return write(snake, text)
    known = foreign.meant(key, text)
    word, value = known if known is not None else (snake, text)
    if word in allowed:
        return write(word, value)
    return _elsewhere(word, value, allowed, path) or write(nearest(key, allowed), text)


def _elsewhere(word: str, value: str, allowed: tuple[str, ...], path: Key) -> str:
    """Say where a key belongs that we have, but not here; empty: we have it not."""
    inner = f"{word}: {value}" if value else word
    near = [home for home, part in _CHANNEL_HOMES if word in part.model_fields]
    near = [home for home in near if home in allowed]
    if near:
        return f"write `{near[0]}: {{{inner}}}`"
    for home, part in _HOMES:
        if word in part.model_fields and word != "mode":
            if home in allowed:
                return f"write `{home}: {{{inner}}}`"
            return f"`{word}` belongs to `{home}`"
    hint = ""
    if word in _OWNERS:
        hint = f"`{word}` belongs to {_OWNERS[word]}"
    elif word in _TWINS and _TWINS[word] in allowed:
        hint = f"write `{_TWINS[word]}`"
    elif word in model.Rule.model_fields and "all" in allowed:
        hint = f"under `all`, {write(word, value)}"
    elif word in model.Rule.model_fields and len(path) > 2:
        hint = f"one level up, {write(word, value)}"
    return hint


def write(key: str, value: str) -> str:
    """Return the hint to write *key*, with *value* if there is one; empty: no key."""
    if not key:
        return ""
    return f"write `{key}: {value}`" if value else f"write `{key}`"


def _missing(document: Document, path: Key) -> None:
    if (*path[:-1], "?") in document.places:
        return
    key = str(path[-1])
    hint = "write `version: 1`" if path == ("version",) else ""
    place = document.places.get(path[:-1])
    spot = (place.line, place.column) if place else (1, 1)
    if not document.places:
        spot = (0, 0)
    text = f"the key `{key}` must be written"
    document.say(path, "missing-key", "", text, hint=hint, at=spot)


def _value(document: Document, path: Key, kind: str, error: Mapping[str, Any]) -> None:
    found = value_text(document, path)
    context = error.get("ctx", {})
    if path and path[-1] == "[key]":
        _bad_key(document, path[:-1], str(context.get("message", "")))
        return
    if "message" in context:
        hint = str(context["hint"])
        if kind == "unknown-word" and not hint:
            words = re.findall(r"[a-z_]{3,}", context["message"])
            same = foreign.VALUES.get(found.lower(), ())
            close = next((word for word in same if word in words), "")
            close = close or nearest(found, words)
            hint = f"write `{close}`" if close else ""
        if path[-1] == "retry_buffer" and found and not hint:
            hint = f"write `{{size: {found}}}`"
        document.say(path, kind, found, str(context["message"]), hint=hint)
        return
    code = _CODES.get(kind, "wrong-type")
    hint = _hint(kind, path, found, error)
    document.say(path, code, found, _allowed(kind, shorten(found), context), hint=hint)


def _bad_key(document: Document, path: Key, text: str) -> None:
    document.say(path, "bad-key", str(path[-1]), text, at=document.key_spot(path))


def _allowed(kind: str, found: str, context: Mapping[str, Any]) -> str:
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'|(\d+)", str(context["expected"]))
        allowed = [a or b for a, b in words]
        if found in allowed:
            return f"of another type than {_listed(allowed)}: mind the quotes"
        return f"`{found}` is none of {_listed(allowed)}"
    text = _TEXTS.get(kind, "a value of another type goes here")
    return text.format(**context)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _hint(kind: str, path: Key, found: str, error: Mapping[str, Any]) -> str:
    value = error["input"]
    if kind == "literal_error":
        return _word_hint(path, found, str(error["ctx"]["expected"]))
    if kind == "string_pattern_mismatch":
        return _text_hint(path, found)
    hint = ""
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        hint = f'write `"{found}"`, with quotes'
    elif kind == "int_type" and re.fullmatch(r"\d{1,9}(\.0+)?", found):
        hint = f"write `{found.partition('.')[0]}`, without quotes"
    elif kind == "bool_type" and found in ("off", "no", "false"):
        hint = "write `false`, without quotes"
    elif kind == "bool_type" and found in ("on", "yes", "true"):
        hint = "write `true`, without quotes"
    elif kind == "list_type" and isinstance(value, str):
        hint = f"write `[{found}]`"
    return hint


def _word_hint(path: Key, found: str, expected: str) -> str:
    if path == ("edition",):
        return f'write `"{editions.EDITIONS[-1]}"`, with quotes'
    words = re.findall(r"'([^']*)'", expected)
    same = foreign.VALUES.get(found.lower(), ())
    close = next((word for word in same if word in words), "")
    close = close or nearest(found, words, 0.5)
    return f"write `{close}`" if close else ""


def _text_hint(path: Key, found: str) -> str:
    good = found.lower()
    if "\\" in good:
        return ""
    if path == ("name",):
        good = re.sub(r"[^a-z0-9-]+", "-", good).strip("-")[:63]
    return f"write `{good}`" if good not in ("", found) else ""
