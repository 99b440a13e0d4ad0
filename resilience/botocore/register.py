"""Attaching an engine to what boto3 and botocore users hold, and detaching it.

`register` on a session reaches the clients it makes from then on; on a client, that
client. Registering twice replaces the engine: there is never a second owner.
"""

import logging
import re
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from botocore.client import BaseClient
from botocore.session import Session

from resilience.core.record import Notice
from resilience.engine import PolicyEngine

from .awaited import front_of, guard_kind, is_awaited
from .default_session import attached, follow, is_boto3, leave
from .extract import MAX_MESSAGE
from .guard import ATTRIBUTE, Guard, guard_of
from .making import making
from .operation import HONOUR
from .owners import CALL, native_owner, strangers
from .takeover import CREATING
from .transfer import carry, make_call
from .waits import bounded


MOST_SAID = 100
"""Warnings of one registration; whatever else is off is then known to be."""
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
logger = logging.getLogger("resilience.botocore")


class Registration:
    """The engine of one session or client. Clients read it on each call."""

    def __init__(self, engine: PolicyEngine | None) -> None:
        self.engine = engine
        """None: unregistered; calls are bare."""
        self.worker_threads = False
        """Are bounded calls made in threads that can be left behind?"""
        self.said: set[tuple[str, str]] = set()
        """Warnings that were given once already."""
        self.guards: weakref.WeakSet[Guard] = weakref.WeakSet()
        """Of the clients that have made calls under it."""
        self.is_own = False
        """Was it made for one client, not for a session?"""
        self.session: weakref.ref[Any] | None = None
        """The botocore session it was made for, while that lives."""

    def say(self, code: str, text: str) -> None:
        """Warn of *text*, once, whichever object in memory it names."""
        engine = self.engine
        text = _ADDRESS.sub("", text)[:MAX_MESSAGE]
        if (code, text) in self.said or engine is None or len(self.said) >= MOST_SAID:
            return
        self.said.add((code, text))
        logger.warning("%s", text)
        engine.emit((Notice(code, text, engine.now()),))


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

    There is one registration for each object, whoever makes it: a library and the
    application that both register a session share its last engine. A client that was
    registered by itself keeps its own beside its session's.

    Args:
        obj: a boto3 or botocore session (clients that it makes from now on), a client
            or resource (that one), or the `boto3` module (its default session, and
            each that `boto3.setup_default_session` makes from now on). An aiobotocore
            or aioboto3 session, client or resource likewise: their calls are awaited
            and never block the loop.
        engine: registering again replaces it, for clients that exist too.
        worker_threads: make each call that has a deadline in a thread of its own, so
            that it ends in time even where no socket of ours is waited for: in a
            credential process, in instance metadata or a token service, in a handler.
            Off by default. The price: about 0.1 ms a call; handlers and loggers see
            another thread (context variables are carried there, thread-locals are
            not, and what a handler sets stays there); a thread that is left behind
            lives until what it waits for ends, at most 64 of them. Without effect on
            aiobotocore, whose calls end in time whatever they await.

    Raises:
        TypeError: *obj* is none of these.
    """
    if is_boto3(obj):
        for known in attached(obj):
            known.engine, known.worker_threads = engine, worker_threads
        attach = partial(_attach, engine=engine, worker_threads=worker_threads)
        if not follow(obj, attach) and obj.DEFAULT_SESSION is None:
            obj.setup_default_session()
            attach(obj.DEFAULT_SESSION)
        return
    found = _unwrap(obj)
    if isinstance(found, Session):
        _attach(found, engine, worker_threads=worker_threads)
    else:
        _protect(found, engine, worker_threads=worker_threads)


def unregister(obj: Any) -> None:
    """Give *obj* back as it was; nothing happens when it was not registered.

    With a session the clients that it made are given back, too, and come back when it
    is registered again. Calls are bare from the next one on; whether a call under way
    is repeated is botocore's to decide from here on.

    Raises:
        TypeError: as for `register`.
    """
    if is_boto3(obj):
        known = attached(obj)
        leave(obj)
        for registration in known:
            _give_back(registration)
        return
    found = _unwrap(obj)
    if isinstance(found, Session):
        if found in _sessions:
            _give_back(_sessions[found])
        found.unregister(CREATING[0], unique_id=CREATING[1])
        return
    own: Guard | None = vars(found).get(ATTRIBUTE)
    if own is not None:
        own.remove()
    if hasattr(type(found), "_resilience_registration"):
        found._resilience_registration = Registration(None)


def is_registered(client: Any) -> bool:
    """Is an engine in charge of *client*, by itself or by its session?"""
    guard: Guard | None = vars(client).get(ATTRIBUTE)
    found = getattr(client, "_resilience_registration", None)
    registration = found if guard is None else guard.registration
    return registration is not None and registration.engine is not None


def owner_of(client: Any) -> str:
    """Who decides about the retries of *client*, in words.

    What else may repeat its calls follows, as far as it can be seen (`strangers`).
    """
    found = _unwrap(client)
    native = native_owner(found)
    guard: Guard | None = vars(found).get(ATTRIBUTE)
    registration = getattr(found, "_resilience_registration", None)
    if guard is not None:
        registration = guard.registration
    engine = None if registration is None else registration.engine
    if engine is None or (guard is not None and guard.takeover is None):
        text = native
    else:
        service = found.meta.service_model.service_name
        policy = engine.table.policy_for("aws", service, service, "*", engine.mode)
        if engine.mode != "enforce" or policy.mode != "enforce":
            text = f"{native}; resilience is in mode {engine.mode}"
        elif policy.profile == HONOUR:
            text = f"{native}; resilience may veto (profile {HONOUR})"
        else:
            text = f"resilience (profile {policy.profile}); {native} keeps still"
    others = strangers(found)
    return f"{text}; also: {', '.join(others)}" if others else text


def _attach(
    session: Any, engine: PolicyEngine, *, worker_threads: bool
) -> Registration:
    """Protect the clients that *session* makes."""
    found = _unwrap(session)
    known = _sessions.setdefault(found, Registration(engine))
    known.engine, known.worker_threads = engine, worker_threads
    _listen(found, known)
    return known


def _give_back(known: Registration) -> None:
    """Have the session of *known*, and the clients that it made, bare."""
    known.engine = None
    with making():
        guards = [*known.guards]
    for guard in guards:
        guard.remove()
    session = None if known.session is None else known.session()
    if session is not None:
        session.unregister(CREATING[0], unique_id=CREATING[1])


def _listen(session: Any, registration: Registration) -> None:
    def protect(event_name: str = "", **event: Any) -> None:
        try:
            bases = event["base_classes"]
            event["class_attributes"]["_resilience_registration"] = registration
        except (LookupError, TypeError) as error:  # a botocore of another shape
            text = f"{error!r} in {CREATING[0]}; clients stay bare"
            registration.say("not-protected", text)
            return
        front = front_of(bases)
        if event_name.endswith(".s3") and front is ProtectedClient:
            carry()
        if front not in bases:
            bases.insert(0, front)

    registration.session = weakref.ref(session)
    event, unique_id = CREATING
    session.unregister(event, unique_id=unique_id)
    session.register(event, protect, unique_id=unique_id)
    if not hasattr(BaseClient, CALL):
        text = f"botocore's clients have no {CALL}; they stay bare"
        registration.say("not-protected", text)


def _protect(client: Any, engine: PolicyEngine, *, worker_threads: bool) -> None:
    """Take over a client that exists."""
    guard: Guard | None = vars(client).get(ATTRIBUTE)
    if guard is not None and guard.registration.is_own:
        registration = guard.registration
    else:
        registration = Registration(engine)
        registration.is_own = True
        if guard is not None:
            guard.registration.guards.discard(guard)
            guard.registration = registration
    registration.engine = engine
    registration.worker_threads = worker_threads
    guard = guard_of(client, registration, guard_kind(client))
    registration.guards.add(guard)
    if hasattr(type(client), "_resilience_registration"):
        client._resilience_registration = registration
    elif guard.takeover is not None and not guard.replaced:
        _put_around(client, guard)


def _put_around(client: Any, guard: Guard) -> None:
    """Have the calls and waiters of a client that exists go by way of *guard*."""
    native_call = _before(client, CALL)
    native_waiter = _before(client, "get_waiter")
    if is_awaited(type(client)):
        from .aio.clients import put_around

        put_around(guard, native_call, native_waiter)
        return

    def call(operation_name: str, api_params: Mapping[str, Any]) -> Any:
        return make_call(guard, operation_name, api_params, native_call())

    def get_waiter(waiter_name: str) -> Any:
        return bounded(native_waiter()(waiter_name), guard.registration)

    guard.put(CALL, call)
    guard.put("get_waiter", get_waiter)
    if guard.is_s3:
        carry()


def _before(client: Any, name: str) -> Callable[[], Any]:
    """What finds the method that *client* has by *name* without us.

    It is looked up at each call, for classes are patched at any time, and it does not
    keep the client alive.
    """
    if name in vars(client):  # somebody has replaced it for this client
        found = vars(client)[name]
        return lambda: found
    alive = weakref.ref(client)

    def find() -> Any:
        one: Any = alive()
        for kind in type(one).__mro__:
            if name in vars(kind):
                made = vars(kind)[name]
                bind = getattr(type(made), "__get__", None)
                return made if bind is None else bind(made, one, type(one))
        return getattr(one, name)

    return find


def _unwrap(obj: Any) -> Any:
    """The botocore session or client in *obj*."""
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
        "session, a client, a resource, or the boto3 module; an aiobotocore or "
        "aioboto3 session or client"
    )
    raise TypeError(msg)
