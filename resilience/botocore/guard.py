"""What stands around one client: it starts flights and hears botocore's events."""

import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from resilience.context import deadline_at
from resilience.core.record import Notice

from .emitter import Handler, UnknownEmitter
from .flight import Flight, current
from .operation import Operation
from .takeover import Takeover
from .timeouts import bound_connecting, unbound_connecting
from .verify import response
from .worker import ThreadedFlight, in_worker


if TYPE_CHECKING:
    from .register import Registration

try:
    from .connections import install, uninstall
except (AttributeError, ImportError):  # a botocore or urllib3 of another shape

    def install(client: Any) -> bool:
        """Nothing: deadlines stay soft."""
        return False

    def uninstall(client: Any) -> None:
        """Nothing was installed."""


ATTRIBUTE = "_resilience_guard"
logger = logging.getLogger("resilience.botocore")
_making = threading.Lock()
"""Held while a guard is made: the first calls of a client wait for one another."""
Native = Callable[[str, Mapping[str, Any]], Any]


class Guard:
    """One client's protection. Safe to share between threads.

    It does not keep the client alive.
    """

    def __init__(self, client: Any, registration: "Registration") -> None:
        self.registration = registration
        """Whose engine rules; it may change at any time."""
        self._client = weakref.ref(client)
        self._model = client.meta.service_model
        config = client.meta.config
        self._read_timeout_s: float | None = getattr(config, "read_timeout", None)
        self._operations: dict[str, Operation] = {}
        self.is_s3 = self._model.service_name == "s3"
        self.payloads: dict[str, str] = {}
        """Operation -> the member that its answer's body is in; empty: it has none."""
        host = urlsplit(client.meta.endpoint_url or "").hostname
        known = (("region", client.meta.region_name), ("host", host))
        self._labels = tuple((name, str(value)) for name, value in known if value)
        self.is_hard = False
        """Do its sockets keep to limits?"""
        self.takeover: Takeover | None = None
        """None: botocore's handlers could not be taken over, calls stay bare."""
        try:
            self.takeover = Takeover(
                client,
                self._needs_retry,
                self._is_silent,
                self._request_created,
                built=self._parameters_built,
                answered=self._before_send,
            )
        except UnknownEmitter as error:
            self._say("not-protected", f"{error}; calls of this client stay bare")
        else:
            self.is_hard = install(client)
            if not self.is_hard:
                bound_connecting(client)
                text = "its connections are not botocore's own, deadlines are soft"
                self._say("soft-deadlines", text)
            self._warn_of_strangers(self.takeover)

    @property
    def endpoint_url(self) -> str:
        """Where the client sends, as errors name it."""
        client = self._client()
        return "" if client is None else str(client.meta.endpoint_url)

    def _warn_of_strangers(self, takeover: Takeover) -> None:
        found = takeover.strangers()
        if found:
            names = ", ".join(found)
            text = f"others answer needs-retry too, retries may multiply: {names}"
            self._say("foreign-retry-handlers", text)

    def _say(self, code: str, text: str) -> None:
        registration = self.registration
        message = f"{self._model.service_name}: {text}"
        engine = registration.engine
        if (code, message) in registration.said or engine is None:
            return
        registration.said.add((code, message))
        logger.warning("%s", message)
        engine.emit((Notice(code, message, engine.now()),))

    def remove(self) -> None:
        """Give the client back as botocore made it."""
        client, takeover = self._client(), self.takeover
        self.takeover = None
        if takeover is not None:
            takeover.undo()
        if client is not None:
            uninstall(client)
            unbound_connecting(client)
            vars(client).pop(ATTRIBUTE, None)
            vars(client).pop("_make_api_call", None)
            vars(client).pop("get_waiter", None)

    # -- calls -------------------------------------------------------------------

    def call(self, name: str, params: Mapping[str, Any], native: Native) -> Any:
        """Make one call of operation *name* by way of *native*."""
        engine = self.registration.engine
        if engine is None or self.takeover is None:
            return self._bare(name, params, native)
        engine.look()
        operation = self._operations.get(name) or self._operation(name)
        bound = operation.bind(engine, params)
        if bound.binding.mode == "bypass":
            return self._bare(name, params, native)
        applied = None
        if bound.binding.mode == "enforce":
            applied = operation.apply(bound, params)
        facts = operation.facts(bound, params)
        if applied is not None:
            params = applied.params
            facts = facts._replace(keyed_means=applied.means)
        kind = ThreadedFlight if self.registration.worker_threads else Flight
        flight = kind(
            self,
            bound,
            model=operation.model,
            facts=facts,
            configured_read_s=self._read_timeout_s,
            why=partial(operation.why, params),
            applied=applied,
        )
        token = current.set(flight)
        try:
            flight.arrive()
            if isinstance(flight, ThreadedFlight):
                answer = in_worker(flight, native, name, params)
            else:
                answer = native(name, params)
        except Exception as error:
            flight.failed(error)
            raise
        else:
            flight.succeeded(answer)
            return answer
        finally:
            current.reset(token)
            flight.gone()

    def read(self, name: str, params: dict[str, Any], ends_at: float | None) -> Any:
        """Make a call of our own, which is over by *ends_at* (monotonic)."""
        client: Any = self._client()
        token = deadline_at.set(ends_at)
        try:
            return client._make_api_call(name, params)
        finally:
            deadline_at.reset(token)

    def _bare(self, name: str, params: Mapping[str, Any], native: Native) -> Any:
        if current.get() is None:
            return native(name, params)
        token = current.set(None)
        try:
            return native(name, params)
        finally:
            current.reset(token)

    def _operation(self, name: str) -> Operation:
        model = self._model.operation_model(name)
        made = Operation(self._model.service_name, model, self._labels)
        return self._operations.setdefault(name, made)

    def client_error(self, parsed: Mapping[str, Any], name: str) -> Exception:
        """The error that botocore would raise for the answer *parsed*."""
        client = self._client()
        kind: Any = ClientError
        if client is not None:
            kind = client.exceptions.from_code(parsed.get("Error", {}).get("Code"))
        made: Exception = kind(parsed, name)
        return made

    def owns_retries(self, name: str, params: Mapping[str, Any]) -> bool:
        """Does the engine decide about repeats of a call, not botocore?"""
        engine, operation = self.registration.engine, self._operations.get(name)
        if engine is None or self.takeover is None or operation is None:
            return False
        bound = operation.bind(engine, params)
        return bound.binding.mode == "enforce" and not bound.host_decides

    # -- botocore's events -------------------------------------------------------

    def _mine(self) -> Flight | None:
        flight = current.get()
        return flight if flight is not None and flight.guard is self else None

    def _needs_retry(self, native: Handler | None, event: dict[str, Any]) -> Any:
        flight = self._mine()
        if flight is None:
            return None if native is None else native(**event)
        return flight.needs_retry(native, event)

    def _is_silent(self) -> bool:
        flight = self._mine()
        return flight is not None and flight.owns_retries

    def _parameters_built(self, params: dict[str, Any], **_: Any) -> None:
        flight = self._mine()
        if flight is not None and flight.lookout is not None:
            flight.lookout.write.prepare(params)

    def _before_send(self, request: Any, **_: Any) -> Any:
        flight = self._mine()
        lookout = None if flight is None else flight.lookout
        answer = None if lookout is None else lookout.take()
        return None if answer is None else response(answer, request.url)

    def _request_created(self, request: Any, **_: Any) -> None:
        flight = self._mine()
        if flight is not None:
            flight.before_send(request.context)


def guard_of(client: Any, registration: "Registration") -> Guard:
    """The client's guard, made when it has none yet."""
    found: Guard | None = vars(client).get(ATTRIBUTE)
    if found is None:
        with _making:
            found = vars(client).get(ATTRIBUTE)
            if found is None:
                found = Guard(client, registration)
                vars(client)[ATTRIBUTE] = found
    return found


def _renew_lock() -> None:
    """Make the lock new, after a fork: nobody in the child would ever release it."""
    global _making  # noqa: PLW0603 - one lock for the process
    _making = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
