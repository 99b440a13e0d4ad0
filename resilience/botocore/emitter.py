"""Replacing botocore's event handlers where they stand, and putting them back.

botocore has no public way to find a handler by its id, so this file, and no other,
reads the inside of its emitter; tests pin that inside for every supported version. A
wrapper takes the very place of what it wraps: the order of handlers never changes.
"""

from collections.abc import Callable, Iterator
from typing import Any


Handler = Callable[..., Any]


class UnknownEmitter(TypeError):
    """This botocore keeps its handlers in a way that is not known."""


class Slots:
    """The handlers of one client's emitter."""

    def __init__(self, events: Any) -> None:
        inner = getattr(events, "_emitter", events)
        try:
            self._root = inner._handlers._root
            self._by_id: dict[str, dict[str, Any]] = inner._unique_id_handlers
        except AttributeError as error:
            msg = f"handlers of {type(inner).__qualname__} cannot be found"
            raise UnknownEmitter(msg) from error
        self._inner = inner
        self._events = events

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
                    for entry in self._by_id.values():
                        if entry["handler"] == old:
                            entry["handler"] = new
                    self._inner._lookup_cache = {}
                    return True
        return False

    def add(
        self, event: str, handler: Handler, unique_id: str, *, is_last: bool = False
    ) -> None:
        """Register *handler* the public way; *is_last*: after all that come later."""
        events = self._events
        register = events.register_last if is_last else events.register
        register(event, handler, unique_id=unique_id)

    def remove(self, event: str, handler: Handler, unique_id: str) -> None:
        """Take a handler that `add` registered away."""
        self._events.unregister(event, handler, unique_id=unique_id)

    def _node(self, event: str) -> Any:
        node = self._root
        for part in event.split("."):
            node = node["children"].get(part)
            if node is None:
                return None
        return node
