"""Who owns the retries of one client.

botocore registers its own retry handlers as ever. This file then puts wrappers into
their places, which ask whether the running call is ours: if so the engine answers and
the native handler is not called, else the native handler answers as if nobody were
here. So there is one owner for each call, in every retry mode, and the native
behaviour is back the moment a mode changes.
"""

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

from .emitter import Handler, Slots, UnknownEmitter


try:
    from botocore.retries import adaptive

    _LIMITERS: tuple[type, ...] = (adaptive.ClientRateLimiter,)
except (AttributeError, ImportError):  # then adaptive's handlers are not known
    _LIMITERS = ()
Asked = Callable[[Handler | None, dict[str, Any]], Any]
"""Answers `needs-retry`: given the native handler (None: there is none) and what the
event carries."""
CREATING = ("creating-client-class", "resilience-creating-client-class")
"""The event by which a session's clients become ours, and the id of its handler."""
NATIVE = "botocore.retr"
"""botocore's modules that repeat: `retryhandler` and `retries`."""
OWN = ("botocore.", "boto3.", "s3transfer.", "aiobotocore.", "resilience.botocore.")
"""Whose handlers are no strangers."""
QUIET = frozenset({"botocore.handlers", "botocore.utils", "botocore.discovery"})
"""botocore's modules whose answers to `needs-retry` are no retries: redirects."""
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
    ) -> None:
        """Find what botocore registered on *client* and wrap it.

        Raises:
            UnknownEmitter: this botocore keeps or names its handlers otherwise, so
                that there would be two owners; nothing was changed.
        """
        service = client.meta.service_model.service_id.hyphenize()
        self.event = f"needs-retry.{service}"
        self.unique_id = f"retry-config-{service}"
        self._created = f"request-created.{service}"
        self.slots = slots = Slots(client.meta.events)
        # Who asks keeps this object, and the wrappers know who asks: they are kept by
        # the emitter alone, so that a client that nobody holds goes away at once.
        self._replaced: list[tuple[str, Handler, weakref.ref[Handler]]] = []
        self._added: list[tuple[str, str]] = []

        self.native = slots.named(self.unique_id)
        try:
            self._take(ask, silent)
            # After the signer, which is registered first: signing may take long, and
            # what is left of the time is read when it is over.
            self._add(self._created, sent, "resilience-request-created")
            # A client has a copy of what its session listens to, and no use for this.
            slots.remove(*CREATING)
        except Exception:
            self.undo()
            raise

    def _take(self, ask: Asked, silent: Silent) -> None:
        """Put wrappers into the places of everything that repeats or holds back."""
        slots, native = self.slots, self.native
        wrapper = _Answering(ask, native)
        if native is None:
            self._add(self.event, wrapper, self.unique_id)
        elif not self._replace(self.event, native, wrapper):
            msg = f"its {self.unique_id} does not listen to {self.event}"
            raise UnknownEmitter(msg)
        for event in ("before-send", "needs-retry"):
            for handler in [*slots.of(event)]:
                owner = getattr(handler, "__self__", None)
                if _is_limiter(owner):
                    self._replace(event, handler, partial(_unless, silent, handler))
                elif _may_retry(handler, event, is_alone=native is None):
                    msg = f"{event} has a handler that is not known: {_name(handler)}"
                    raise UnknownEmitter(msg)

    def follow(self, operation: str, built: Handler, answered: Handler) -> None:
        """Hear what following the writes of *operation* takes; harmless twice.

        Only where there is such an operation: each handler costs every call 2 us. Call
        it under a lock, before the first call of the operation.
        """
        service = self.event.removeprefix("needs-retry.")
        added = {unique_id for _, unique_id in self._added}
        built_id = "resilience-before-parameter-build"
        if built_id not in added:
            # After boto3's resources, which turn Python's types into DynamoDB's.
            event = f"before-parameter-build.{service}"
            self._add(event, built, built_id, is_last=True)
        answered_id = f"resilience-before-send-{operation}"
        if answered_id not in added:
            self._add(f"before-send.{service}.{operation}", answered, answered_id)

    def _replace(self, event: str, old: Handler, new: Handler) -> bool:
        done = self.slots.replace(event, old, new)
        if done:
            self._replaced.append((event, old, weakref.ref(new)))
        return done

    def _add(
        self, event: str, handler: Handler, unique_id: str, *, is_last: bool = False
    ) -> None:
        self.slots.add(event, handler, unique_id, is_last=is_last)
        self._added.append((event, unique_id))

    def undo(self) -> None:
        """Put everything back as botocore made it."""
        for event, old, alive in self._replaced:
            new = alive()
            if new is not None:
                self.slots.replace(event, new, old)
        for event, unique_id in self._added:
            self.slots.remove(event, unique_id)
        self._replaced, self._added = [], []

    def forget(self) -> None:
        """Let each event look for its handlers anew (`Slots.forget`)."""
        self.slots.forget()


def foreign(slots: Slots) -> list[str]:
    """Handlers of `needs-retry` that are neither botocore's nor ours."""
    return sorted(
        _name(handler)
        for handler in slots.of("needs-retry")
        if not _module(handler).startswith(OWN)
    )


class _Answering:
    """Stands where botocore's retry handler stood."""

    def __init__(self, ask: Asked, native: Handler | None) -> None:
        self._ask = ask
        self.native = native

    def __call__(self, **kwargs: Any) -> Any:
        return self._ask(self.native, kwargs)


def _is_limiter(owner: object) -> bool:
    """Is it the rate limiter of the adaptive mode, botocore's or aiobotocore's?"""
    if isinstance(owner, _LIMITERS):
        return True
    return type(owner).__module__ == "aiobotocore.retries.adaptive"


def _unless(silent: Silent, native: Handler, **kwargs: Any) -> Any:
    return None if silent() else native(**kwargs)


def _may_retry(handler: Handler, event: str, *, is_alone: bool) -> bool:
    """Is *handler* botocore's, and may it repeat a call unknown to us?

    Where botocore's usual one is missing, any that is not known to be harmless may.
    """
    module = _module(handler)
    if module.startswith(NATIVE):
        return True
    is_own = module.startswith("botocore.") and module not in QUIET
    return is_alone and event == "needs-retry" and is_own


def _name(handler: Handler) -> str:
    name = getattr(handler, "__qualname__", type(handler).__qualname__)
    return f"{_module(handler)}.{name}"


def _module(handler: Handler) -> str:
    inner = handler.func if isinstance(handler, partial) else handler
    owner = getattr(inner, "__self__", None)
    one = inner if owner is None else type(owner)
    found = getattr(one, "__module__", None) or type(inner).__module__
    return str(found)
