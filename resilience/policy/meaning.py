"""What single values cannot show: relations between keys of one map, and names.

Values that conflict where they stand together are errors; one that conflicts with a
wider rule is settled later, by `compiled`. Values that were refused are not looked at.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from resilience.core.grpc_codes import GRPC_CODES

from . import durations, match
from .diagnose import nearest, value_text
from .document import Document, Key
from .narrowing import is_list, is_map
from .scalars import is_off
from .words import KEYS_OF_BUDGET, MECHANISMS, PROTOCOLS, TIMES


_MAX_RATIO_CLOSE: Final = 0.85
"""In `all` codes of several protocols stand together: only a near miss is a mistake."""
_NOT_FOR_ONE: Final = {
    "health_check": "`pick_first` asks for no one's health",
    "outlier_detection": "`pick_first` has one address and leaves none out",
}
"""What only makes sense with several addresses."""


def check(document: Document) -> None:
    """Note every conflict and wrong name of the document."""
    data = document.data
    _rule(document, ("all",), data.get("all"), "")
    for protocol in PROTOCOLS:
        section = data.get(protocol)
        if not is_map(section):
            continue
        _modes(document, protocol, section)
        _channel(document, (protocol, "channel"), section.get("channel"))
        _rule(document, (protocol, "all"), section.get("all"), protocol)
        groups = ("targets", "methods") if protocol == "grpc" else ("operations",)
        for group in groups:
            rules = section.get(group)
            if not is_map(rules):
                continue
            for key, rule in rules.items():
                path = (protocol, group, key)
                if group != "targets":
                    _pattern(document, path, protocol, key)
                _rule(document, path, rule, protocol)
                if group == "targets" and is_map(rule):
                    _channel(document, (*path, "channel"), rule.get("channel"))


def _channel(document: Document, path: Key, channel: object) -> None:
    if not is_map(channel):
        return
    if channel.get("load_balancing") == "pick_first":
        # gRFC A17 and A50: C-core would ignore them without a word.
        for key, message in _NOT_FOR_ONE.items():
            if not is_off(channel.get(key, False)):
                hint = "write `load_balancing: round_robin`"
                found = value_text(document, (*path, key))
                document.say((*path, key), "conflict", found, message, hint=hint)
    reconnect = channel.get("reconnect")
    if is_map(reconnect):
        here = (*path, "reconnect")
        _order(document, here, reconnect, "initial_backoff", "max_backoff")


def _modes(document: Document, protocol: str, section: Mapping[str, Any]) -> None:
    rule = section.get("all")
    if not is_map(rule) or "mode" not in section or "mode" not in rule:
        return
    if section["mode"] != rule["mode"]:
        message = (
            f"`{protocol}.mode` and `{protocol}.all.mode` are one level: write one"
        )
        path = (protocol, "all", "mode")
        document.say(path, "conflict", str(rule["mode"]), message)


def _pattern(document: Document, path: Key, protocol: str, key: str) -> None:
    if document.is_full or match.split(protocol, key) is not None:
        return
    message = f"a name here is {match.ALLOWED[protocol]}"
    hint = match.suggestion(protocol, key)
    spot = document.key_spot(path)
    document.say(path, "bad-pattern", key, message, hint=hint, at=spot)


def _rule(document: Document, path: Key, rule: object, protocol: str) -> None:
    if not is_map(rule):
        return
    _order(document, path, rule, "attempt_timeout", "timeout")
    _order(document, path, rule, "first_message_timeout", "timeout")
    _failover(document, (*path, "failover"), protocol, rule.get("failover"))
    for name in MECHANISMS:
        part = rule.get(name)
        if not is_map(part):
            continue
        here = (*path, name)
        if name == "retry":
            _retry(document, here, part, protocol)
        elif name == "retry_budget":
            _budget(document, here, part)
        elif name == "breaker":
            _order(document, here, part, "open_for", "max_open_for")
            _order(document, here, part, "concurrent_probes", "probes")
            _order(document, here, part, "min_calls", "window")
        elif name == "limiter":
            _order(document, here, part, "min_limit", "max_limit")
            _order(document, here, part, "initial_limit", "max_limit")
            _order(document, here, part, "min_limit", "initial_limit")


def _failover(document: Document, path: Key, protocol: str, regions: object) -> None:
    """Refuse a region named twice, and writes under a pattern that is no name."""
    if not is_list(regions):
        return
    is_exact = path[-3:-2] == ("operations",) and not str(path[-2]).endswith("*")
    seen: set[object] = set()
    for index, one in enumerate(regions):
        if not is_map(one):
            continue
        here = (*path, index)
        region = one.get("region")
        if isinstance(region, str) and region in seen:
            message = "this region stands in the list already"
            document.say((*here, "region"), "conflict", region, message)
        seen.add(region)
        if protocol == "aws" and "ambiguous_writes" in one and not is_exact:
            message = "writes fail over only where `failover` stands under their name"
            hint = "write it under an operation such as `s3.PutObject`"
            found = value_text(document, (*here, "ambiguous_writes"))
            place = (*here, "ambiguous_writes")
            document.say(place, "conflict", found, message, hint=hint)


def _budget(document: Document, path: Key, budget: Mapping[str, Any]) -> None:
    """Refuse knobs of another kind than the one that is written or said first."""
    said = budget.get("kind")
    for key, value in budget.items():
        kind = next((kind for kind, keys in KEYS_OF_BUDGET.items() if key in keys), "")
        said = said or kind
        if kind and said in KEYS_OF_BUDGET and kind != said:
            message = f"`{key}` is a knob of kind `{kind}`, and this budget is `{said}`"
            hint = f"keep to {', '.join(KEYS_OF_BUDGET[said])}"
            document.say((*path, key), "conflict", str(value), message, hint=hint)


def _retry(
    document: Document, path: Key, retry: Mapping[str, Any], protocol: str
) -> None:
    _order(document, path, retry, "initial_backoff", "max_backoff")
    overload, codes = retry.get("overload"), retry.get("codes")
    if is_map(overload):
        here = (*path, "overload")
        _order(document, here, overload, "initial_backoff", "max_backoff")
    for code, rule in codes.items() if is_map(codes) else ():
        here = (*path, "codes", code)
        _code(document, here, code, protocol, is_key=True)
        if is_map(rule):
            _order(document, here, rule, "initial_backoff", "max_backoff")
    written = retry.get("retry_on")
    for index, word in enumerate(written if is_list(written) else ()):
        _code(document, (*path, "retry_on", index), word, protocol, is_key=False)


def _code(
    document: Document, path: Key, code: object, protocol: str, *, is_key: bool
) -> None:
    if document.is_full:
        return
    if isinstance(code, int) and not isinstance(code, bool):
        _code_number(document, path, code, protocol)
        return
    if not isinstance(code, str) or (code == "default" and not is_key):
        return
    if protocol not in ("", "grpc") or (code in GRPC_CODES and code != "OK"):
        return
    if protocol == "" and not nearest(code, GRPC_CODES, _MAX_RATIO_CLOSE):
        return
    spot = document.key_spot(path) if is_key else None
    words = GRPC_CODES if is_key else ("default", *GRPC_CODES)
    close = nearest(code, [word for word in words if word != "OK"])
    if code.isdigit() and int(code) < len(GRPC_CODES):
        close = GRPC_CODES[int(code)]
    message = "`OK` is no failure" if code == "OK" else "no gRPC code has this name"
    hint = f"write `{close}`" if close and code != "OK" else ""
    document.say(path, "unknown-code", code, message, hint=hint, at=spot)


def _code_number(document: Document, path: Key, code: int, protocol: str) -> None:
    """Say what a number would be called; the model has refused it already."""
    hint = ""
    if protocol != "aws" and 0 < code < len(GRPC_CODES):
        hint = f"write `{GRPC_CODES[code]}`"
    elif code >= 500:
        hint = "5xx answers are tried again by kind: leave it out"
    document.amend_hint(path, hint)


def _order(
    document: Document, path: Key, part: Mapping[str, Any], low: str, high: str
) -> None:
    """Note a conflict if *low* is more than *high* in one map."""
    small, large = _size(low, part.get(low)), _size(high, part.get(high))
    if small is None or large is None or small <= large:
        return
    where = document.places.get((*path, high))
    at = f" (line {where.line})" if where else ""
    message = f"`{low}` must not be more than `{high}`{at}"
    document.say((*path, low), "conflict", value_text(document, (*path, low)), message)


def _size(key: str, value: object) -> float | None:
    """Return a value for comparison; None: there is none, or it was refused."""
    if key == "window":
        return _calls(value)
    if key not in TIMES:
        is_count = isinstance(value, int) and not isinstance(value, bool)
        return float(cast("int", value)) if is_count else None
    if not isinstance(value, str):
        return None
    try:
        return durations.parse(value)
    except durations.DurationError:
        return None


def _calls(window: object) -> float | None:
    """Return the calls of a window; None: it is of time, or no window."""
    if isinstance(window, str):
        found = re.fullmatch(r"(\d{1,9})\s*calls?", window.strip())
        return float(found[1]) if found else None
    is_count = isinstance(window, int) and not isinstance(window, bool)
    return float(cast("int", window)) if is_count else None
