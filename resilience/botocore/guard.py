"""What stands around one client: it starts flights and hears botocore's events."""

import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from resilience.context import ambient_criticality, ambient_key, deadline_at, inbound
from resilience.core.outcome import OK
from resilience.drilling import live_drill
from resilience.drivers.blocking import drive

from .conditions import can_carry
from .emitter import Handler, UnknownEmitter
from .flight import Flight, current
from .making import making
from .operation import Operation
from .owners import strangers
from .takeover import Takeover
from .timeouts import PER_REQUEST, bound_connecting, unbound_connecting, unheard
from .transfer import carry
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


SERVER_FAULT = 500
ATTRIBUTE = "_resilience_guard"
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
        self.read_timeout_s: float | None = getattr(config, "read_timeout", None)
        """Of the client's config; None: it has none."""
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
        self.is_sibling = False
        """Does it stand around a client that answers for another region's?"""
        self.elsewhere: Any = None
        """What failovers keep; None: there was none yet."""
        self.replaced: dict[str, Any] = {}
        """Attribute of the client that is ours -> what was there before."""
        try:
            self.takeover = Takeover(
                client,
                self._needs_retry,
                self._is_silent,
                self._request_created if PER_REQUEST else self._created_unheard,
            )
        except UnknownEmitter as error:
            self.say("not-protected", f"{error}; calls of this client stay bare")
        except Exception as error:  # noqa: BLE001 - a botocore of another shape
            self.say("not-protected", f"{error!r}; calls of this client stay bare")
        else:
            self._harden(client)
            self._warn_of_others(client)

    def put(self, name: str, made: Any) -> None:
        """Put *made* in the place of the client's attribute *name*."""
        attributes = vars(self._client())
        self.replaced[name] = attributes.get(name)
        vars(made)[ATTRIBUTE] = True
        attributes[name] = made

    @property
    def endpoint_url(self) -> str:
        """Where the client sends, as errors name it."""
        client = self._client()
        return "" if client is None else str(client.meta.endpoint_url)

    def _harden(self, client: Any) -> None:
        """Have the client's sockets keep to limits, or say what holds instead."""
        try:
            self.is_hard = install(client)
            holds = self.is_hard or bound_connecting(client)
        except Exception:  # noqa: BLE001 - a botocore or urllib3 of another shape
            holds = False
        if not self.is_hard:
            text = "its connections are not botocore's own, deadlines are soft"
            if not holds:
                text += " and hold between attempts only"
            self.say("soft-deadlines", text)
        if self.is_s3 and not carry():
            text = "s3transfer's threads know nothing of the ambient deadline"
            self.say("deadline-not-carried", text)

    def _warn_of_others(self, client: Any) -> None:
        """Name whoever may repeat calls beside the owner."""
        found = strangers(client)
        if found:
            text = f"retries may multiply: {', '.join(found)}"
            self.say("foreign-retry-handlers", text)

    def say(self, code: str, text: str) -> None:
        """Warn of *text*, once for each registration."""
        self.registration.say(code, f"{self._model.service_name}: {text}")

    def remove(self) -> None:
        """Give the client back as botocore made it."""
        client, takeover = self._client(), self.takeover
        self.takeover = self.elsewhere = None
        if takeover is not None:
            takeover.undo()
        if client is None:
            return
        uninstall(client)
        unbound_connecting(client)
        attributes = vars(client)
        attributes.pop(ATTRIBUTE, None)
        for name, before in self.replaced.items():
            # What somebody has put around ours since then stays, and ours is bare.
            if ATTRIBUTE not in getattr(attributes.get(name), "__dict__", ()):
                continue
            if before is None:
                del attributes[name]
            else:
                attributes[name] = before
        self.replaced = {}

    # -- calls -------------------------------------------------------------------

    def call(  # noqa: C901, PLR0912, PLR0915 - flat: each frame costs every call
        self,
        name: str,
        params: Mapping[str, Any],
        native: Native,
        flown: list[Flight] | None = None,
    ) -> Any:
        """Make one call of operation *name* by way of *native*.

        *flown* takes the flight; then nobody else is asked when it fails.
        """
        engine = self.registration.engine
        if engine is None or self.takeover is None:
            return self._bare(name, params, native)
        if engine.is_controlled:
            engine.look()
        operation = self._operations.get(name)
        if operation is None:
            operation = self._operation(name)
            if operation is None:
                return self._bare(name, params, native)
        bound = operation.bind(engine, params)
        if bound.binding.mode == "bypass":
            return self._bare(name, params, native)
        recourse = bound.recourse
        if recourse is not None and flown is None and not self.is_sibling:
            return recourse.call(self, name, params, native)
        applied = None
        if bound.binding.mode == "enforce" and (
            bound.is_keyed or ambient_key.get() is not None
        ):
            applied = operation.apply(bound, params)
        facts = bound.facts  # as `Operation.facts` finds it, but for its frame
        if (
            facts is None
            or deadline_at.get() is not None
            or inbound.get() is not None
            or ambient_criticality.get() is not None
        ):
            facts = operation.facts(bound, params)
        if applied is not None:
            params = applied.params
            facts = facts._replace(keyed_means=applied.means)
        kind = ThreadedFlight if self.registration.worker_threads else Flight
        flight = kind(
            self,
            operation,
            bound,
            params,
            facts=facts,
            applied=applied,
        )
        if flown is not None:
            flown.append(flight)
        token = current.set(flight)
        try:
            asked = flight._loop.arrive()
            if asked.start is None or flight.lookout is not None:
                drive(flight._arrive(asked))
            else:
                flight._start = asked.start
            if isinstance(flight, ThreadedFlight):
                answer = in_worker(flight, native, name, params)
            else:
                answer = native(name, params)
        except Exception as error:
            flight.failed(error)
            self.watch(flight, error)
            raise
        else:
            start = flight._start
            if start is None or start.number > 1 or flight.lookout is not None:
                flight.succeeded(answer)
            else:
                flight._loop.done(1, OK)
            return answer
        finally:
            current.reset(token)
            limit = flight.limit
            if flight._loop.finished is None or flight.lookout is not None:
                flight.gone()
            elif not limit.kept:
                limit.at = None

    def watch(self, flight: Flight, error: Exception) -> None:
        """Warn when *error* ended *flight* and nobody was asked about a repeat."""
        if not flight.owns_retries or not flight.sent or flight.last_error():
            return
        answer = getattr(error, "response", None) or {}
        status = (answer.get("ResponseMetadata") or {}).get("HTTPStatusCode", 0)
        if status >= SERVER_FAULT:
            self.say("retries-unseen", "this botocore repeats, or not, without asking")

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

    def _operation(self, name: str) -> Operation | None:
        """What is known of an operation that is called for the first time."""
        try:
            model = self._model.operation_model(name)
            made = Operation(self._model.service_name, model, self._labels)
        except Exception as error:  # noqa: BLE001 - a model of another shape
            self.say("not-protected", f"{error!r}; calls of {name} stay bare")
            return None
        takeover = self.takeover
        if takeover is not None:
            if can_carry(self._model.service_name, name):
                self._will_follow(name)
            # A call that was under way when we came may have had the old handlers
            # remembered for the next ones.
            takeover.forget()
        return self._operations.setdefault(name, made)

    def _will_follow(self, name: str) -> None:
        """There may be calls of operation *name* that are followed, in any thread."""
        with making():
            self._follow(name)

    def _follow(self, name: str) -> None:
        """Hear what following calls of operation *name* takes; harmless twice."""
        if self.takeover is not None:
            self.takeover.follow(name, self._parameters_built, self._before_send)

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
        return bound.owns_retries

    # -- botocore's events -------------------------------------------------------

    def _mine(self) -> Flight | None:
        flight = current.get()
        return flight if flight is not None and flight.guard is self else None

    def _needs_retry(self, native: Handler | None, event: dict[str, Any]) -> Any:
        flight = current.get()  # as _mine does, but for its frame
        if flight is None or flight.guard is not self:
            return None if native is None else native(**event)
        if flight.is_well(event):
            return None
        if flight.trace is not None:
            flight.trace.answered(event["response"])
        try:
            return flight.needs_retry(native, event)
        except (AttributeError, LookupError, TypeError) as error:
            if error is event.get("caught_exception"):
                raise
            self.say("unknown-event", f"{error!r} in needs-retry; botocore decides")
        return None if native is None else native(**event)

    def _is_silent(self) -> bool:
        flight = self._mine()
        return flight is not None and flight.owns_retries

    def _parameters_built(self, params: dict[str, Any], **_: Any) -> None:
        flight = current.get()  # as _mine does, but for its frame
        if flight is None or flight.guard is not self or flight.lookout is None:
            return
        flight.lookout.write.prepare(params)

    def _before_send(self, request: Any, **_: Any) -> Any:
        flight = self._mine()
        lookout = None if flight is None else flight.lookout
        answer = None if lookout is None else lookout.take()
        return None if answer is None else response(answer, request.url)

    def _request_created(self, request: Any, **_: Any) -> None:
        flight = current.get()  # as _mine does, but for its frame
        if flight is None or flight.guard is not self:
            return
        try:
            context = request.context
        except AttributeError as error:
            self.say("unknown-event", f"{error!r} in request-created; no limits hold")
        else:
            flight.before_send(context)
            if flight.trace is not None:
                flight.trace.sends(request.headers)

    def _created_unheard(self, request: Any, **_: Any) -> None:
        """As `_request_created`, where botocore knows no timeout of one request."""
        self._request_created(request)
        context = getattr(request, "context", None) or {}
        text = unheard(context, self.read_timeout_s)
        if text:
            self.say("attempt-timeout-unheard", text)


def guard_of(
    client: Any, registration: "Registration", kind: type[Guard] = Guard
) -> Guard:
    """The client's guard, made when it has none yet."""
    found: Guard | None = vars(client).get(ATTRIBUTE)
    if found is None:
        with making():
            found = vars(client).get(ATTRIBUTE)
            if found is None:
                found = kind(client, registration)
                _drill(found, client)
                vars(client)[ATTRIBUTE] = found
                registration.guards.add(found)
    return found


def _drill(guard: Guard, client: Any) -> None:
    """Let a drill, where one is armed, at the calls of *client*."""
    drill = live_drill()
    if drill is not None:
        from .drilled import install as install_drill

        install_drill(guard, client, drill)
