"""The compiled policies of a whole policy text: look-up, cache and provenance.

A table never changes after it was made; a reload makes another one. What a value
means was decided before (`merge`, `compiled`); here it is only found again.
"""

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from resilience.core.policy import CallPolicy
from resilience.core.record import Mode
from resilience.core.target import Protocol

from . import editions, sizes
from .channel import ChannelPolicy, compile_channel
from .compiled import Compiled, compile_policy
from .durations import show
from .implied import imply
from .merge import Cell, Node, Source, effective, effective_channel, leaves
from .narrowing import is_list, is_map
from .words import KEYS_OF_BUDGET, MODES, SIZES, TIMES, Calls, Switch


_CACHED: Final = 4096
"""Policies kept; names of methods come from the program, so they need a bound."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value that holds for a method, and where it comes from."""

    path: str
    """Key path inside a rule, `retry.max_attempts`."""
    value: str
    """As one would write it in a policy: `250ms`, `0.5`, `off`."""
    source: str
    """`file:line`, `edition 2026.11`, `profile aws-standard-2.1`, or `engine`."""
    note: str = ""
    """What was settled about it; empty as a rule."""


# Compared by identity: a reload makes another table even from the same text.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PolicyTable:
    """Policies for every method. Safe to share between threads."""

    name: str
    """Identity of shared state and telemetry; `default` where none is written."""
    edition: str
    mode: Mode
    """Root mode as written; `enforce` where none is."""
    state: str
    """`process` or `host`, as written."""
    hash: str
    """12 hex digits over the content; formatting and comments do not change it."""
    sources: tuple[str, ...]
    """File names, in the order in which they overlay each other."""
    notices: tuple[str, ...]
    """What is accepted but not acted on in this release, plainly, once each."""
    texts: tuple[Source, ...] = field(repr=False, default=())
    """What was read, for explaining."""
    _cache: dict[tuple[str, ...], Compiled] = field(
        repr=False, compare=False, default_factory=dict[tuple[str, ...], Compiled]
    )
    _same: dict[str, Compiled] = field(
        repr=False, compare=False, default_factory=dict[str, Compiled]
    )
    """The compiled policies by all that they say."""
    _lock: threading.Lock = field(
        repr=False, compare=False, default_factory=threading.Lock
    )

    def policy_for(
        self,
        protocol: Protocol,
        name: str,
        service: str,
        method: str,
        root_mode: Mode | None = None,
    ) -> CallPolicy:
        """Return the policy of one method; the same object each time.

        Args:
            protocol: `grpc`, `aws` or `app`.
            name: gRPC target name, as given to `intercept_channel`; else the service.
            service: gRPC service with its package, AWS or app service.
            method: method or operation.
            root_mode: the engine's mode; None: as written. Weaker than written, it
                caps every section: that is how everything is switched off at once.
        """
        mode = self.mode if root_mode is None else root_mode
        return self._compiled(protocol, name, service, method, mode).policy

    def explain_leaves(
        self,
        protocol: Protocol,
        name: str,
        service: str,
        method: str,
        root_mode: Mode | None = None,
    ) -> list[Leaf]:
        """Return every value that holds for a method, with its source and notes."""
        mode = self.mode if root_mode is None else root_mode
        node = imply(effective(self.texts, protocol, name, service, method))
        notes = compile_policy(node, protocol, self._mode(node, mode)).notes
        result = [self._mode_leaf(node, mode)]
        for path, cell in leaves(node):
            if path == ("mode",) or _is_idle(node, path, protocol):
                continue
            text = text_of(path[-1], cell.value)
            note = notes.get(path, "")
            result.append(Leaf(".".join(path), text, cell.source, note))
        if protocol == "grpc":
            result += self._channel_leaves(name)
        return result

    def channel_for(self, name: str) -> ChannelPolicy:
        """Return how channels connect to the gRPC target *name*."""
        return compile_channel(effective_channel(self.texts, name))

    def _channel_leaves(self, name: str) -> list[Leaf]:
        """The values of a target's channels, once any is written."""
        node = effective_channel(self.texts, name)
        found = [
            (Leaf(".".join(("channel", *path)), text, cell.source), cell.level)
            for path, cell in leaves(node)
            for text in (text_of(path[-1], cell.value),)
        ]
        is_written = any(level for _, level in found)
        return [leaf for leaf, _ in found] if is_written else []

    def written_methods(self) -> list[tuple[Protocol, str]]:
        """Return the protocol and pattern of every rule written for a method."""
        found: dict[tuple[Protocol, str], None] = {}
        for source in self.texts:
            for protocol in ("grpc", "aws", "app"):
                key = "methods" if protocol == "grpc" else "operations"
                for pattern in source.rule(protocol, key) or ():
                    found[protocol, pattern] = None
        return list(found)

    def written_targets(self) -> list[str]:
        """Return the gRPC target names that have a rule."""
        found: dict[str, None] = {}
        for source in self.texts:
            found.update(dict.fromkeys(source.rule("grpc", "targets") or ()))
        return list(found)

    def _compiled(
        self, protocol: Protocol, name: str, service: str, method: str, mode: Mode
    ) -> Compiled:
        key = (protocol, name, service, method, mode)
        found = self._cache.get(key)
        if found is not None:
            return found
        node = imply(effective(self.texts, protocol, name, service, method))
        made = compile_policy(node, protocol, self._mode(node, mode))
        with self._lock:
            # Methods for which the same holds share one: there may be thousands.
            made = self._same.setdefault(repr(made), made)
            if len(self._cache) >= _CACHED:
                self._cache.clear()
                self._same.clear()
            return self._cache.setdefault(key, made)

    def _mode(self, node: Node, root: Mode) -> Mode:
        cell = node.get("mode")
        if not isinstance(cell, Cell):
            return root
        own = cast("Mode", cell.value)
        if MODES.index(root) < MODES.index(self.mode):
            return own if MODES.index(own) < MODES.index(root) else root
        return own

    def _mode_leaf(self, node: Node, root: Mode) -> Leaf:
        mode = self._mode(node, root)
        cell = node.get("mode")
        if isinstance(cell, Cell):
            note = "" if cell.value == mode else f"held down by the engine: {root}"
            return Leaf("mode", mode, cell.source, note)
        if root != self.mode:
            return Leaf("mode", mode, "engine")
        for source in reversed(self.texts):
            if "mode" in source.values:
                return Leaf("mode", mode, source.where(("mode",)))
        return Leaf("mode", mode, f"edition {self.edition}")


