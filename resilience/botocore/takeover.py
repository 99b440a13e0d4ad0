"""Who owns the retries of one client.

botocore registers its own retry handlers as ever. This file then puts wrappers into
their places, which ask whether the running call is ours: if so the engine answers and
the native handler is not called, else the native handler answers as if nobody were
here. So there is one owner for each call, in every retry mode, and the native
behaviour is back the moment a mode changes.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from botocore.retries.adaptive import ClientRateLimiter

from .emitter import Handler, Slots


Asked = Callable[[Handler | None, dict[str, Any]], Any]
"""Answers `needs-retry`: given the native handler (None: there is none) and what the
event carries."""
Silent = Callable[[], bool]
"""Is the running call ours, so that native handlers must keep still?"""
Sent = Callable[..., None]


class Takeover:
    """The wrappers in one client's emitter."""

    def __init__(
        self,
        client: Any,
        ask: Asked,
        silent: Silent,
        sent: Sent,
        *,
        built: Handler,
        answered: Handler,
    ) -> None:
        """Find what botocore registered on *client* and wrap it.

        Raises:
            UnknownEmitter: this botocore keeps its handlers otherwise; nothing was
                changed.
        """
        service = client.meta.service_model.service_id.hyphenize()
        self.event = f"needs-retry.{service}"
        self.unique_id = f"retry-config-{service}"
        self._created = f"request-created.{service}"
        self.slots = slots = Slots(client.meta.events)
        self._replaced: list[tuple[str, Handler, Handler]] = []
        self._added: list[tuple[str, Handler, str]] = []

        self.native = native = slots.named(self.unique_id)
        wrapper = _Answering(ask, native)
        if native is None or not self._replace(self.event, native, wrapper):
            self._add(self.event, wrapper, self.unique_id)
        for event in ("before-send", "needs-retry"):
            for handler in [*slots.of(event)]:
                owner = getattr(handler, "__self__", None)
                if isinstance(owner, ClientRateLimiter):
                    self._replace(event, handler, partial(_unless, silent, handler))
        # After the signer, which is registered first: signing may take long, and what
        # is left of the time is read when it is over.
        self._add(self._created, sent, "resilience-request-created")
        # After boto3's resources, which turn Python's types into DynamoDB's.
        event = f"before-parameter-build.{service}"
        self._add(event, built, "resilience-before-parameter-build", is_last=True)
        self._add(f"before-send.{service}", answered, "resilience-before-send")

    def _replace(self, event: str, old: Handler, new: Handler) -> bool:
        done = self.slots.replace(event, old, new)
        if done:
            self._replaced.append((event, old, new))
        return done

    def _add(
        self, event: str, handler: Handler, unique_id: str, *, is_last: bool = False
    ) -> None:
        self.slots.add(event, handler, unique_id, is_last=is_last)
        self._added.append((event, handler, unique_id))

    def undo(self) -> None:
        """Put everything back as botocore made it."""
        for event, old, new in self._replaced:
            self.slots.replace(event, new, old)
        for event, handler, unique_id in self._added:
            self.slots.remove(event, handler, unique_id)
        self._replaced, self._added = [], []

    def strangers(self) -> list[str]:
        """Handlers of `needs-retry` that are neither botocore's nor ours."""
        names = []
        for handler in self.slots.of("needs-retry"):
            module = _module(handler)
            if not module.startswith(("botocore.", "resilience.botocore.")):
                name = getattr(handler, "__qualname__", type(handler).__qualname__)
                names.append(f"{module}.{name}")
        return sorted(names)


class _Answering:
    """Stands where botocore's retry handler stood."""

    def __init__(self, ask: Asked, native: Handler | None) -> None:
        self._ask = ask
        self.native = native

    def __call__(self, **kwargs: Any) -> Any:
        return self._ask(self.native, kwargs)


def _unless(silent: Silent, native: Handler, **kwargs: Any) -> Any:
    return None if silent() else native(**kwargs)


def _module(handler: Handler) -> str:
    inner = handler.func if isinstance(handler, partial) else handler
    owner = getattr(inner, "__self__", None)
    one = inner if owner is None else type(owner)
    found = getattr(one, "__module__", None) or type(inner).__module__
    return str(found)
