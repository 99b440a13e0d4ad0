"""Attaching an engine to what boto3 and botocore users hold, and detaching it.

`register` on a session reaches the clients it makes from then on; on a client, that
client. Registering twice replaces the engine: there is never a second owner.
"""

import sys
import weakref
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from botocore.client import BaseClient
from botocore.session import Session

from resilience.engine import PolicyEngine

from .guard import ATTRIBUTE, Guard, guard_of
from .operation import HONOUR
from .transfer import carry, make_call
from .waits import bounded


EVENT = "creating-client-class"
UNIQUE_ID = "resilience-creating-client-class"


class Registration:
    """The engine of one session or client. Clients read it on each call."""

    def __init__(self, engine: PolicyEngine | None) -> None:
        self.engine = engine
        """None: unregistered; calls are bare."""
        self.worker_threads = False
        """Are bounded calls made in threads that can be left behind?"""
        self.said: set[tuple[str, str]] = set()
        """Warnings that were given once already."""


_sessions: "weakref.WeakKeyDictionary[Any, Registration]" = weakref.WeakKeyDictionary()


class ProtectedClient:
    """What a registered session puts in front of each client class that it makes."""

    _resilience_registration: Registration

    def _make_api_call(self, operation_name: str, api_params: Mapping[str, Any]) -> Any:
        native = super()._make_api_call  # type: ignore[misc]  # BaseClient's
        guard = vars(self).get(ATTRIBUTE)
        if guard is None:
            registration = self._resilience_registration
            if registration.engine is None:
                return native(operation_name, api_params)
            guard = guard_of(self, registration)
        return make_call(guard, operation_name, api_params, native)

    def get_waiter(self, waiter_name: str) -> Any:
        """As botocore's own, within the ambient deadline."""
        made = super().get_waiter(waiter_name)  # type: ignore[misc]  # BaseClient's
        return bounded(made, self._resilience_registration)


def register(obj: Any, engine: PolicyEngine, *, worker_threads: bool = False) -> None:
    """Protect the calls of *obj* with *engine*.

    Safe to call from any thread; a client that exists is best registered before
    threads use it, for botocore remembers handlers of events that are under way.

    Args:
        obj: a boto3 or botocore session (clients that it makes from now on), a client
            or resource (that one), or the `boto3` module (its default session).
        engine: registering again replaces it, for clients that exist too.
        worker_threads: make each call that has a deadline in a thread of its own, so
            that it ends in time even where no socket of ours is waited for: in a
            credential process, in instance metadata or a token service, in a handler.
            Off by default. The price: about 0.1 ms a call; handlers and loggers see
            another thread (context variables are carried there, thread-locals are
            not, and what a handler sets stays there); a thread that is left behind
            lives until what it waits for ends, at most 64 of them.

    Raises:
        TypeError: *obj* is none of these, or belongs to aiobotocore, which this
            release does not support.
    """
    found = _unwrap(obj)
    if isinstance(found, Session):
        known = _sessions.get(found)
        if known is not None:
            known.engine = engine
        else:
            known = _sessions[found] = Registration(engine)
        known.worker_threads = worker_threads
        _listen(found, known)
    else:
        _protect(found, engine, worker_threads=worker_threads)


def unregister(obj: Any) -> None:
    """Give *obj* back as it was; nothing happens when it was not registered.

    Clients that a session made are bare from their next call on; calls under way end
    as they began.

    Raises:
        TypeError: as for `register`.
    """
    found = _unwrap(obj)
    if isinstance(found, Session):
        known = _sessions.pop(found, None)
        if known is not None:
            known.engine = None
        found.unregister(EVENT, unique_id=UNIQUE_ID)
        return
    guard: Guard | None = vars(found).get(ATTRIBUTE)
    if guard is not None:
        guard.remove()
    if hasattr(type(found), "_resilience_registration"):
        found._resilience_registration = Registration(None)


def owner_of(client: Any) -> str:
    """Who decides about the retries of *client*, in words for `explain`."""
    found = _unwrap(client)
    config = getattr(found.meta.config, "retries", None) or {}
    native = f"botocore ({config.get('mode', 'legacy')} mode)"
    guard: Guard | None = vars(found).get(ATTRIBUTE)
    registration = getattr(found, "_resilience_registration", None)
    if guard is not None:
        registration = guard.registration
    engine = None if registration is None else registration.engine
    if engine is None or (guard is not None and guard.takeover is None):
        return native
    service = found.meta.service_model.service_name
    policy = engine.table.policy_for("aws", service, service, "*", engine.mode)
    if engine.mode != "enforce" or policy.mode != "enforce":
        text = f"{native}; resilience is in mode {engine.mode}"
    elif policy.profile == HONOUR:
        text = f"{native}; resilience may veto (profile {HONOUR})"
    else:
        text = f"resilience (profile {policy.profile}); {native} keeps still"
    takeover = None if guard is None else guard.takeover
    others = [] if takeover is None else takeover.strangers()
    return f"{text}; also: {', '.join(others)}" if others else text


def _listen(session: Any, registration: Registration) -> None:
    def protect(
        class_attributes: dict[str, Any],
        base_classes: list[type],
        event_name: str = "",
        **_: Any,
    ) -> None:
        class_attributes["_resilience_registration"] = registration
        if event_name.endswith(".s3"):
            carry()
        if ProtectedClient not in base_classes:
            base_classes.insert(0, ProtectedClient)

    session.unregister(EVENT, unique_id=UNIQUE_ID)
    session.register(EVENT, protect, unique_id=UNIQUE_ID)


def _protect(client: Any, engine: PolicyEngine, *, worker_threads: bool) -> None:
    """Take over a client that exists."""
    registration = Registration(engine)
    registration.worker_threads = worker_threads
    guard = guard_of(client, registration)
    guard.registration = registration
    if isinstance(client, ProtectedClient):
        client._resilience_registration = registration
        return
    alive = weakref.ref(client)

    def call(operation_name: str, api_params: Mapping[str, Any]) -> Any:
        found: Any = alive()
        native = type(found)._make_api_call.__get__(found)
        return make_call(guard, operation_name, api_params, native)

    def get_waiter(waiter_name: str) -> Any:
        found: Any = alive()
        native = type(found).get_waiter(found, waiter_name)
        return bounded(native, guard.registration)

    vars(client)["_make_api_call"] = call
    vars(client)["get_waiter"] = get_waiter
    if guard.is_s3:
        carry()


def _unwrap(obj: Any) -> Any:
    """The botocore session or client in *obj*."""
    if any(base.__module__.startswith("aiobotocore.") for base in type(obj).__mro__):
        msg = (
            "aiobotocore is not supported in this release: "
            "register a boto3 or botocore session, or a client of theirs"
        )
        raise TypeError(msg)
    if isinstance(obj, ModuleType) and obj is sys.modules.get("boto3"):
        if obj.DEFAULT_SESSION is None:
            obj.setup_default_session()
        obj = obj.DEFAULT_SESSION
    inner = getattr(obj, "_session", obj)
    if isinstance(inner, Session):
        return inner
    if isinstance(obj, BaseClient):
        return obj
    client = getattr(getattr(obj, "meta", None), "client", None)
    if isinstance(client, BaseClient):
        return client
    msg = (
        f"cannot register on {type(obj).__qualname__}: give a boto3 or botocore "
        "session, a client, a resource, or the boto3 module"
    )
    raise TypeError(msg)
