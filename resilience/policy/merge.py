"""Which written value holds for one method: the most specific one, leaf by leaf.

operation or method > service > target > protocol `all` > `all` > edition. Maps merge,
lists replace, a map over `off` turns the mechanism on with the edition's values of it.
At one level a later file overlays an earlier one. Nothing here knows what a key means.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from resilience.core.grpc_codes import GRPC_CODES

from . import editions, match
from .narrowing import is_map
from .words import ON


_VALUES_ON: Final = frozenset({"health_check"})
"""Keys for which `on` is a value; for all others it turns a map on."""

Path: TypeAlias = tuple[str, ...]
Where: TypeAlias = Callable[[Path], str]


@dataclass(frozen=True, slots=True)
class Cell:
    """One written or built-in value."""

    value: object
    source: str
    """`file:line`, `edition 2026.11` or `profile aws-standard-2.1`."""
    level: int
    """How specific: 0 is the edition, higher wins."""


Node: TypeAlias = dict[str, "Cell | Node"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One policy text after reading: its values, and where each was written."""

    file: str
    values: Mapping[str, object]
    """Nested plain values of the whole text; times in seconds, `off` as a switch."""
    lines: Mapping[Path, int]
    """Line of each key path; 0 or absent where there is no text."""
    columns: Mapping[Path, int] = field(default_factory=dict[Path, int])
    """Column of each key path, likewise."""

    def rule(self, *path: str) -> Mapping[str, object] | None:
        """Return the rule written at *path*, if there is one."""
        found: object = self.values
        for key in path:
            if not is_map(found) or key not in found:
                return None
            found = found[key]
        return found if is_map(found) else None

    def where(self, path: Path) -> str:
        """Return `file:line` of a key path, or of the map that implied it."""
        line = self.lines.get(path, 0) or self.lines.get(path[:-1], 0)
        return f"{self.file}:{line}" if line else self.file


def level_paths(protocol: str, name: str, service: str, method: str) -> list[Path]:
    """Return the places that speak about a method, the least specific first."""
    methods = "methods" if protocol == "grpc" else "operations"
    paths: list[Path] = [("all",), (protocol, "all")]
    if protocol == "grpc":
        paths.append((protocol, "targets", name))
    paths.append((protocol, methods, match.service_pattern(protocol, service)))
    paths.append((protocol, methods, match.exact_pattern(protocol, service, method)))
    return paths


def exact_level(protocol: str) -> int:
    """Return the level of values written for a method by its exact name."""
    return 2 * len(level_paths(protocol, "", "", ""))


def effective(
    sources: Iterable[Source], protocol: str, name: str, service: str, method: str
) -> Node:
    """Return every value that holds for one method, each with its source."""
    written = list(sources)
    paths = level_paths(protocol, name, service, method)
    profile = _profile(written, paths) if protocol == "aws" else None
    edition = f"edition {editions.FIRST}"
    node: Node = {}
    _put(node, editions.rule_values(), {}, lambda _: edition, 0)
    _put(node, editions.protocol_values(protocol), {}, lambda _: edition, 0)
    if protocol == "aws" and profile is None:
        _put_profile(node, "aws-standard-2.1", service, {}, 0)
    defaults = dict(node)
    _put(defaults, editions.TURNED_ON, {}, lambda _: edition, 0)
    for index, path in enumerate(paths):
        if profile is not None and profile[0] == index:
            # Just below what is written beside it.
            _put_profile(node, profile[1], service, defaults, 2 * index + 1)
        level = 2 * index + 2
        for source in written:
            if path == (protocol, "all"):
                _put_section_mode(node, source, protocol, level)
            rule = source.rule(*path)
            if rule is not None:
                if path[1:2] == ("targets",):
                    rule = {key: rule[key] for key in rule if key != "channel"}
                if path == ("all",) and protocol != "grpc":
                    rule = _without_grpc_codes(rule)
                _put(node, rule, defaults, _where(source, path), level)
    return node


def effective_channel(sources: Iterable[Source], name: str) -> Node:
    """Return every value that holds for the channels of one gRPC target."""
    edition = f"edition {editions.FIRST}"
    node: Node = {}
    _put(node, editions.channel_values(), {}, lambda _: edition, 0)
    defaults = dict(node)
    _put(defaults, editions.TURNED_ON, {}, lambda _: edition, 0)
    written = list(sources)
    places: list[Path] = [("grpc", "channel"), ("grpc", "targets", name, "channel")]
    for level, path in enumerate(places, start=1):
        for source in written:
            rule = source.rule(*path)
            if rule is not None:
                _put(node, rule, defaults, _where(source, path), level)
    return node


def leaves(node: Node, path: Path = ()) -> Iterator[tuple[Path, Cell]]:
    """Yield each value with its key path, in the order of the format."""
    for key, item in node.items():
        if isinstance(item, Cell):
            yield (*path, key), item
        else:
            yield from leaves(item, (*path, key))


def _profile(sources: list[Source], paths: list[Path]) -> tuple[int, str] | None:
    """Return place and name of the profile that holds; None: the built-in one.

    One profile holds for a method, the most specific: values of two never mix.
    """
    found = None
    for index, path in enumerate(paths):
        for source in sources:
            rule = source.rule(*path)
            if rule is not None and "profile" in rule:
                found = (index, str(rule["profile"]))
    return found


def _put_profile(
    node: Node, profile: str, service: str, defaults: Node, level: int
) -> None:
    values = editions.profile_values(profile, service)
    _put(node, values, defaults, lambda _: f"profile {profile}", level)


def _put_section_mode(node: Node, source: Source, protocol: str, level: int) -> None:
    section = source.rule(protocol)
    if section is not None and "mode" in section:
        node["mode"] = Cell(section["mode"], source.where((protocol, "mode")), level)


def _without_grpc_codes(rule: Mapping[str, object]) -> Mapping[str, object]:
    """Return a rule of `all` as it holds outside gRPC.

    What is written there for gRPC's INTERNAL must not meet a code of the same name
    that means something else.
    """
    retry = rule.get("retry")
    codes = retry.get("codes") if is_map(retry) else None
    if not is_map(retry) or not is_map(codes):
        return rule
    kept = {code: item for code, item in codes.items() if code not in GRPC_CODES}
    return {**rule, "retry": {**retry, "codes": kept}}


def _where(source: Source, base: Path) -> Where:
    return lambda path: source.where((*base, *path))


def _put(
    node: Node,
    values: Mapping[str, object],
    defaults: Node,
    where: Where,
    level: int,
    *,
    path: Path = (),
) -> None:
    """Lay *values* over *node*, in place; nodes below are copied before a change."""
    for key, value in values.items():
        here = (*path, key)
        old = node.get(key)
        default = defaults.get(key)
        fresh = default if isinstance(default, dict) else {}
        if is_map(value) or (value is ON and key not in _VALUES_ON):
            below = dict(old if isinstance(old, dict) else fresh)
            node[key] = below
            if is_map(value):
                _put(below, value, fresh, where, level, path=here)
        else:
            node[key] = Cell(value, where(here), level)
