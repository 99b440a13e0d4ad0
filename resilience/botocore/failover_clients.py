"""Clients of the same service in other regions: made once, when they are needed.

A sibling has the credentials, the configuration and the engine of its client, and is
protected as that one is, with breakers of its own region. It is kept by the client's
guard and goes with it. Handlers that were registered on the client itself are not
carried over; those of its session are.
"""

import copy
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.credentials import (
    CredentialProvider,
    CredentialResolver,
    Credentials,
)

from resilience.core.policy import FailoverRegion


if TYPE_CHECKING:
    from .guard import Guard

ATTRIBUTE = "_resilience_guard"
LOCKED_S = 10.0
"""How long a call without a deadline waits for a client that another one makes."""
RETRY_S = 30.0
"""How long a client that could not be made is not tried again."""
AWS = (
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".api.aws",
    ".api.amazonwebservices.com.cn",
)
Key = tuple[str, str | None]


class NoSibling(Exception):
    """There is no client for that region; says why."""


class _Same(CredentialProvider):
    """Gives what a client has, refreshed as ever."""

    METHOD = "resilience"
    CANONICAL_NAME = "resilience"

    def __init__(self, credentials: Any) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Any:
        """The client's own credentials."""
        return self._credentials


class Siblings:
    """The siblings of one client. Safe to share between threads."""

    def __init__(self) -> None:
        self._clients: dict[Key, Any] = {}
        self._failed: dict[Key, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def of(
        self, guard: "Guard", place: FailoverRegion, left_s: float | None, now: float
    ) -> Any:
        """The client for *place*.

        Raises:
            NoSibling: there is none, or none in time.
        """
        key = (place.region, place.endpoint_url)
        found = self._clients.get(key)
        if found is not None:
            return follow(guard, found)
        if not self._lock.acquire(timeout=LOCKED_S if left_s is None else left_s):
            msg = "its client is still being made"
            raise NoSibling(msg)
        try:
            found = self._clients.get(key)
            if found is None:
                until, text = self._failed.get(key, (now, ""))
                if now < until:
                    raise NoSibling(text)
                found = self._clients[key] = self._made(guard, place, now)
            return found
        finally:
            self._lock.release()

    def _made(self, guard: "Guard", place: FailoverRegion, now: float) -> Any:
        key = (place.region, place.endpoint_url)
        try:
            return make(guard, place)
        except NoSibling as error:
            text = str(error)
        except Exception as error:  # noqa: BLE001 - the call's own error is raised
            text = f"no client could be made: {type(error).__name__}: {error}"
        self._failed[key] = (now + RETRY_S, text)
        raise NoSibling(text)

    def clear(self) -> None:
        """Let go of them."""
        self._clients, self._failed = {}, {}


def make(guard: "Guard", place: FailoverRegion) -> Any:
    """A client like that of *guard* for *place*.

    Raises:
        NoSibling: there can be none.
    """
    from .guard import guard_of
    from .register import ProtectedClient  # it imports what imports this

    client = client_of(guard, place)
    session, more = _session_of(client, guard)
    made = session.create_client(**arguments(client, place), **more)
    adopt(guard, made, ProtectedClient, guard_of)
    return made


def client_of(guard: "Guard", place: FailoverRegion) -> Any:
    """The client of *guard*, if it may have a sibling for *place*.

    Raises:
        NoSibling: it may not.
    """
    client = guard._client()
    if client is None:
        msg = "its client is gone"
        raise NoSibling(msg)
    if place.endpoint_url is None and has_own_endpoint(client):
        where = f"write `endpoint_url` for {place.region}"
        msg = f"the client has an endpoint of its own: {where}"
        raise NoSibling(msg)
    return client


def arguments(client: Any, place: FailoverRegion) -> dict[str, Any]:
    """What a session is told to make a client like *client* for *place*."""
    model = client.meta.service_model
    http = getattr(getattr(client, "_endpoint", None), "http_session", None)
    return {
        "service_name": model.service_name,
        "region_name": place.region,
        "api_version": model.api_version,
        "use_ssl": url_of(client).startswith("https:"),
        "verify": getattr(http, "_verify", None),
        "endpoint_url": place.endpoint_url,
        "config": _config_of(client),
    }


def follow(guard: "Guard", made: Any) -> Any:
    """*made*, under the engine that its client has now."""
    sibling = vars(made).get(ATTRIBUTE)
    if sibling is not None and sibling.registration is not guard.registration:
        sibling.registration = made._resilience_registration = guard.registration
    return made


def url_of(client: Any) -> str:
    """Where *client* sends."""
    return str(client.meta.endpoint_url)


def adopt(
    guard: "Guard", made: Any, kind: type[Any], guard_of: Callable[..., Any]
) -> None:
    """Have the client *made* answer for that of *guard*.

    Raises:
        NoSibling: it cannot.
    """
    if url_of(made) == guard.endpoint_url:
        name = made.meta.service_model.service_name
        msg = f"{name} has one endpoint for both regions"
        raise NoSibling(msg)
    sibling = None
    if isinstance(made, kind):
        made._resilience_registration = guard.registration
        sibling = guard_of(made, guard.registration)
    if sibling is None or sibling.takeover is None:
        msg = "its client is not protected"
        raise NoSibling(msg)
    sibling.is_sibling = True


def has_own_endpoint(client: Any) -> bool:
    """Does *client* send elsewhere than where AWS is, by code or configuration?"""
    resolver = getattr(client, "_ruleset_resolver", None)
    builtins = getattr(resolver, "_builtins", None)
    if isinstance(builtins, dict):
        return builtins.get("SDK::Endpoint") is not None
    host = str(client.meta.endpoint_url).partition("//")[2].partition("/")[0]
    return not host.partition(":")[0].endswith(AWS)


def _config_of(client: Any) -> Any:
    """The configuration of *client*, as its maker might have given it."""
    config = copy.copy(client.meta.config)
    # What botocore keeps there is the whole text, which would stand for ours.
    config.user_agent = getattr(config, "_supplied_user_agent", None)
    return config


def _session_of(client: Any, guard: "Guard") -> tuple[Any, dict[str, Any]]:
    """A session that makes clients like *client*, and what else it must be told."""
    registration = getattr(type(client), "_resilience_registration", None)
    alive = getattr(registration, "session", None)
    session = None if alive is None else alive()
    credentials = client._get_credentials()
    if session is not None:
        if credentials is None or credentials is session.get_credentials():
            return session, {}
        if type(credentials) is Credentials:
            return session, {
                "aws_access_key_id": credentials.access_key,
                "aws_secret_access_key": credentials.secret_key,
                "aws_session_token": credentials.token,
            }
    # It was made by nobody we know, or by one who is gone: a session just for it.
    made = botocore.session.Session()
    made.register_component("data_loader", client._loader)
    resolver = CredentialResolver([_Same(credentials)])
    made.register_component("credential_provider", resolver)
    made.register("creating-client-class", _protect)
    return made, {}


def _protect(base_classes: list[type], **_: Any) -> None:
    from .register import ProtectedClient

    base_classes.insert(0, ProtectedClient)
