"""Replacing botocore's event handlers where they stand, and putting them back.

botocore has no public way to find a handler by its id, so this file, and no other,
reads the inside of its emitter; tests pin that inside for every supported version. A
wrapper takes the very place of what it wraps: the order of handlers never changes.
"""

import weakref
from collections.abc import Callable, Iterator
from typing import Any


Handler = Callable[..., Any]


class UnknownEmitter(TypeError):
    """This botocore keeps its handlers in a way that is not known."""


class Slots:
    """The handlers of one client's emitter, which is not kept alive."""

    def __init__(self, events: Any) -> None:
        """Find them.

        Raises:
            UnknownEmitter: they are kept otherwise.
        """
        inner = getattr(events, "_emitter", events)
        try:
            is_known = (
                isinstance(inner._lookup_cache, dict)
                and isinstance(inner._unique_id_handlers, dict)
                and all(_is_node(node) for node in _nodes(inner._handlers._root))
            )
            self._alive = weakref.ref(events)
        except (AttributeError, KeyError, TypeError) as error:
            msg = f"handlers of {type(inner).__qualname__} cannot be found ({error!r})"
            raise UnknownEmitter(msg) from error
        if not is_known:
            msg = f"handlers of {type(inner).__qualname__} are kept in an unknown way"
            raise UnknownEmitter(msg)

    @property
    def _inner(self) -> Any:
        events = self._alive()
        return getattr(events, "_emitter", events)

    @property
    def _by_id(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self._inner._unique_id_handlers
        return found

    def named(self, unique_id: str) -> Handler | None:
        """The handler registered under *unique_id*; None: there is none."""
        found = self._by_id.get(unique_id)
        return None if found is None else found["handler"]

    def of(self, event: str) -> Iterator[Handler]:
        """All handlers of *event* and of the events below it."""
        node = self._node(event)
        nodes = [] if node is None else [node]
        while nodes:
            one = nodes.pop()
            nodes += one["children"].values()
            for section in one["values"] or ():
                yield from section

    def replace(self, event: str, old: Handler, new: Handler) -> bool:
        """Put *new* in the place of *old*; False: *old* was not there."""
        node = self._node(event)
        for section in (node and node["values"]) or ():
            for place, handler in enumerate(section):
                if handler == old:
                    section[place] = new
                    for unique_id, entry in [*self._by_id.items()]:
                        if entry["handler"] == old:
                            # Copied emitters share their entries: not this one.
                            self._by_id[unique_id] = {**entry, "handler": new}
                    self.forget()
                    return True
        return False

    def forget(self) -> None:
        """Let each event look for its handlers anew.

        An event that is under way in another thread, while handlers change, may
        remember those it has found before.
        """
        self._inner._lookup_cache = {}

    def add(
        self, event: str, handler: Handler, unique_id: str, *, is_last: bool = False
    ) -> None:
        """Register *handler* the public way; *is_last*: after all that come later."""
        events: Any = self._alive()
        register = events.register_last if is_last else events.register
        register(event, handler, unique_id=unique_id)

    def remove(self, event: str, unique_id: str) -> None:
        """Take a handler that `add` registered away."""
        events: Any = self._alive()
        if events is not None:
            events.unregister(event, unique_id=unique_id)

    def _node(self, event: str) -> Any:
        inner = self._inner
        node = None if inner is None else inner._handlers._root
        if node is None:
            return None
        for part in event.split("."):
            node = node["children"].get(part)
            if node is None:
                return None
        return node


def _nodes(root: Any) -> Iterator[Any]:
    """*root* and what is right below it: all have one shape."""
    yield root
    yield from root["children"].values()


def _is_node(node: Any) -> bool:
    values = node["values"]
    sections = () if values is None else values
    return isinstance(node["children"], dict) and all(
        isinstance(section, list) for section in sections
    )