def built_in() -> PolicyTable:
    """Return the table that holds without any policy file."""
    return make_table(())


def make_table(texts: Sequence[Source], notices: Sequence[str] = ()) -> PolicyTable:
    """Return the table of texts that were read and found good."""
    root: dict[str, object] = {}
    for source in texts:
        root.update(
            {key: value for key, value in source.values.items() if not is_map(value)}
        )
    edition = str(root.get("edition", editions.FIRST))
    name = str(root.get("name", "default"))
    mode = cast("Mode", root.get("mode", "enforce"))
    state = str(root.get("state", "process"))
    content = [edition, name, mode, state, _overlaid(texts)]
    packed = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return PolicyTable(
        name=name,
        edition=edition,
        mode=mode,
        state=state,
        hash=hashlib.sha256(packed.encode()).hexdigest()[:12],
        sources=tuple(source.file for source in texts),
        notices=tuple(notices),
        texts=tuple(texts),
    )


def text_of(key: str, value: Any) -> str:
    """Return *value* as one would write it in a policy under *key*."""
    if isinstance(value, Switch):
        return value.value
    if isinstance(value, Calls):
        return f"{value.number} calls"
    if is_map(value) or is_list(value):
        return _text_of_many(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return show(value, digits=12) if key in TIMES else f"{value:.12g}"
    return sizes.show(value) if key in SIZES else str(value)


def _text_of_many(value: Mapping[str, object] | Sequence[object]) -> str:
    if is_map(value):
        parts = [f"{name}: {text_of('', part)}" for name, part in value.items()]
        return f"{{{', '.join(parts)}}}"
    return f"[{', '.join(text_of('', part) for part in value)}]"


def _is_idle(node: Node, path: tuple[str, ...], protocol: str) -> bool:
    """Tell whether a value can have no effect: another budget's knob, say."""
    if path == ("profile",):
        return protocol != "aws"
    if path == ("owner",):
        return cast("Cell", node["owner"]).value == ""
    if path in (("failover",), ("fallback",)):
        return cast("Cell", node[path[0]]).value is Switch.OFF
    if path[0] != "retry_budget" or path[-1] in ("mode", "kind", "retry_budget"):
        return False
    budget = node["retry_budget"]
    kind = budget["kind"] if isinstance(budget, dict) else None
    return isinstance(kind, Cell) and path[-1] not in KEYS_OF_BUDGET[str(kind.value)]


def _overlaid(texts: Sequence[Source]) -> object:
    """Return the rules of all texts as one, in plain values."""
    whole: dict[str, object] = {}
    for source in texts:
        rules = {key: value for key, value in source.values.items() if is_map(value)}
        _overlay(whole, rules)
    return whole


def _overlay(below: dict[str, object], over: Mapping[str, object]) -> None:
    for key, value in over.items():
        old = below.get(key)
        if is_map(value):
            if isinstance(old, dict):
                _overlay(cast("dict[str, object]", old), value)
                continue
            # A map over `off` starts afresh: that must not look like the map alone.
            fresh: dict[str, object] = {"off": True} if old == "off" else {}
            _overlay(fresh, value)
            if fresh:
                below[key] = fresh
        elif value is Switch.ON and isinstance(old, dict):
            continue
        else:
            below[key] = _plain(value)


def _plain(value: object) -> object:
    if isinstance(value, Switch):
        return value.value
    if isinstance(value, Calls):
        return [value.number]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return list(value) if is_list(value) else value
